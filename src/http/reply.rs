//! Owns what is answered: a success, or a refusal with its status and its one flat JSON object. The table from errors to
//! statuses lives here and nowhere else.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use crate::http::pulse::InFlight;
use crate::http::router::Methods;
use crate::jws;
use crate::livekit::access_token::NameError;
use crate::livekit::token_verifier::TokenError;
use crate::livekit::webhook::WebhookError;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer, before CORS and the connection have had their say.
pub(crate) type Reply = Response<Bytes>;

/// 200 with `json`.
pub(crate) fn json(json: impl Into<Bytes>) -> Reply {
    let mut reply = Reply::new(json.into());
    reply.headers_mut().insert(CONTENT_TYPE, JSON);
    reply
}

/// 200 with an empty body, for which hyper writes `Content-Length: 0`. LiveKit Server reads no body, and cannot use the
/// connection again after one.
pub(crate) fn empty() -> Reply {
    Reply::new(Bytes::new())
}

/// 204 with one more header.
pub(crate) fn no_content(name: HeaderName, value: HeaderValue) -> Reply {
    let mut reply = Reply::new(Bytes::new());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply.headers_mut().insert(name, value);
    reply
}

/// Tells the log lines of one request, and the report of one who was refused, from those of others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestId(pub(crate) u32);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Why a request gets no success.
#[derive(Debug)]
pub(crate) enum Refusal {
    Framing(&'static str),
    NoSuchPath,
    Method(Methods),
    HeadTooLarge,
    HeadTooLate,
    ContentType,
    BodyTooLarge { limit: usize },
    BodyTooLate,
    BodyBroken,
    Overloaded,
    Stopping,
    NotTheTutorialsFields,
    MissingField(&'static str),
    Field(&'static str, FieldError),
    NoAuthorization,
    Webhook(WebhookError),
    Panic,
}

/// What is wrong with a field.
#[derive(Debug)]
pub(crate) enum FieldError {
    NotText,
    Twice,
    Name(NameError),
}

impl Refusal {
    /// The one table from errors to statuses.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Framing(_)
            | Self::BodyBroken
            | Self::NotTheTutorialsFields
            | Self::MissingField(_)
            | Self::Field(..)
            | Self::NoAuthorization => StatusCode::BAD_REQUEST,
            Self::Webhook(error) if error.is_malformed() => StatusCode::BAD_REQUEST,
            Self::Webhook(_) => StatusCode::UNAUTHORIZED,
            Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::HeadTooLate | Self::BodyTooLate => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// As metrics name it.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Framing(_) => "framing",
            Self::NoSuchPath => "path",
            Self::Method(_) => "method",
            Self::HeadTooLarge => "head_too_large",
            Self::HeadTooLate => "head_too_late",
            Self::ContentType => "content_type",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyTooLate => "body_too_late",
            Self::BodyBroken => "body_broken",
            Self::Overloaded => "overloaded",
            Self::Stopping => "stopping",
            Self::NotTheTutorialsFields => "not_json",
            Self::MissingField(_) | Self::Field(..) => "field",
            Self::NoAuthorization => "no_authorization",
            Self::Webhook(WebhookError::NoDigest) => "no_digest",
            Self::Webhook(WebhookError::Digest) => "digest",
            Self::Webhook(WebhookError::Token(error)) => match error {
                TokenError::Jws(jws::Error::Signature) => "signature",
                TokenError::Jws(jws::Error::Malformed) => "malformed",
                TokenError::Jws(_) => "jws",
                TokenError::Claims => "claims",
                TokenError::UnknownKey { .. } => "unknown_key",
                TokenError::NoExpiry => "no_expiry",
                TokenError::Expired { .. } => "expired",
                TokenError::NotYetValid { .. } => "not_yet_valid",
            },
            Self::Panic => "panic",
        }
    }

    /// What the log is told.
    pub(crate) fn cause(&self) -> &dyn fmt::Display {
        match self {
            Self::Webhook(error) => error,
            other => other,
        }
    }

    /// The answer. Each is one flat object, for clients parse it.
    pub(crate) fn reply(&self, id: RequestId) -> Reply {
        let mut reply = json(serde_json::json!({ "errorMessage": self.to_string() }).to_string());
        *reply.status_mut() = self.status();
        let headers = reply.headers_mut();
        if let Ok(id) = HeaderValue::try_from(id.to_string()) {
            headers.insert(REQUEST_ID, id);
        }
        match self {
            Self::Method(allowed) => {
                headers.insert(ALLOW, allowed.header());
            }
            Self::Overloaded => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // What follows on the connection cannot be told from this request's rest.
            Self::Framing(_) | Self::HeadTooLarge | Self::HeadTooLate | Self::BodyTooLate => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        reply
    }
}

/// What the client is told. The reason for which a webhook is refused stays in the log: all are told the same.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Framing(what) => f.write_str(what),
            Self::NoSuchPath => f.write_str("there is nothing at this path"),
            Self::Method(allowed) => write!(f, "this path takes {allowed} only"),
            Self::HeadTooLarge => f.write_str("the request's head is too large"),
            Self::ContentType => f.write_str("Content-Type must be application/json"),
            Self::BodyTooLarge { limit } => write!(f, "the body must be at most {limit} bytes"),
            Self::HeadTooLate | Self::BodyTooLate => f.write_str("the request did not arrive in time"),
            Self::BodyBroken => f.write_str("the body ended before its end"),
            Self::Overloaded => f.write_str("too much at once, try again in a second"),
            Self::Stopping => f.write_str("this server is about to stop"),
            Self::NotTheTutorialsFields => f.write_str("roomName and participantName are required"),
            Self::MissingField(field) => write!(f, "{field} is required"),
            Self::Field(field, FieldError::NotText) => write!(f, "{field} must be a string"),
            Self::Field(field, FieldError::Twice) => write!(f, "{field} must not stand there twice"),
            Self::Field(field, FieldError::Name(error)) => write!(f, "{field} {error}"),
            Self::NoAuthorization => f.write_str("the Authorization header is missing"),
            Self::Webhook(error) if error.is_malformed() => f.write_str("the Authorization header is not a token"),
            Self::Webhook(_) => f.write_str("Error validating webhook event"),
            Self::Panic => f.write_str("something went wrong here"),
        }
    }
}

/// An answer on its way out. While it lives, its request is under way.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    bytes: Bytes,
    _in_flight: InFlight,
}

impl ReplyBody {
    pub(crate) fn new(bytes: Bytes, in_flight: InFlight) -> Self {
        Self { bytes, _in_flight: in_flight }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len().try_into().unwrap_or(u64::MAX))
    }
}
