//! How long a client may read: until its token expires or the key that signed it is removed. Does not know what is read.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::clock::{Clock, UnixTime};
use crate::http::edge::Edge;
use crate::http::keyring::Trust;

/// The right to read, which may end at any time. Clones are independent.
#[derive(Clone, Debug)]
pub(super) struct Right {
    until: UnixTime,
    clock: Clock,
    /// The name of the key that signed the token, and the keys at the last check.
    key: Arc<str>,
    trust: Arc<Trust>,
    keyring: watch::Receiver<Arc<Trust>>,
    /// The time between two checks of the clock, which may be set.
    period: Duration,
}

impl Right {
    /// Ends at `until`, or when the key of this name changes or is no longer in the keyring. `trust` has the keys of now.
    pub(super) fn new(edge: &Edge, trust: Arc<Trust>, key: Arc<str>, until: UnixTime) -> Self {
        Self { until, clock: edge.clock.clone(), key, trust, keyring: edge.keyring.watch(), period: edge.limits.silence }
    }

    /// The name of the key that signed the token.
    pub(super) fn key(&self) -> Arc<str> {
        Arc::clone(&self.key)
    }

    /// Whether it has ended.
    pub(super) fn is_over(&mut self) -> bool {
        self.clock.now() >= self.until || !self.has_key()
    }

    /// Whether the key is still there, with the same secret.
    fn has_key(&mut self) -> bool {
        let trust = Arc::clone(&self.keyring.borrow_and_update());
        let has_key = trust.keys.find(&self.key).is_some_and(|key| self.trust.keys.find(&self.key) == Some(key));
        if has_key {
            self.trust = trust; // drops the keys that were removed
        }
        has_key
    }

    /// Completes when it has ended.
    pub(super) async fn ended(mut self) {
        while !self.is_over() {
            let pause = self.period.min(self.until.since(self.clock.now()));
            tokio::select! {
                changed = self.keyring.changed() => if changed.is_err() { pending::<()>().await },
                () = sleep(pause) => {}
            }
        }
    }
}
