//! The keys of the server, which can be replaced while it runs. Does not know where they come from.

use std::sync::Arc;

use tokio::sync::watch;

use crate::livekit::key::ApiKeys;
use crate::livekit::token_verifier::TokenVerifier;
use crate::livekit::webhook::WebhookReceiver;

/// The keys of an [`Edge`](crate::http::Edge). All clones share them.
///
/// ```
/// # use roomkey::{ApiKey, ApiKeys, clock::Clock, http::{Edge, Limits}, policy::Policy};
/// let (old, new) = (ApiKey::new("old", &"o".repeat(32))?, ApiKey::new("new", &"n".repeat(32))?);
/// let edge = Edge::new(old.clone().into(), Policy::default(), Limits::default(), Clock::system());
/// let keyring = edge.keyring();
/// // At any time while the server runs:
/// keyring.replace(ApiKeys::new(new, [old])?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keyring(Arc<watch::Sender<Arc<KeySet>>>);

/// The keys at one time, and what is derived from them.
#[derive(Debug)]
pub(crate) struct KeySet {
    pub(crate) api_keys: ApiKeys,
    pub(crate) verifier: TokenVerifier,
    pub(crate) receiver: WebhookReceiver,
}

impl Keyring {
    pub(crate) fn new(keys: ApiKeys) -> Self {
        Self(Arc::new(watch::Sender::new(KeySet::of(keys))))
    }

    /// Uses `keys` for every request from now on. A request that has begun keeps its keys, except that a reader of events is
    /// disconnected if the key of its token is gone.
    pub fn replace(&self, keys: ApiKeys) {
        self.0.send_replace(KeySet::of(keys));
    }

    /// The present keys. A request asks once, when it begins.
    pub(crate) fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.borrow())
    }

    /// The present and all later keys.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<KeySet>> {
        self.0.subscribe()
    }
}

impl KeySet {
    fn of(api_keys: ApiKeys) -> Arc<Self> {
        let verifier = TokenVerifier::new(api_keys.clone());
        Arc::new(Self { receiver: WebhookReceiver::new(verifier.clone()), verifier, api_keys })
    }
}
