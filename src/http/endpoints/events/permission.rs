//! How long a client may read: until its token expires or the key that signed it is removed. Does not know what is read.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::clock::{Clock, UnixTime};
use crate::http::edge::Edge;
use crate::http::keyring::KeySet;

/// The permission to read, which may end at any time. Clones are independent.
#[derive(Clone, Debug)]
pub(super) struct Permission {
    until: UnixTime,
    clock: Clock,
    /// The name of the key that signed the token.
    pub(super) key: Arc<str>,
    /// The keys at the last check.
    keys: Arc<KeySet>,
    keyring: watch::Receiver<Arc<KeySet>>,
    /// The time between two checks of the clock, which may be set.
    period: Duration,
}

impl Permission {
    /// Ends at `until`, or when `key`, which is one of the present `keys`, is changed or removed.
    pub(super) fn new(edge: &Edge, keys: Arc<KeySet>, key: Arc<str>, until: UnixTime) -> Self {
        Self { until, clock: edge.clock.clone(), key, keys, keyring: edge.keyring.watch(), period: edge.limits.silence }
    }

    pub(super) fn is_over(&mut self) -> bool {
        self.clock.now() >= self.until || !self.has_key()
    }

    /// Whether the key is still there, with the same secret.
    fn has_key(&mut self) -> bool {
        let keys = Arc::clone(&self.keyring.borrow_and_update());
        let has_key = keys.api_keys.find(&self.key).is_some_and(|key| self.keys.api_keys.find(&self.key) == Some(key));
        if has_key {
            self.keys = keys; // drops the keys that were removed
        }
        has_key
    }

    /// Completes when it is polled after the end. It wakes nobody: [`ended`](Self::ended) does that.
    pub(super) async fn over(&mut self) {
        poll_fn(|_| if self.is_over() { Poll::Ready(()) } else { Poll::Pending }).await;
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
