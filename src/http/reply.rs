//! Owns what is answered: a success, or a refusal with its status and its one flat JSON object. The table from errors to
//! statuses lives here and nowhere else.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use crate::http::budget::Share;
use crate::http::content::Content;
use crate::http::endpoints::events::PARAMETERS;
use crate::http::large::LargeBytes;
use crate::http::limits::{ANSWER_PIECE_BYTES, LARGE_BYTES, QUERY_BYTES};
use crate::http::router::Methods;
use crate::inbox::{AppendError, ReadError, StoreError};
use crate::json::{ObjectWriter, name};
use crate::jws;
use crate::livekit::access_token::{AccessTokenError, NameError};
use crate::livekit::room_config::RoomConfigurationError;
use crate::livekit::token_verifier::TokenError;
use crate::livekit::webhook::WebhookError;
use crate::policy::PolicyError;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How a refusal is written, which depends on the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// The members of an error that say what is wrong, all of them the same.
    members: &'static [&'static str],
    /// Seconds.
    retry_after: &'static str,
}

const FLAT: &[&str] = &[name!("errorMessage")];
const TWOFOLD: &[&str] = &[name!("errorMessage"), name!("error")];
const SOON: &str = "1";
/// LiveKit Server tries five times, and spends all of them within 4 s if it may try again after one.
const LATER: &str = "5";

/// For the tutorials' clients.
pub(crate) const TUTORIAL: Form = Form { members: FLAT, retry_after: SOON };
/// For clients of LiveKit's standard endpoint, which read the second member.
pub(crate) const STANDARD: Form = Form { members: TWOFOLD, retry_after: SOON };
/// For LiveKit Server, and for clients of which nothing is known: they may be LiveKit Server.
pub(crate) const OTHER: Form = Form { members: FLAT, retry_after: LATER };

/// An answer, before CORS and the connection have had their say.
pub(crate) type Reply = Response<Content>;

/// 200 with `json`.
pub(crate) fn json(json: impl Into<Bytes>) -> Reply {
    private(Content::Whole(json.into()), JSON)
}

