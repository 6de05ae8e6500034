//! Owns the keys that the edge answers with, which can be changed while it serves. Does not know where they come from.

use std::sync::Arc;

use tokio::sync::watch;

use crate::livekit::key::ApiKeys;
use crate::livekit::token_verifier::TokenVerifier;
use crate::livekit::webhook::WebhookReceiver;

/// The keys of an [`Edge`](crate::http::Edge). Each clone is the same one.
///
/// ```
/// # use roomkey::{ApiKey, ApiKeys, clock::Clock, http::{Edge, Limits}, policy::Policy};
/// let (old, new) = (ApiKey::new("old", &"o".repeat(32))?, ApiKey::new("new", &"n".repeat(32))?);
/// let edge = Edge::new(old.clone().into(), Policy::default(), Limits::default(), Clock::system());
/// let keyring = edge.keyring();
/// // The edge serves, and at any time:
/// keyring.replace(ApiKeys::new(new, [old])?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keyring(Arc<watch::Sender<Arc<Trust>>>);

/// What one set of keys does, made once a set.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) keys: ApiKeys,
    pub(crate) verifier: TokenVerifier,
    pub(crate) receiver: WebhookReceiver,
    /// Whether everyone can sign.
    pub(crate) is_public: bool,
}

impl Keyring {
    pub(crate) fn new(keys: ApiKeys) -> Self {
        Self(Arc::new(watch::Sender::new(Trust::of(keys))))
    }

    /// Answers every request that begins from now on with `keys`. One that has begun ends with the keys it began with, but reading
    /// the inbox ends when the key of its token is no longer there.
    pub fn replace(&self, keys: ApiKeys) {
        self.0.send_replace(Trust::of(keys));
    }

    /// The keys as they are now: a request asks once, when it begins.
    pub(crate) fn current(&self) -> Arc<Trust> {
        Arc::clone(&self.0.borrow())
    }

    /// The keys as they are now, and as they will be.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Trust>> {
        self.0.subscribe()
    }
}

impl Trust {
    fn of(keys: ApiKeys) -> Arc<Self> {
        let verifier = TokenVerifier::new(keys.clone());
        let is_public = keys.have_development();
        Arc::new(Self { is_public, receiver: WebhookReceiver::new(verifier.clone()), verifier, keys })
    }
}
