//! Owns the place where deliveries wait for the thread that commits them: bounded, and emptied all at once.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::inbox::entry::Arrival;
use crate::inbox::lock;
use crate::inbox::store::Appended;

/// Deliveries that may wait. At 10,000 a second a batch has some 50.
const CAPACITY: usize = 2048;

/// Why a delivery is not in the inbox, as far as is known. Its sender should come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendError {
    /// Too many wait.
    QueueFull,
    /// The store fails, or takes too long. The delivery may be committed nevertheless; then it is a duplicate when it comes again.
    Unavailable,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "too many deliveries wait for the inbox",
            Self::Unavailable => "the inbox cannot be written to now",
        })
    }
}

impl std::error::Error for AppendError {}

/// What becomes of a delivery.
pub(crate) type Outcome = Result<Appended, AppendError>;

/// A delivery, and who wants to know what becomes of it.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) arrival: Arrival,
    pub(crate) answer: oneshot::Sender<Outcome>,
}

/// The deliveries that wait.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug)]
struct State {
    waiting: Vec<Waiting>,
    /// How many have to wait before the thread is woken.
    wanted: usize,
    closed: bool,
    /// Whether the thread is to look for other work.
    nudged: bool,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { waiting: Vec::new(), wanted: 1, closed: false, nudged: false }), filled: Condvar::new() }
    }

    /// Lets `arrival` wait, and gives where its outcome will be told.
    pub(crate) fn push(&self, arrival: Arrival) -> Result<oneshot::Receiver<Outcome>, AppendError> {
        let (answer, outcome) = oneshot::channel();
        let mut state = lock(&self.state);
        if state.closed {
            return Err(AppendError::Unavailable);
        }
        if state.waiting.len() >= CAPACITY {
            return Err(AppendError::QueueFull);
        }
        state.waiting.push(Waiting { arrival, answer });
        if state.waiting.len() == state.wanted {
            drop(state);
            self.filled.notify_one();
        }
        Ok(outcome)
    }

    /// All that waits; where nothing does within `within`, nothing. `None` once the queue is closed and empty. Senders that were
    /// answered together come again together: where some are there, the others have a moment to come too, up to `crowd`.
    pub(crate) fn take(&self, within: Duration, crowd: usize, gather: Duration) -> Option<Vec<Waiting>> {
        let mut state = self.wait(lock(&self.state), 1, within);
        state.nudged = false;
        if !state.waiting.is_empty() {
            state = self.wait(state, crowd, gather);
        }
        let waiting = std::mem::take(&mut state.waiting);
        if waiting.is_empty() && state.closed { None } else { Some(waiting) }
    }

    /// Waits until so many wait as are `wanted`, or for as long as `within`.
    fn wait<'a>(&'a self, mut state: MutexGuard<'a, State>, wanted: usize, within: Duration) -> MutexGuard<'a, State> {
        state.wanted = wanted;
        let is_short = |state: &mut State| state.waiting.len() < wanted && !state.closed && !state.nudged;
        self.filled.wait_timeout_while(state, within, is_short).unwrap_or_else(std::sync::PoisonError::into_inner).0
    }

    /// Ends the wait for deliveries, once.
    pub(crate) fn nudge(&self) {
        lock(&self.state).nudged = true;
        self.filled.notify_one();
    }

    /// Takes no more. What waits still can be taken.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.filled.notify_one();
    }

    /// Forgets what waits. Its senders are told to come again.
    pub(crate) fn forget(&self) {
        lock(&self.state).waiting.clear();
    }

    /// Whether it takes no more.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }
}
