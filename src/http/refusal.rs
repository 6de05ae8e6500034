//! Why a request is refused, and what follows: status, label in metrics, text, header. Does not know the format of the answer.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::ALLOW;

use crate::caller::refused as caller;
use crate::http::facts::{Facts, facts};
use crate::http::field_error::FieldError;
use crate::http::headers::Methods;
use crate::http::limits::QUERY_BYTES;
use crate::http::metrics::token_label;
use crate::inbox::target::TargetError;
use crate::inbox::{AppendError, Cursor, ReadError, StoreError};
use crate::livekit::room_config::RoomConfigurationError;
use crate::livekit::token_verifier::TokenError;
use crate::livekit::webhook::WebhookError;
use crate::policy::PolicyError;

/// Why a request is refused. A new variant needs one line in [`Refusal::facts`].
#[derive(Debug)]
pub(crate) enum Refusal {
    Framing(&'static str),
    NoSuchPath,
    Method(Methods),
    HeadTooLarge,
    QueryTooLong,
    /// A part of the request, the query or the body, has a name that is not among those that it can have.
    UnknownName {
        part: &'static str,
        name: Box<str>,
        known: &'static [&'static str],
    },
    HeadTooLate,
    ContentType,
    /// With the limit in bytes.
    BodyTooLarge(usize),
    BodyTooLate,
    BodyBroken,
    Overloaded,
    Stopping,
    NotTheTutorialsFields,
    NotAnObject,
    /// With the limit.
    TooManyValues(usize),
    MissingField(&'static str),
    Field(&'static str, FieldError),
    RoomConfiguration(&'static str, RoomConfigurationError),
    Policy(PolicyError),
    /// The request needs a credential, and has none.
    NoCredential,
    /// Who calls is not proven, or cannot be.
    Caller(caller::Refused),
    /// A page of another site sends the user's cookie.
    CrossSite,
    /// The rules give the caller no such token.
    Denied,
    TooManyTokens {
        retry_after: Duration,
    },
    SandboxId,
    NoAuthorization,
    Webhook(WebhookError),
    Inbox(AppendError),
    NotReady(Arc<StoreError>),
    WorkerDown(&'static str),
    /// No caller of the policy can be identified.
    NoIssuerKeys,
    Reader(Option<TokenError>),
    /// The credential of a reader of events is neither a LiveKit token nor a caller's.
    ReaderCredential(caller::CredentialError),
    NotAllowedToRead,
    ForeignPage,
    /// The request needs a LiveKit token, and has none that holds.
    Operator(Option<TokenError>),
    /// The token lacks this grant.
    NotGranted(&'static str),
    NoRelay,
    UnknownTarget,
    /// These events are not owed.
    NotOwed(Vec<Cursor>),
    /// What a person asked of a target could not be kept.
    Steer(TargetError),
    /// Too many requests or replays of a target are not done yet.
    TooManyAsked(&'static str),
    /// What a person asked of a target is kept, and not done yet.
    NotSteeredYet,
    Read(ReadError),
    Panic,
}

const BAD: StatusCode = StatusCode::BAD_REQUEST;
const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

const NOT_JSON: &str = "Content-Type must be application/json";
const NO_ISSUER_KEYS: &str = "the keys of the callers' issuers could not be fetched yet";
const WORKER_DOWN: &str = "a part of this server failed and is being restarted";
const HEAD_TOO_LARGE: &str = "the request's head is too large";
const TOO_LATE: &str = "the request did not arrive in time";
const EGRESS: &str = "room_config.egress is not allowed here, because recordings cost money: the server's setting --allow-client-egress (ALLOW_CLIENT_EGRESS) would allow it";
const NO_CREDENTIAL: &str = "a valid credential is required";
const DENIED: &str = "you may not join this room";
const CROSS_SITE: &str =
    "pages of other sites must not use your session here: the server's setting CORS_ORIGIN lists those that may";
const CALLER_UNKNOWN: &str = "who is calling cannot be checked now, try again later";
const TOO_MANY_TOKENS: &str = "too many tokens in a short time, try again later";
const WENT_WRONG: &str = "something went wrong here";
const NO_READER: &str = "a valid LiveKit token is required, as Authorization: Bearer or as access_token";
const NOT_ALLOWED: &str =
    "the token does not allow reading these events: roomList allows all of them, roomAdmin those of its room";
const NO_OPERATOR: &str = "a valid LiveKit token is required, as Authorization: Bearer";
const NO_RELAY: &str = "this server relays no events: its setting --relay (ROOMKEY_RELAY) names the file of the targets";
const NOT_STEERED_YET: &str = "this is kept and not done yet: the roomkey that relays to the target does it as soon as it can";
const FOREIGN_PAGE: &str = "pages of other sites must not read events or steer the relay here, because this server trusts LiveKit's development key, whose secret everyone knows: open the page from localhost, list its origin in the server's setting CORS_ORIGIN, or use a key of your own";

impl Refusal {
    /// The table of refusals: the only place that maps errors to statuses.
    pub(crate) fn facts(&self) -> Facts<'_> {
        use StatusCode as Code;
        match self {
            Self::Framing(text) => facts(BAD, "framing", *text).closes(),
            Self::NoSuchPath => facts(Code::NOT_FOUND, "path", "there is nothing at this path"),
            Self::Method(allowed) => {
                let text = format!("this path takes {} only", allowed.list());
                facts(Code::METHOD_NOT_ALLOWED, "method", text).with(ALLOW, allowed.header())
            }
            Self::HeadTooLarge => facts(Code::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", HEAD_TOO_LARGE).closes(),
            Self::HeadTooLate => facts(Code::REQUEST_TIMEOUT, "head_too_late", TOO_LATE).closes(),
            Self::QueryTooLong => facts(Code::URI_TOO_LONG, "query_too_long", at_most("query", QUERY_BYTES)),
            Self::UnknownName { part, name, known } => {
                let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
                facts(BAD, "field", format!("the {part} must not have \"{name}\": it can have {known}"))
            }
            Self::ContentType => facts(Code::UNSUPPORTED_MEDIA_TYPE, "content_type", NOT_JSON),
            Self::BodyTooLarge(limit) => facts(Code::PAYLOAD_TOO_LARGE, "body_too_large", at_most("body", *limit)),
            Self::BodyTooLate => facts(Code::REQUEST_TIMEOUT, "body_too_late", TOO_LATE).closes(),
            Self::BodyBroken => facts(BAD, "body_broken", "the body ended before its end"),
            Self::NotTheTutorialsFields => facts(BAD, "not_json", "roomName and participantName are required"),
            Self::NotAnObject => facts(BAD, "not_json", "the body must be a JSON object"),
            Self::TooManyValues(limit) => facts(BAD, "too_many_values", format!("the body must hold at most {limit} values")),
            Self::MissingField(field) => facts(BAD, "field", format!("{field} is required")),
            Self::Field(field, FieldError::Limit(error)) => facts(BAD, "field", format!("{field}: {error}")),
            Self::Field(field, error) => facts(BAD, "field", format!("{field} {error}")),
            Self::RoomConfiguration(field, error) => room_configuration(field, error),
            Self::Policy(error @ PolicyError::ClientEgress) => facts(Code::FORBIDDEN, "policy", EGRESS).logged_as(error),
            Self::Policy(error) => facts(Code::INTERNAL_SERVER_ERROR, "policy", WENT_WRONG).logged_as(error),
            Self::NoCredential => facts(Code::UNAUTHORIZED, "no_credential", NO_CREDENTIAL).asks_for_token(),
            Self::Caller(error) => caller(error).logged_as(error),
            Self::CrossSite => facts(Code::FORBIDDEN, "cross_site", CROSS_SITE),
            Self::Denied => facts(Code::FORBIDDEN, "denied", DENIED),
            Self::TooManyTokens { retry_after } => {
                facts(Code::TOO_MANY_REQUESTS, "too_many_tokens", TOO_MANY_TOKENS).retried_after(*retry_after)
            }
            Self::SandboxId => facts(Code::UNAUTHORIZED, "sandbox_id", "the X-Sandbox-ID header is missing or wrong"),
            Self::NoAuthorization => facts(BAD, "no_authorization", "the Authorization header is missing"),
            Self::Webhook(error) => webhook(error).logged_as(error),
            Self::Reader(error) => no_token(error, NO_READER),
            Self::ReaderCredential(error) => facts(Code::UNAUTHORIZED, "credential", NO_READER).asks_for_token().logged_as(error),
            Self::NotAllowedToRead => facts(Code::FORBIDDEN, "not_allowed", NOT_ALLOWED),
            Self::ForeignPage => facts(Code::FORBIDDEN, "not_allowed", FOREIGN_PAGE),
            Self::Operator(error) => no_token(error, NO_OPERATOR),
            Self::NotGranted(grant) => {
                facts(Code::FORBIDDEN, "not_allowed", format!("the token does not allow this: it needs {grant}"))
            }
            Self::NoRelay => facts(Code::NOT_FOUND, "no_relay", NO_RELAY),
            Self::UnknownTarget => facts(Code::NOT_FOUND, "target", "the relay has no target of this name"),
            Self::NotOwed(cursors) => {
                let cursors = cursors.iter().map(Cursor::to_string).collect::<Vec<_>>().join(", ");
                facts(Code::CONFLICT, "not_owed", format!("nothing is done, because the target does not owe {cursors}"))
            }
            Self::TooManyAsked(what) => {
                let text = format!("too many {what} of this target are not done yet: try again once it has done some of them");
                facts(UNAVAILABLE, "too_many_asked", text)
            }
            Self::Steer(error) => facts(UNAVAILABLE, "inbox", error.to_string()),
            Self::NotSteeredYet => facts(UNAVAILABLE, "not_steered", NOT_STEERED_YET),
            Self::Read(error) => facts(read_status(error), "read", error.to_string()),
            Self::Overloaded => facts(UNAVAILABLE, "overloaded", "too much at once, try again later"),
            Self::Stopping => facts(UNAVAILABLE, "stopping", "this server is about to stop"),
            Self::Inbox(error @ AppendError::QueueFull) => facts(UNAVAILABLE, "inbox_full", error.to_string()),
            Self::Inbox(error) => facts(UNAVAILABLE, "inbox", error.to_string()),
            Self::NotReady(error) => facts(UNAVAILABLE, "not_ready", error.to_string()),
            Self::NoIssuerKeys => facts(UNAVAILABLE, "not_ready", NO_ISSUER_KEYS),
            Self::WorkerDown(worker) => facts(UNAVAILABLE, "not_ready", format!("{WORKER_DOWN}: {worker}")),
            Self::Panic => facts(Code::INTERNAL_SERVER_ERROR, "panic", WENT_WRONG),
        }
    }
}

/// The request has no LiveKit token that holds. The client is not told why.
fn no_token<'a>(error: &'a Option<TokenError>, text: &'static str) -> Facts<'a> {
    let facts = facts(StatusCode::UNAUTHORIZED, error.as_ref().map_or("no_token", token_label), text).asks_for_token();
    if let Some(error) = error { facts.logged_as(error) } else { facts }
}

/// The client is not told why a credential does not hold: all answers are the same.
fn caller<'a>(error: &caller::Refused) -> Facts<'a> {
    match error {
        caller::Refused::Unauthorized(_) => facts(StatusCode::UNAUTHORIZED, "credential", NO_CREDENTIAL).asks_for_token(),
        caller::Refused::Forbidden { .. } => facts(StatusCode::FORBIDDEN, "denied", DENIED),
        caller::Refused::Unknown { retry_after, .. } => {
            facts(UNAVAILABLE, "caller_unknown", CALLER_UNKNOWN).retried_after(*retry_after)
        }
    }
}

fn at_most(what: &str, bytes: usize) -> String {
    format!("the {what} must be at most {bytes} bytes")
}

fn room_configuration<'a>(field: &str, error: &RoomConfigurationError) -> Facts<'a> {
    let text = if error.path().is_empty() { format!("{field} {error}") } else { format!("{field}.{error}") };
    match error {
        RoomConfigurationError::Webhooks { .. } => facts(StatusCode::FORBIDDEN, "policy", text),
        _ => facts(BAD, "field", text),
    }
}

/// The sender is not told why: every token and body that is wrong gets the same text.
fn webhook<'a>(error: &WebhookError) -> Facts<'a> {
    let label = match error {
        WebhookError::Token(error) => token_label(error),
        WebhookError::NoDigest => "no_digest",
        WebhookError::Digest => "digest",
    };
    if error.is_malformed() {
        return facts(BAD, label, "the Authorization header is not a token");
    }
    facts(StatusCode::UNAUTHORIZED, label, "Error validating webhook event")
}

fn read_status(error: &ReadError) -> StatusCode {
    match error {
        ReadError::NotKept => StatusCode::NOT_FOUND,
        ReadError::Gone { .. } => StatusCode::GONE,
        ReadError::Store(_) => UNAVAILABLE,
    }
}
