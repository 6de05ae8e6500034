//! Owns how long a reader may read: until its token ends, and no longer than the key that signed it is among the keys. Does not
//! know what is read.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::clock::{Clock, UnixTime};
use crate::http::Edge;
use crate::http::keyring::Trust;

/// A reader's right to read, which may end at any time. Each clone is of its own.
#[derive(Clone, Debug)]
pub(super) struct Right {
    until: UnixTime,
    clock: Clock,
    /// The name of the key that signed the token, and the keys that the right was last judged by.
    key: Arc<str>,
    trust: Arc<Trust>,
    keyring: watch::Receiver<Arc<Trust>>,
    /// Between two looks at the clock, which may be set.
    look: Duration,
}

impl Right {
    /// Of the key of this name among the keys in `trust`, until `until`.
    pub(super) fn new(edge: &Edge, trust: Arc<Trust>, key: Arc<str>, until: UnixTime) -> Self {
        Self { until, clock: edge.clock.clone(), key, trust, keyring: edge.keyring.watch(), look: edge.limits.silence }
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
            self.trust = trust; // so that keys that were removed are forgotten
        }
        has_key
    }

    /// Done when it has ended.
    pub(super) async fn ended(mut self) {
        while !self.is_over() {
            let look = self.look.min(self.until.since(self.clock.now()));
            tokio::select! {
                changed = self.keyring.changed() => if changed.is_err() { pending::<()>().await },
                () = sleep(look) => {}
            }
        }
    }
}
