//! Decides when old entries are deleted and by which time, and logs when they cannot be. Does not know how a store deletes.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::clock::{Clock, UnixTime};
use crate::inbox::health::Health;
use crate::inbox::statistics::Statistics;
use crate::inbox::store::{Retention, Store, StoreError};
use crate::inbox::trusted_time::{ClockChange, TrustedTime};

/// How long deliveries wait while the excess is deleted; longer if it is very large.
const TURN: Duration = Duration::from_millis(100);
const LONG_TURN: Duration = Duration::from_secs(1);
/// Between two searches for targets of the relay that are not in use any more. The first is so long after the start that the relay has
/// taken its leases.
const TARGETS_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Between two warnings that nothing can be deleted.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// Deletes from a store, on the thread that writes to it.
pub(crate) struct Pruner {
    store: Arc<dyn Store>,
    retention: Retention,
    clock: Clock,
    /// `None` until the store could be asked for the time it knows.
    time: Option<TrustedTime>,
    /// Whether the last step failed.
    has_failed: bool,
    /// Whether the last search for old entries has left some.
    pub(crate) has_more: bool,
    /// When the last search for unused targets ended; at first, when this began.
    targets_at: Instant,
    warned_at: Option<Instant>,
}

impl Pruner {
    pub(crate) fn new(store: Arc<dyn Store>, retention: Retention, clock: Clock) -> Self {
        Self {
            store,
            retention,
            clock,
            time: None,
            has_failed: false,
            has_more: true,
            targets_at: Instant::now(),
            warned_at: None,
        }
    }

    /// Whether the store is too large, and deleting has not just failed.
    pub(crate) fn is_due(&self) -> bool {
        !self.has_failed && self.keeps_more_than(self.retention.bytes)
    }

    /// Whether the store is far too large, and deleting fails.
    pub(crate) fn is_out_of_room(&self) -> bool {
        self.has_failed && self.keeps_more_than(self.retention.most_bytes())
    }

    /// Deletes some old entries, more if the store is too large.
    pub(crate) fn prune(&mut self, health: &Health, statistics: &Statistics) {
        let begin = Instant::now();
        if self.targets_at.elapsed() >= TARGETS_INTERVAL {
            match health.watch(|| self.prune_targets()) {
                Ok(true) => {}
                Ok(false) => self.targets_at = begin,
                Err(error) => {
                    self.targets_at = begin;
                    self.note_failure(error, health, statistics);
                }
            }
        }
        let turn = if self.keeps_more_than(self.retention.most_bytes()) { LONG_TURN } else { TURN };
        loop {
            let pruned = health.watch(|| self.trusted_time().and_then(|now| self.store.prune(&self.retention, now)));
            match pruned {
                Ok(has_more) => (self.has_failed, self.has_more) = (false, has_more),
                Err(error) => return self.note_failure(error, health, statistics),
            }
            if !self.has_more || !self.keeps_more_than(self.retention.bytes) || begin.elapsed() >= turn {
                return;
            }
        }
    }

    fn prune_targets(&mut self) -> Result<bool, StoreError> {
        let now = self.trusted_time()?;
        self.store.prune_targets(now.saturating_sub(self.retention.age), now)
    }

    fn note_failure(&mut self, error: StoreError, health: &Health, statistics: &Statistics) {
        self.has_more = false;
        if matches!(error, StoreError::Unreached) {
            return; // an append or a probe connects
        }
        statistics.prune_failures.fetch_add(1, Relaxed);
        self.has_failed = true;
        if self.warned_at.is_none_or(|at| at.elapsed() > WARN_INTERVAL) {
            let cause = error.source().map(tracing::field::display);
            warn!(%error, cause, "old events cannot be deleted from the inbox");
            self.warned_at = Some(Instant::now());
        }
        if self.store.is_remote() || error.leaves_doubt() || matches!(error, StoreError::LogFull) {
            health.update(Err(error)); // appends would fail too
        }
    }

    /// The time to compare the age of entries with.
    fn trusted_time(&mut self) -> Result<UnixTime, StoreError> {
        let (now, at) = (self.clock.now(), Instant::now());
        let is_start = self.time.is_none();
        let time = match &mut self.time {
            Some(time) => time,
            None => self.time.insert(TrustedTime::new(self.store.known_time()?.unwrap_or(now), at)),
        };
        let (trusted, change) = time.update(now, at);
        match change {
            // roomkey did not run for a while, or no events came.
            Some(ClockChange::Leapt(ahead)) if is_start && ahead < self.retention.age => {
                info!(?ahead, "the newest event in the inbox is old: no event is deleted because of its age for an hour");
            }
            Some(ClockChange::Leapt(ahead)) => {
                warn!(
                    ?ahead,
                    "the clock is far ahead of what the inbox has seen: no event is deleted because of its age for an hour"
                );
            }
            Some(ClockChange::Returned) => info!("the clock is no longer ahead: events are deleted by their age again"),
            Some(ClockChange::Lasted) => {
                warn!("the clock has been ahead for an hour and is now trusted: old events are deleted")
            }
            None => {}
        }
        Ok(trusted)
    }

    fn keeps_more_than(&self, bytes: u64) -> bool {
        self.store.usage().is_some_and(|usage| usage.bytes > bytes)
    }
}
