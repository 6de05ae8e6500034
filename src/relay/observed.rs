//! Counts what the relay does for a target. Does not know the format of the metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::inbox::Histogram;
use crate::inbox::target::{Lag, OwedCounts};
use crate::relay::failure::{Failure, FailureKind};
use crate::relay::sender::Outcome;
use crate::worker::lock;

/// In the order of the counters.
const OUTCOMES: [&str; 5] = ["delivered", "refused", "connect", "timeout", "exchange"];
const DURATION_MICROS: [u64; 12] =
    [1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 15_000_000, 60_000_000];

/// What the relay has done for a target since the start.
#[derive(Debug)]
pub(super) struct Counters {
    attempts: [AtomicU64; 5],
    duration: Arc<Histogram<12>>,
    pub(super) expired: AtomicU64,
    current: Mutex<Current>,
}

/// How the target is now, as far as this roomkey knows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Current {
    pub(super) lag: Lag,
    pub(super) owed: OwedCounts,
    pub(super) is_down: bool,
    pub(super) holds_lease: bool,
}

/// What is known of a target, for metrics.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) target: Arc<str>,
    /// The attempts with each outcome.
    pub(crate) attempts: [(&'static str, u64); 5],
    /// How long attempts took, in microseconds.
    pub(crate) duration: Arc<Histogram<12>>,
    pub(crate) lag: Lag,
    pub(crate) owed: OwedCounts,
    pub(crate) is_down: bool,
    pub(crate) holds_lease: bool,
    pub(crate) expired: u64,
}

impl Counters {
    pub(super) fn new() -> Self {
        let duration = Arc::new(Histogram::new(DURATION_MICROS));
        Self { attempts: Default::default(), duration, expired: AtomicU64::new(0), current: Mutex::default() }
    }

    /// An attempt that took `duration`, out of `timeout`.
    pub(super) fn attempt(&self, outcome: &Outcome, duration: Duration, timeout: Duration) {
        let place = match outcome {
            Outcome::Unsent => return,
            Outcome::Delivered => 0,
            Outcome::Gone | Outcome::Failed(Failure { status: Some(_), .. }) => 1,
            Outcome::Failed(_) if duration >= timeout => 3,
            Outcome::Failed(Failure { kind: FailureKind::Connect, .. }) => 2,
            Outcome::Failed(_) => 4,
        };
        if let Some(counter) = self.attempts.get(place) {
            counter.fetch_add(1, Relaxed);
        }
        self.duration.observe(duration.as_micros().try_into().unwrap_or(u64::MAX));
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Current)) {
        change(&mut lock(&self.current));
    }

    pub(super) fn observed(&self, target: Arc<str>) -> Observed {
        let Current { lag, owed, is_down, holds_lease } = *lock(&self.current);
        let mut attempts = OUTCOMES.map(|outcome| (outcome, 0));
        for ((_, count), counter) in attempts.iter_mut().zip(&self.attempts) {
            *count = counter.load(Relaxed);
        }
        let (duration, expired) = (Arc::clone(&self.duration), self.expired.load(Relaxed));
        Observed { target, attempts, duration, lag, owed, is_down, holds_lease, expired }
    }
}
