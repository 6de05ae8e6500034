//! Writes the request of an attempt: its body, its headers and their signatures. Does not know the connection, nor what follows.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, InvalidHeaderValue};
use sha2::{Digest, Sha256};

use crate::clock::UnixTime;
use crate::inbox::Entry;
use crate::jws;
use crate::livekit::access_token::{AccessToken, AccessTokenError};
use crate::livekit::key::ApiKey;
use crate::livekit::redaction::redact;
use crate::relay::settings::TargetSettings;

/// How long a request's token is valid (livekit/protocol `webhook/url_notifier.go`).
const TOKEN_TTL: Duration = Duration::from_secs(5 * 60);
/// The longest id that is sent as it is.
const MAX_ID_BYTES: usize = 255;

// The names of Standard Webhooks (spec/standard-webhooks.md, "Webhook headers").
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const CURSOR: HeaderName = HeaderName::from_static("roomkey-cursor");
const RECEIVED: HeaderName = HeaderName::from_static("roomkey-received");
const ATTEMPT: HeaderName = HeaderName::from_static("roomkey-attempt");
const LATE: HeaderName = HeaderName::from_static("roomkey-late");
const REPLAY: HeaderName = HeaderName::from_static("roomkey-replay");

/// An event that is sent to a target.
#[derive(Clone, Debug)]
pub(in crate::relay) struct Attempt {
    pub(in crate::relay) entry: Entry,
    /// Which attempt this is, from 1.
    pub(in crate::relay) attempt: u32,
    /// Whether the order of its room was given up for it.
    pub(in crate::relay) is_late: bool,
    /// Whether it was asked for once more.
    pub(in crate::relay) is_replay: bool,
}

/// Writes the requests to one target.
#[derive(Debug)]
pub(in crate::relay) struct RequestWriter {
    /// What all requests share.
    shared: Request<()>,
    key: ApiKey,
    standard_webhooks_key: Option<jws::Key>,
    redacts: bool,
}

impl RequestWriter {
    pub(in crate::relay) fn new(settings: &TargetSettings) -> Self {
        let mut shared = settings.endpoint.post();
        shared.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/webhook+json"));
        Self {
            shared,
            key: settings.key.clone(),
            standard_webhooks_key: settings.standard_webhooks_key.clone(),
            redacts: settings.options.redacts,
        }
    }

    /// The request of `attempt`, signed at `now`.
    pub(in crate::relay) fn write(&self, attempt: &Attempt, now: UnixTime) -> Result<Request<Full<Bytes>>, RequestError> {
        let entry = &attempt.entry;
        let body = if self.redacts { redacted(&entry.body) } else { entry.body.clone() };
        let digest = Sha256::digest(&body);
        let token = AccessToken::new().with_sha256(BASE64.encode(digest)).with_ttl(TOKEN_TTL).to_jwt(&self.key, now)?;
        let id = webhook_id(&entry.id, &digest);

        let mut request = self.shared.clone();
        let headers = request.headers_mut();
        if let Some(key) = &self.standard_webhooks_key {
            let signed = [format!("{id}.{}.", now.as_secs()).as_bytes(), &body].concat();
            let signature = BASE64.encode(key.mac(&signed));
            headers.insert(WEBHOOK_TIMESTAMP, now.as_secs().into());
            headers.insert(WEBHOOK_SIGNATURE, HeaderValue::try_from(format!("v1,{signature}"))?);
        }
        headers.insert(AUTHORIZATION, HeaderValue::try_from(token)?);
        headers.insert(WEBHOOK_ID, HeaderValue::from_str(&id)?);
        headers.insert(CURSOR, HeaderValue::try_from(entry.cursor.to_string())?);
        headers.insert(RECEIVED, HeaderValue::try_from(entry.received.to_rfc3339().to_string())?);
        headers.insert(ATTEMPT, attempt.attempt.into());
        for (name, is_set) in [(LATE, attempt.is_late), (REPLAY, attempt.is_replay)] {
            if is_set {
                headers.insert(name, HeaderValue::from_static("1"));
            }
        }
        Ok(request.map(|()| Full::new(body)))
    }
}

/// `body` without the secrets that only `roomAdmin` may see.
fn redacted(body: &Bytes) -> Bytes {
    match redact(body) {
        Cow::Borrowed(_) => body.clone(),
        Cow::Owned(redacted) => redacted.into(),
    }
}

/// The event's id, or one that is made from the `digest` of the body if a header cannot have it.
fn webhook_id<'a>(id: &'a str, digest: &[u8]) -> Cow<'a, str> {
    if (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return id.into();
    }
    let mut made = "sha256-".to_owned();
    for byte in digest {
        let _ = write!(made, "{byte:02x}"); // a string takes everything
    }
    made.into()
}

/// Why a request cannot be written. No event is known to cause it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(in crate::relay) enum RequestError {
    #[error("the request cannot be signed: {0}")]
    Token(#[from] AccessTokenError),
    #[error("the request has a header that HTTP does not allow: {0}")]
    Header(#[from] InvalidHeaderValue),
}
