//! How long a client may read: until its token expires, the key that signed it is removed, or the policy no longer allows it. Does
//! not know what is read.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::clock::{Clock, UnixTime};
use crate::http::edge::Edge;
use crate::http::endpoints::events::caller_watch::CallerWatch;
use crate::http::keyring::KeySet;

/// The permission to read, which may end at any time. Clones are independent.
#[derive(Clone, Debug)]
pub(super) struct Permission {
    until: UnixTime,
    clock: Clock,
    proof: Proof,
    /// The time between two checks of the clock, which may be set.
    period: Duration,
}

/// What the permission depends on.
#[derive(Clone, Debug)]
enum Proof {
    /// The key that signed the token.
    Key {
        name: Arc<str>,
        /// The keys at the last check.
        keys: Arc<KeySet>,
        keyring: watch::Receiver<Arc<KeySet>>,
    },
    Caller(CallerWatch),
}

impl Permission {
    /// Ends at `until`, or when the key `name`, which is one of the present `keys`, is changed or removed.
    pub(super) fn of_key(edge: &Edge, keys: Arc<KeySet>, name: Arc<str>, until: UnixTime) -> Self {
        Self::new(edge, Proof::Key { name, keys, keyring: edge.keyring.watch() }, until)
    }

    /// Ends at `until`, or when `watch` says so.
    pub(super) fn of_caller(edge: &Edge, watch: CallerWatch, until: UnixTime) -> Self {
        Self::new(edge, Proof::Caller(watch), until)
    }

    fn new(edge: &Edge, proof: Proof, until: UnixTime) -> Self {
        Self { until, clock: edge.clock.clone(), proof, period: edge.limits.silence }
    }

    pub(super) fn is_over(&mut self) -> bool {
        self.clock.now() >= self.until || !self.proof.holds()
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
                () = self.proof.changed() => {}
                () = sleep(pause) => {}
            }
        }
    }
}

impl Proof {
    fn holds(&mut self) -> bool {
        match self {
            // The key has to be there, with the same secret.
            Self::Key { name, keys, keyring } => {
                let now = Arc::clone(&keyring.borrow_and_update());
                let has_key = now.api_keys.find(name).is_some_and(|key| keys.api_keys.find(name) == Some(key));
                if has_key {
                    *keys = now; // drops the keys that were removed
                }
                has_key
            }
            Self::Caller(watch) => watch.holds(),
        }
    }

    /// Completes when it may no longer hold.
    async fn changed(&mut self) {
        match self {
            Self::Key { keyring, .. } => {
                if keyring.changed().await.is_err() {
                    pending::<()>().await;
                }
            }
            Self::Caller(watch) => watch.changed().await,
        }
    }
}
