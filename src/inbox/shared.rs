//! Holds what the handles of the inbox share with the writer thread: they queue what it is to commit, and wait for the outcome. Does not
//! know the store.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{SetOnce, watch};
use tokio::time::timeout;

use crate::inbox::entry::Arrival;
use crate::inbox::health::Health;
use crate::inbox::mark::Mark;
use crate::inbox::queue::{AppendError, AppendResult, ArrivalQueue};
use crate::inbox::statistics::Statistics;
use crate::inbox::store::StoreError;
use crate::inbox::target::TargetError;
use crate::inbox::target_write::{TargetWrite, Written};

/// How long an append waits for its commit. LiveKit 1.54 listens for 10 s, so its request is still answered.
const APPEND_TIMEOUT: Duration = Duration::from_secs(4);

/// What the handles of the inbox share with the thread.
pub(crate) struct Shared {
    pub(crate) statistics: Statistics,
    /// Notified of each commit, and of each move of the mark.
    pub(crate) changed: watch::Sender<()>,
    pub(crate) mark: Mark,
    pub(crate) health: Health,
    /// The thread ends when it is closed and empty.
    pub(crate) queue: ArrivalQueue,
    ended: SetOnce<()>,
}

impl Shared {
    /// `age` is the age at which entries are deleted, and `outage` why the store does not work yet.
    pub(crate) fn new(changed: watch::Sender<()>, age: Duration, outage: Option<StoreError>) -> Self {
        Self {
            statistics: Statistics::new(),
            changed,
            mark: Mark::new(age),
            health: Health::new(outage),
            queue: ArrivalQueue::default(),
            ended: SetOnce::new(),
        }
    }

    /// Has the thread commit `arrival` before this returns.
    pub(crate) async fn append(&self, arrival: Arrival) -> AppendResult {
        let appending = async {
            if self.health.is_stalled() {
                return Err(AppendError::Unavailable);
            }
            let outcome = self.queue.push(arrival)?;
            timeout(APPEND_TIMEOUT, outcome).await.ok().and_then(Result::ok).unwrap_or(Err(AppendError::Unavailable))
        };
        appending.await.inspect_err(|_| _ = self.statistics.refused.fetch_add(1, Relaxed))
    }

    /// Has the thread do `write` before this returns.
    pub(crate) async fn write(&self, write: TargetWrite) -> Result<Written, TargetError> {
        let outcome = if self.health.is_stalled() { None } else { self.queue.push_write(write) };
        let outcome = timeout(APPEND_TIMEOUT, outcome.ok_or(TargetError::Unavailable)?).await;
        outcome.ok().and_then(Result::ok).ok_or(TargetError::Unavailable)
    }

    /// Accepts no more deliveries, commits the queued ones, and waits for the end of the thread.
    pub(crate) async fn close(&self) {
        self.queue.close();
        self.ended.wait().await;
    }

    /// Cleans up after a panic of the thread, and returns whether it is still needed. A queued delivery may have caused the panic,
    /// so none is tried again here. Senders may retry.
    pub(super) fn recover(&self) -> bool {
        self.queue.clear();
        self.health.recover();
        self.changed.send_replace(()); // the panic may have come after a commit
        !self.queue.is_closed()
    }
}

/// Dropped when the thread ends, even by a panic, so that nobody waits forever.
pub(super) struct EndGuard(pub(super) Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.queue.close();
        self.0.queue.clear();
        self.0.health.end();
        let _ = self.0.ended.set(()); // there is only one thread
    }
}
