//! Owns what the log tells of a request beside what it asked for: its id, its client and its endpoint. Does not know what became
//! of it.

use std::fmt;
use std::io::Write;
use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use tracing::info;

use crate::livekit::access_token::ParticipantToken;
use crate::livekit::key::ApiKey;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Characters of an id that is taken over.
const MAX_ID_CHARS: usize = 64;

/// What the log lines of one request have in common.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) request: RequestId,
    pub(crate) client: IpAddr,
    /// As metrics name it.
    pub(crate) endpoint: &'static str,
}

impl Trace {
    /// Tells of a token that is handed out: one line each.
    pub(crate) fn token(&self, token: &ParticipantToken, key: &ApiKey) {
        info!(
            endpoint = self.endpoint,
            room = token.room(),
            identity = token.identity(),
            key = key.name(),
            client = %self.client,
            request = %self.request,
            "token"
        );
    }
}

/// Tells the log lines of one request, and its answer, from those of others.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// Of our own.
    pub(crate) fn new(number: u32) -> Self {
        let mut hex = [b'0'; 8];
        let _ = write!(&mut hex[..], "{number:08x}"); // it fits
        Self(HeaderValue::from_bytes(&hex).unwrap_or(HeaderValue::from_static("")))
    }

    /// The one that came with `headers`. It is copied, because a part of the head would keep all of it.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(REQUEST_ID).iter();
        let (id, None) = (values.next()?.as_bytes(), values.next()) else { return None };
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let is_id = (1..=MAX_ID_CHARS).contains(&id.len()) && id.iter().all(is_plain);
        if is_id { HeaderValue::from_bytes(id).ok().map(Self) } else { None }
    }

    /// As an answer carries it.
    pub(crate) fn into_header(self) -> HeaderValue {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}