/// 200 with what is for its reader alone: no cache may keep it, and no browser may take it for another type.
pub(crate) fn private(content: Content, content_type: HeaderValue) -> Reply {
    let mut reply = Reply::new(content);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// The same where `json` may be large: `share` is its share of the budget while it waits for its reader.
pub(crate) fn held_json(json: Vec<u8>, mut share: Share) -> Result<Reply, Refusal> {
    if json.len() <= ANSWER_PIECE_BYTES {
        return Ok(self::json(json));
    }
    let large = if json.len() > LARGE_BYTES { Some(LargeBytes::copy_of(&json).or(Err(Refusal::Overloaded))?) } else { None };
    let bytes = large.map_or_else(|| json.into(), Bytes::from_owner);
    share.shrink_to(bytes.len());
    Ok(private(Content::Held { bytes, _share: share }, JSON))
}

/// 200 with an empty body, for which hyper writes `Content-Length: 0`. LiveKit Server reads no body, and cannot use the
/// connection again after one.
pub(crate) fn empty() -> Reply {
    Reply::new(Content::Whole(Bytes::new()))
}

/// 204.
pub(crate) fn no_content() -> Reply {
    let mut reply = empty();
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

/// Why a request gets no success.
#[derive(Debug)]
pub(crate) enum Refusal {
    Framing(&'static str),
    NoSuchPath,
    Method(Methods),
    HeadTooLarge,
    QueryTooLong,
    UnknownParameter(Box<str>),
    HeadTooLate,
    ContentType,
    BodyTooLarge { limit: usize },
    BodyTooLate,
    BodyBroken,
    Overloaded,
    Stopping,
    NotTheTutorialsFields,
    NotAnObject,
    TooManyValues { limit: usize },
    MissingField(&'static str),
    Field(&'static str, FieldError),
    RoomConfiguration(&'static str, RoomConfigurationError),
    Policy(PolicyError),
    SandboxId,
    NoAuthorization,
    Webhook(WebhookError),
    Inbox(AppendError),
    NotReady(Arc<StoreError>),
    WorkerDown(&'static str),
    Reader(Option<TokenError>),
    NotAllowedToRead,
    ForeignPage,
    Read(ReadError),
    Panic,
}

/// What is wrong with a field.
#[derive(Debug)]
pub(crate) enum FieldError {
    NotText,
    NotTexts,
    Twice,
    NotACursor,
    CursorAhead,
    TooMany(usize),
    NotANumber,
    NotABoolean,
    BothCasings,
    Name(NameError),
    Limit(AccessTokenError),
}

impl Refusal {
    /// The one table from errors to statuses.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::RoomConfiguration(_, RoomConfigurationError::Webhooks { .. }) => StatusCode::FORBIDDEN,
            Self::Framing(_)
            | Self::BodyBroken
            | Self::NotTheTutorialsFields
            | Self::NotAnObject
            | Self::TooManyValues { .. }
            | Self::UnknownParameter(_)
            | Self::MissingField(_)
            | Self::Field(..)
            | Self::RoomConfiguration(..)
            | Self::NoAuthorization => StatusCode::BAD_REQUEST,
            Self::Webhook(error) if error.is_malformed() => StatusCode::BAD_REQUEST,
            Self::Webhook(_) | Self::Reader(_) | Self::SandboxId => StatusCode::UNAUTHORIZED,
            Self::NotAllowedToRead | Self::ForeignPage | Self::Policy(PolicyError::ClientEgress) => StatusCode::FORBIDDEN,
            Self::NoSuchPath | Self::Read(ReadError::NotKept) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::HeadTooLate | Self::BodyTooLate => StatusCode::REQUEST_TIMEOUT,
            Self::Read(ReadError::Gone { .. }) => StatusCode::GONE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::QueryTooLong => StatusCode::URI_TOO_LONG,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Panic | Self::Policy(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded
            | Self::Stopping
            | Self::Inbox(_)
            | Self::NotReady(_)
            | Self::WorkerDown(_)
            | Self::Read(ReadError::Store(_)) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// As metrics name it.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Framing(_) => "framing",
            Self::NoSuchPath => "path",
            Self::Method(_) => "method",
            Self::HeadTooLarge => "head_too_large",
            Self::QueryTooLong => "query_too_long",
            Self::HeadTooLate => "head_too_late",
            Self::ContentType => "content_type",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyTooLate => "body_too_late",
            Self::BodyBroken => "body_broken",
            Self::Overloaded => "overloaded",
            Self::Stopping => "stopping",
            Self::NotTheTutorialsFields | Self::NotAnObject => "not_json",
            Self::TooManyValues { .. } => "too_many_values",
            Self::Policy(_) | Self::RoomConfiguration(_, RoomConfigurationError::Webhooks { .. }) => "policy",
            Self::UnknownParameter(_) | Self::MissingField(_) | Self::Field(..) | Self::RoomConfiguration(..) => "field",
            Self::SandboxId => "sandbox_id",
            Self::NoAuthorization => "no_authorization",
            Self::Webhook(WebhookError::NoDigest) => "no_digest",
            Self::Webhook(WebhookError::Digest) => "digest",
            Self::Webhook(WebhookError::Token(error)) | Self::Reader(Some(error)) => match error {
                TokenError::Jws(jws::Error::Signature) => "signature",
                TokenError::Jws(jws::Error::Malformed) => "malformed",
                TokenError::Jws(_) => "jws",
                TokenError::Claims => "claims",
                TokenError::UnknownKey { .. } => "unknown_key",
                TokenError::NoExpiry => "no_expiry",
                TokenError::Expired { .. } => "expired",
                TokenError::NotYetValid { .. } => "not_yet_valid",
            },
            Self::Inbox(AppendError::QueueFull) => "inbox_full",
            Self::Inbox(_) => "inbox",
            Self::NotReady(_) | Self::WorkerDown(_) => "not_ready",
            Self::Reader(None) => "no_token",
            Self::NotAllowedToRead | Self::ForeignPage => "not_allowed",
            Self::Read(_) => "read",
            Self::Panic => "panic",
        }
    }

    /// What the log is told.
    pub(crate) fn cause(&self) -> &dyn fmt::Display {
        match self {
            Self::Webhook(error) => error,
            Self::Reader(Some(error)) => error,
            Self::Policy(error) => error,
            other => other,
        }
    }

    /// The answer. Each is one flat object, for clients parse it.
    pub(crate) fn reply(&self, form: Form) -> Reply {
        let text = self.to_string();
        let mut body = Vec::new();
        let mut object = ObjectWriter::begin(&mut body);
        for member in form.members {
            object.text(member, &text);
        }
        object.end();
        let mut reply = json(body);
        let status = self.status();
        *reply.status_mut() = status;
        let headers = reply.headers_mut();
        match self {
            Self::Method(allowed) => {
                headers.insert(ALLOW, allowed.header());
            }
            Self::Reader(_) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // What follows on the connection cannot be told from this request's rest.
            Self::Framing(_) | Self::HeadTooLarge | Self::HeadTooLate | Self::BodyTooLate => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(form.retry_after));
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
            Self::QueryTooLong => write!(f, "the query must be at most {QUERY_BYTES} bytes"),
            Self::UnknownParameter(name) => write!(f, "the query must not have \"{name}\": it can have {}", PARAMETERS.join(", ")),
            Self::ContentType => f.write_str("Content-Type must be application/json"),
            Self::BodyTooLarge { limit } => write!(f, "the body must be at most {limit} bytes"),
            Self::HeadTooLate | Self::BodyTooLate => f.write_str("the request did not arrive in time"),
            Self::BodyBroken => f.write_str("the body ended before its end"),
            Self::Overloaded => f.write_str("too much at once, try again later"),
            Self::Stopping => f.write_str("this server is about to stop"),
            Self::NotTheTutorialsFields => f.write_str("roomName and participantName are required"),
            Self::MissingField(field) => write!(f, "{field} is required"),
            Self::Field(field, FieldError::NotText) => write!(f, "{field} must be a string"),
            Self::NotAnObject => f.write_str("the body must be a JSON object"),
            Self::TooManyValues { limit } => write!(f, "the body must hold at most {limit} values"),
            Self::Field(field, FieldError::NotTexts) => write!(f, "{field} must be an object of strings"),
            Self::Field(field, FieldError::BothCasings) => write!(f, "{field} must not stand there in both casings"),
            Self::Field(field, FieldError::Limit(error)) => write!(f, "{field}: {error}"),
            Self::RoomConfiguration(field, error) if error.path().is_empty() => write!(f, "{field} {error}"),
            Self::RoomConfiguration(field, error) => write!(f, "{field}.{error}"),
            Self::Policy(PolicyError::ClientEgress) => {
                f.write_str("room_config.egress is not allowed here, for recordings cost: the server's setting --allow-client-egress (ALLOW_CLIENT_EGRESS) would allow it")
            }
            Self::SandboxId => f.write_str("the X-Sandbox-ID header is missing or wrong"),
            Self::Field(field, FieldError::Twice) => write!(f, "{field} must not stand there twice"),
            Self::Field(field, FieldError::NotACursor) => write!(f, "{field} must be a cursor that was given here"),
            Self::Field(field, FieldError::CursorAhead) => write!(
                f,
                "{field} must be a cursor that was given here: this one is later than every event, and more than an hour in the future"
            ),
            Self::Field(field, FieldError::TooMany(most)) => write!(f, "{field} must not appear more than {most} times"),
            Self::Field(field, FieldError::NotANumber) => write!(f, "{field} must be a whole number"),
            Self::Field(field, FieldError::NotABoolean) => write!(f, "{field} must be true or false"),
            Self::Field(field, FieldError::Name(error)) => write!(f, "{field} {}", error.reason()),
            Self::NoAuthorization => f.write_str("the Authorization header is missing"),
            Self::Webhook(error) if error.is_malformed() => f.write_str("the Authorization header is not a token"),
            Self::Webhook(_) => f.write_str("Error validating webhook event"),
            Self::Inbox(error) => error.fmt(f),
            Self::NotReady(error) => error.fmt(f),
            Self::WorkerDown(worker) => write!(f, "a part of this server failed and is started again: {worker}"),
            Self::Reader(_) => f.write_str("a LiveKit token that holds is required, as Authorization: Bearer or as access_token"),
            Self::NotAllowedToRead => {
                f.write_str("the token does not grant to read these events: roomList grants all, roomAdmin those of its room")
            }
            Self::ForeignPage => f.write_str(
                "pages of other sites must not read events here, because this server trusts LiveKit's development key, whose secret everyone knows: open the page from localhost, list its origin in the server's setting CORS_ORIGIN, or use a key of your own",
            ),
            Self::Read(error) => error.fmt(f),
            Self::Panic | Self::Policy(_) => f.write_str("something went wrong here"),
        }
    }
}
