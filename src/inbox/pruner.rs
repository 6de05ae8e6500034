//! Owns when entries are deleted that are not to be kept, by which time, and what is said if they cannot be. Does not know how a store
//! deletes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::clock::{Clock, UnixTime};
use crate::inbox::age::{Notice, TrustedTime};
use crate::inbox::health::Health;
use crate::inbox::statistics::Statistics;
use crate::inbox::store::{Retention, Store, StoreError};

/// How long the others wait while what is too much is deleted: a moment, or longer if it is far too much.
const TURN: Duration = Duration::from_millis(100);
const LONG_TURN: Duration = Duration::from_secs(1);
/// Between two warnings that nothing can be deleted.
const WARN_PAUSE: Duration = Duration::from_secs(60);

/// Deletes from a store, on the thread that writes to it.
#[derive(Debug)]
pub(crate) struct Pruner {
    store: Arc<dyn Store>,
    retention: Retention,
    clock: Clock,
    /// `None` until the store has told what it knows.
    time: Option<TrustedTime>,
    /// Whether the last step failed, and when that was last warned of.
    has_failed: bool,
    warned: Option<Instant>,
}

impl Pruner {
    pub(crate) fn new(store: Arc<dyn Store>, retention: Retention, clock: Clock) -> Self {
        Self { store, retention, clock, time: None, has_failed: false, warned: None }
    }

    /// Whether too much is kept, and can be deleted as far as is known.
    pub(crate) fn is_due(&self) -> bool {
        !self.has_failed && self.keeps_more_than(self.retention.bytes)
    }

    /// Whether far too much is kept, and cannot be deleted.
    pub(crate) fn is_out_of_room(&self) -> bool {
        self.has_failed && self.keeps_more_than(self.retention.most_bytes())
    }

    /// Takes a step in deleting what is not to be kept, or some where it is too much; whether another one is due.
    pub(crate) fn prune(&mut self, health: &Health, statistics: &Statistics) -> bool {
        let begin = Instant::now();
        let is_far_too_much = self.keeps_more_than(self.retention.most_bytes());
        let turn = if is_far_too_much { LONG_TURN } else { TURN };
        loop {
            let pruned = health.watch(|| self.trusted_time().and_then(|now| self.store.prune(&self.retention, now)));
            match pruned {
                Ok(true) if self.keeps_more_than(self.retention.bytes) && begin.elapsed() < turn => {}
                Ok(more) => {
                    self.has_failed = false;
                    return more;
                }
                Err(error) => {
                    self.note_failure(error, health, statistics);
                    return false;
                }
            }
        }
    }

    fn note_failure(&mut self, error: StoreError, health: &Health, statistics: &Statistics) {
        if matches!(error, StoreError::Unreached) {
            return; // an append or a probe connects
        }
        statistics.prune_failures.fetch_add(1, Relaxed);
        self.has_failed = true;
        if self.warned.is_none_or(|warned| warned.elapsed() > WARN_PAUSE) {
            let cause = error.cause().map(tracing::field::display);
            warn!(%error, cause, "events that are too old or too many cannot be deleted from the inbox");
            self.warned = Some(Instant::now());
        }
        if self.store.is_remote() || error.leaves_doubt() || matches!(error, StoreError::LogFull) {
            health.judge(Err(error)); // appends would fail as well
        }
    }

    /// The time by which entries are too old.
    fn trusted_time(&mut self) -> Result<UnixTime, StoreError> {
        let (now, at) = (self.clock.now(), Instant::now());
        let is_start = self.time.is_none();
        let time = match &mut self.time {
            Some(time) => time,
            None => {
                let known = self.store.known_time()?;
                self.time.insert(TrustedTime::new(known.unwrap_or(now), at))
            }
        };
        let (trusted, notice) = time.tell(now, at);
        match notice {
            // It was off for a while, or nothing came.
            Some(Notice::Leapt(ahead)) if is_start && ahead < self.retention.age => {
                info!(?ahead, "the newest event in the inbox is old: none is deleted because of its age for an hour");
            }
            Some(Notice::Leapt(ahead)) => {
                warn!(
                    ?ahead,
                    "the clock is far ahead of what the inbox has seen: no event is deleted because of its age for an hour"
                );
            }
            Some(Notice::Returned) => info!("the clock is no longer ahead: events are deleted by their age again"),
            Some(Notice::Lasted) => {
                warn!("the clock has been ahead for an hour and is taken to be right: events that are too old go")
            }
            None => {}
        }
        Ok(trusted)
    }

    fn keeps_more_than(&self, bytes: u64) -> bool {
        self.store.usage().is_some_and(|usage| usage.bytes > bytes)
    }
}
