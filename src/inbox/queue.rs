//! Holds deliveries, and what the relay writes, until the writer thread commits them. The queue is bounded, and the thread takes
//! everything at once. Does not know the store.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::inbox::entry::Arrival;
use crate::inbox::store::Appended;
use crate::inbox::target_write::{TargetWrite, Written};
use crate::worker::lock;

/// Deliveries in the queue at most. At 10,000 a second a batch has about 50.
const CAPACITY: usize = 2048;
/// Writes of the relay in the queue at most. Each target waits for one at a time.
const WRITES_CAPACITY: usize = 1024;
/// How long the relay's writes wait for deliveries, to be committed with them. They are not urgent, and a commit of their own would hold
/// up a delivery that comes meanwhile.
const LINGER: Duration = Duration::from_millis(5);

/// Why a delivery was not committed, as far as is known. The sender should try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The queue is full.
    #[error("too many deliveries wait for the inbox")]
    QueueFull,
    /// The store fails, or takes too long. The delivery may still be committed; the next try is a duplicate then.
    #[error("the inbox cannot be written to now")]
    Unavailable,
}

/// The outcome of a delivery.
pub(crate) type AppendResult = Result<Appended, AppendError>;

/// A delivery in the queue, and where to send its outcome.
pub(crate) type Queued = (Arrival, oneshot::Sender<AppendResult>);

/// A write of the relay in the queue, and where to send its outcome. It is dropped if the write fails.
pub(crate) type QueuedWrite = (TargetWrite, oneshot::Sender<Written>);

/// What the thread takes at once.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) deliveries: Vec<Queued>,
    pub(crate) writes: Vec<QueuedWrite>,
}

impl Taken {
    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && self.writes.is_empty()
    }
}

#[derive(Default)]
pub(crate) struct ArrivalQueue {
    state: Mutex<WaitingArrivals>,
    changed: Condvar,
}

#[derive(Default)]
struct WaitingArrivals {
    deliveries: Vec<Queued>,
    writes: Vec<QueuedWrite>,
    /// How many deliveries wake the thread.
    wanted: usize,
    is_closed: bool,
    /// Whether the thread should look for other work.
    is_woken: bool,
}

impl ArrivalQueue {
    /// Adds `arrival`, and returns where its outcome will be sent.
    pub(crate) fn push(&self, arrival: Arrival) -> Result<oneshot::Receiver<AppendResult>, AppendError> {
        let (answer, outcome) = oneshot::channel();
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(AppendError::Unavailable);
        }
        if state.deliveries.len() >= CAPACITY {
            return Err(AppendError::QueueFull);
        }
        state.deliveries.push((arrival, answer));
        if state.deliveries.len() == state.wanted {
            drop(state);
            self.changed.notify_one();
        }
        Ok(outcome)
    }

    /// Adds a write of the relay, and returns where its outcome will be sent. `None` if the queue is full or closed.
    pub(crate) fn push_write(&self, write: TargetWrite) -> Option<oneshot::Receiver<Written>> {
        let (answer, outcome) = oneshot::channel();
        let mut state = lock(&self.state);
        if state.is_closed || state.writes.len() >= WRITES_CAPACITY {
            return None;
        }
        state.writes.push((write, answer));
        if state.writes.len() == 1 {
            drop(state);
            self.changed.notify_one();
        }
        Some(outcome)
    }

    /// Takes everything, after waiting `timeout` for the first delivery. Senders that were answered together send again together,
    /// so once there is one, the others get the time `gather` to arrive, up to the number `expected`. `None` once the queue is
    /// closed and empty.
    pub(crate) fn take(&self, timeout: Duration, expected: usize, gather: Duration) -> Option<Taken> {
        let mut state = self.wait(lock(&self.state), 1, timeout, |state| !state.writes.is_empty());
        if !state.writes.is_empty() {
            state = self.wait(state, 1, LINGER, |_| false);
        }
        state.is_woken = false;
        if !state.deliveries.is_empty() {
            state = self.wait(state, expected, gather, |_| false);
        }
        // The next batch will be about as large.
        let next = Vec::with_capacity(state.deliveries.len());
        let deliveries = std::mem::replace(&mut state.deliveries, next);
        let taken = Taken { deliveries, writes: std::mem::take(&mut state.writes) };
        if taken.is_empty() && state.is_closed { None } else { Some(taken) }
    }

    /// Waits for the number of deliveries that is `wanted`, or for something else that `suffices`.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, WaitingArrivals>,
        wanted: usize,
        timeout: Duration,
        suffices: impl Fn(&WaitingArrivals) -> bool,
    ) -> MutexGuard<'a, WaitingArrivals> {
        state.wanted = wanted;
        let is_short = |state: &mut WaitingArrivals| {
            state.deliveries.len() < wanted && !state.is_closed && !state.is_woken && !suffices(state)
        };
        self.changed.wait_timeout_while(state, timeout, is_short).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Ends the current wait for deliveries.
    pub(crate) fn wake(&self) {
        lock(&self.state).is_woken = true;
        self.changed.notify_one();
    }

    /// Accepts no more deliveries. The ones in the queue can still be taken.
    pub(crate) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.changed.notify_one();
    }

    /// Drops everything in it. The senders are told to try again.
    pub(crate) fn clear(&self) {
        let mut state = lock(&self.state);
        state.deliveries.clear();
        state.writes.clear();
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).is_closed
    }
}
