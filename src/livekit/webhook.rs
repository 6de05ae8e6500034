//! Verifies webhooks (livekit/protocol `webhook/verifier.go`): first the token, then the body. The result is a [`Delivery`], which
//! nothing else can make. Does not know how either arrived.

use std::fmt;
use std::sync::Arc;

use crate::clock::UnixTime;
use crate::jws;
use crate::livekit::event::{NotAnEvent, WebhookEvent};
use crate::livekit::event_details::EventDetails;
use crate::livekit::token_verifier::{TokenError, TokenVerifier};

/// Characters of a SHA-256 in standard base64.
const DIGEST_CHARS: usize = 44;

/// Receives LiveKit's webhooks: verifies the token in `Authorization`, and that the body is the one it was signed for.
///
/// ```
/// # use roomkey::{ApiKey, TokenVerifier, UnixTime, WebhookReceiver};
/// # let authorization = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJBUElkZXZlbG9wRml4dHVyZSIsImV4cCI6MTc5NTMxNzYxNSwibmJmIjoxNzk1MzE3MzE1LCJpYXQiOjE3OTUzMTczMTUsInNoYTI1NiI6InpEcEpGdWZCQnFQWkVTb2txVEoyakpkRjBjQS9WVitIVkJDUFRuN3pzTTg9In0.TRMmEWjBWooCF4sltR6KNoWBp9uVLOEFJNwcaszRPb4";
/// # let body = include_bytes!("../../fixtures/deliveries/001-room_started.body");
/// # let now = UnixTime::from_secs(1_795_317_315);
/// let verifier = TokenVerifier::with_api_key("APIdevelopFixture", "fixtureSecret-for-tests-only-0123456789abcdef")?;
/// let receiver = WebhookReceiver::new(verifier);
///
/// let delivery = receiver.receive(authorization, body, now)?;
/// assert_eq!(delivery.key(), "APIdevelopFixture");
/// let event = delivery.event()?;
/// assert_eq!(event.event, "room_started");
/// assert_eq!(event.room_name(), Some("daily-standup"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct WebhookReceiver {
    verifier: TokenVerifier,
}

impl WebhookReceiver {
    /// A receiver that trusts the keys of `verifier`.
    #[must_use]
    pub fn new(verifier: TokenVerifier) -> Self {
        Self { verifier }
    }

    /// The delivery of `body`, if `authorization` is valid for it at `now`.
    ///
    /// # Errors
    /// As [`authenticate`](Self::authenticate) and [`Authenticated::accept`].
    pub fn receive<B: AsRef<[u8]>>(&self, authorization: &str, body: B, now: UnixTime) -> Result<Delivery<B>, WebhookError> {
        self.authenticate(authorization, now)?.accept(body)
    }

    /// Verifies the value of `Authorization`, before any of the body is read. It is a bare token, as LiveKit sends it, or one after
    /// `Bearer `, as some proxies write it.
    ///
    /// # Errors
    /// If the token is not valid at `now`, or has no digest of a body.
    pub fn authenticate(&self, authorization: &str, now: UnixTime) -> Result<Authenticated, WebhookError> {
        self.verifier.authenticate(strip_bearer(authorization), now, |key, claims| {
            let digest = claims.sha256.ok_or(WebhookError::NoDigest)?;
            let digest = digest.as_bytes().try_into().or(Err(WebhookError::Digest))?;
            Ok(Authenticated { key: key.shared_name(), digest })
        })?
    }
}

/// The rest of `authorization` after an optional `Bearer` in any case ([RFC 6750, section 2.1]).
///
/// [RFC 6750, section 2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
pub(crate) fn strip_bearer(authorization: &str) -> &str {
    match authorization.split_at_checked("bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token.trim_start_matches(' '),
        _ => authorization,
    }
}

/// A sender with a valid token, and the digest of the only body that it may deliver.
#[derive(Debug)]
pub struct Authenticated {
    key: Arc<str>,
    digest: [u8; DIGEST_CHARS],
}

impl Authenticated {
    /// The delivery, if the token was signed for `body`.
    ///
    /// # Errors
    /// [`WebhookError::Digest`] if it was signed for another one. Then the body is dropped.
    pub fn accept<B: AsRef<[u8]>>(self, body: B) -> Result<Delivery<B>, WebhookError> {
        match self.digest_of(body.as_ref()) {
            Some(digest) => Ok(Delivery { body, digest, key: self.key }),
            None => Err(WebhookError::Digest),
        }
    }

    /// Whether the token was signed for `body`. Unlike [`accept`](Self::accept), this can be called again.
    #[must_use]
    pub fn vouches_for(&self, body: &[u8]) -> bool {
        self.digest_of(body).is_some()
    }

    /// The SHA-256 of `body`, if the token was signed for it.
    fn digest_of(&self, body: &[u8]) -> Option<[u8; 32]> {
        let digest = jws::sha256(body);
        let [characters @ .., padding] = &self.digest;
        (*characters == jws::encode_digest::<b'+', b'/'>(digest) && *padding == b'=').then(|| jws::to_bytes(digest))
    }
}

/// A verified POST from LiveKit: the body, byte for byte, and the key that signed it. Only [`Authenticated::accept`] makes one.
#[derive(Clone)]
pub struct Delivery<B> {
    body: B,
    digest: [u8; 32],
    key: Arc<str>,
}

impl<B: AsRef<[u8]>> Delivery<B> {
    /// The body, unchanged. It may hold secrets (`room.turnPassword`, `ingressInfo.streamKey`), so never log all of it.
    pub fn body(&self) -> &[u8] {
        self.body.as_ref()
    }

    /// The body's SHA-256.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The name of the API key that signed.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The body, the name of the key that signed, and the body's SHA-256.
    #[cfg(feature = "server")]
    pub(crate) fn into_parts(self) -> (B, Arc<str>, [u8; 32]) {
        (self.body, self.key, self.digest)
    }

    /// The body as an event. [`details`](Self::details) has the rest.
    ///
    /// # Errors
    /// If the body is not a JSON object. It is authentic nevertheless.
    pub fn event(&self) -> Result<WebhookEvent<'_>, NotAnEvent> {
        WebhookEvent::parse(self.body())
    }

    /// What the body says beyond [`event`](Self::event): metadata, attributes, states, times, the results of an egress.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub fn details(&self) -> Result<EventDetails<'_>, NotAnEvent> {
        EventDetails::parse(self.body())
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Delivery<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("key", &self.key).field("bytes", &self.body().len()).finish_non_exhaustive()
    }
}

/// Why a webhook is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The token is not valid.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// The token is valid, but has no `sha256`, so it is not the token of a webhook.
    #[error("the token has no sha256, so it is not the token of a webhook")]
    NoDigest,
    /// The token was signed for another body.
    #[error("the body is not the one that the token was signed for")]
    Digest,
}

impl WebhookError {
    /// Whether the header did not even have the form of a token.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        matches!(self, Self::Token(TokenError::Jws(jws::Error::Malformed)))
    }
}
