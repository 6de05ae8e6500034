//! Decides when the store works on its index, so that deliveries hardly wait for it. Does not know what the index is.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::inbox::health::Health;
use crate::inbox::store::Store;

/// After a step, deliveries have the store to themselves for this many times as long as the step took.
const REST: u32 = 4;
/// After a failed step. Reads are slower meanwhile, and right.
const RETRY: Duration = Duration::from_secs(60);

/// Works on the index of a store, on the thread that writes to it.
pub(crate) struct Indexer {
    store: Arc<dyn Store>,
    /// When the next step is due, if it is known that there is one.
    due: Option<Instant>,
}

impl Indexer {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, due: None }
    }

    /// How long nothing is due, at most `most`.
    pub(crate) fn rest(&self, most: Duration) -> Duration {
        self.due.map_or(most, |due| due.saturating_duration_since(Instant::now()).min(most))
    }

    /// Does a step if one is due.
    pub(crate) fn step(&mut self, health: &Health) {
        let begin = Instant::now();
        if self.due.is_some_and(|due| due > begin) {
            return;
        }
        let rest = match health.watch(|| self.store.index()) {
            Ok(false) => None,
            Ok(true) => Some(begin.elapsed().saturating_mul(REST)),
            Err(error) => {
                let cause = error.source().map(tracing::field::display);
                warn!(%error, cause, "reading the events of one room is slow, because they cannot be indexed");
                if error.leaves_doubt() {
                    health.update(Err(error)); // appends would fail too
                }
                Some(RETRY)
            }
        };
        self.due = rest.and_then(|rest| Instant::now().checked_add(rest));
    }
}
