//! Builds answers: a success, or a refusal as one flat JSON object. Does not know why a request is refused.

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};

use crate::http::budget::Share;
use crate::http::content::Content;
use crate::http::facts::Facts;
use crate::http::large::{LargeBytes, keeping};
use crate::http::limits::{ANSWER_PIECE_BYTES, LARGE_BYTES};
use crate::http::refusal::Refusal;
use crate::json::{ObjectWriter, name};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The format of an error, which depends on the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorFormat {
    /// The members that hold the text. All hold the same one.
    members: &'static [&'static str],
    /// In seconds.
    retry_after: &'static str,
}

impl ErrorFormat {
    /// For the tutorials' clients.
    pub(crate) const TUTORIAL: Self = Self { members: &[name!("errorMessage")], retry_after: "1" };
    /// For clients of LiveKit's standard endpoint, which read `error`.
    pub(crate) const STANDARD: Self = Self { members: &[name!("errorMessage"), name!("error")], retry_after: "1" };
    /// For all other clients. Each may be LiveKit Server, which tries five times: with pauses of 1 s, it would give up after 4 s.
    pub(crate) const OTHER: Self = Self { members: &[name!("errorMessage")], retry_after: "5" };
}

/// An answer, before the router adds headers for CORS and for the connection.
pub(crate) type Reply = Response<Content>;

pub(crate) fn json(json: impl Into<Bytes>) -> Reply {
    private(Content::Whole(json.into()), JSON)
}

/// 200 with content for the client alone: caches must not store it, and browsers must not guess another type.
pub(crate) fn private(content: Content, content_type: HeaderValue) -> Reply {
    let mut reply = Reply::new(content);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// 200 with `json`, which may be large. `share` is its part of the budget until the client has read it.
pub(crate) fn held_json(json: Vec<u8>, mut share: Share) -> Result<Reply, Refusal> {
    if json.len() <= ANSWER_PIECE_BYTES {
        return Ok(self::json(json));
    }
    let large = if json.len() > LARGE_BYTES { Some(LargeBytes::copy_of(&json).or(Err(Refusal::Overloaded))?) } else { None };
    let bytes = large.map_or_else(|| json.into(), Bytes::from_owner);
    share.shrink_to(bytes.len());
    share.wait(); // for the client to read it
    Ok(private(Content::Whole(keeping(bytes, share)), JSON))
}

/// 200 without a body. LiveKit Server does not read bodies, and could not use the connection again after one.
pub(crate) fn empty() -> Reply {
    Reply::new(Content::Whole(Bytes::new()))
}

pub(crate) fn no_content() -> Reply {
    let mut reply = empty();
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

/// The answer to a refused request: one flat object, because clients parse it.
pub(crate) fn error(refused: Facts<'_>, format: ErrorFormat) -> Reply {
    let mut body = Vec::new();
    let mut object = ObjectWriter::begin(&mut body);
    for member in format.members {
        object.text(member, &refused.text);
    }
    object.end();
    let mut reply = json(body);
    *reply.status_mut() = refused.status;
    reply.headers_mut().extend(refused.header);
    if refused.status == StatusCode::SERVICE_UNAVAILABLE {
        let headers = reply.headers_mut();
        headers.entry(RETRY_AFTER).or_insert(HeaderValue::from_static(format.retry_after));
    }
    reply
}
