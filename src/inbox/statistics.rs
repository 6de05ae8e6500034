//! Counts what the inbox has done since the start. Does not know the format of the metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::inbox::entry::Arrival;
use crate::inbox::store::Appended;

/// What the inbox has done since the start.
#[derive(Debug)]
#[non_exhaustive]
pub struct Statistics {
    /// Deliveries that became entries.
    pub committed: AtomicU64,
    /// Deliveries that were entries before.
    pub duplicates: AtomicU64,
    /// Deliveries with the id of an entry and another body.
    pub conflicts: AtomicU64,
    /// Deliveries whose senders were told to try again.
    pub refused: AtomicU64,
    /// Failed attempts to delete old entries.
    pub prune_failures: AtomicU64,
    /// Current followers.
    pub followers: AtomicU64,
    /// Deliveries in each batch.
    pub batch_size: Histogram<8>,
    /// Microseconds that each batch took to commit, or to fail.
    pub commit_micros: Histogram<12>,
}

impl Statistics {
    pub(crate) const fn new() -> Self {
        Self {
            committed: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            prune_failures: AtomicU64::new(0),
            followers: AtomicU64::new(0),
            batch_size: Histogram::new([1, 4, 16, 64, 256, 512, 1024, 2048]),
            commit_micros: Histogram::new([
                250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000,
            ]),
        }
    }

    pub(crate) fn batch(&self, batch: &[Arrival], appended: &[Appended], duration: Duration) {
        self.batch_size.observe(batch.len().try_into().unwrap_or(u64::MAX));
        self.commit_micros.observe(duration.as_micros().try_into().unwrap_or(u64::MAX));
        let counters = [
            (Appended::Committed, &self.committed),
            (Appended::Duplicate, &self.duplicates),
            (Appended::Conflict, &self.conflicts),
        ];
        for (outcome, counter) in counters {
            counter.fetch_add(appended.iter().map(|each| u64::from(*each == outcome)).sum(), Relaxed);
        }
    }
}

/// Counts how many values were at most each of some bounds.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: [u64; N],
    buckets: [AtomicU64; N],
    sum: AtomicU64,
    count: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    pub(crate) const fn new(bounds: [u64; N]) -> Self {
        Self { bounds, buckets: [const { AtomicU64::new(0) }; N], sum: AtomicU64::new(0), count: AtomicU64::new(0) }
    }

    pub(crate) fn observe(&self, value: u64) {
        for (_, bucket) in self.bounds.iter().zip(&self.buckets).filter(|(bound, _)| value <= **bound) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(value, Relaxed);
        self.count.fetch_add(1, Relaxed);
    }

    /// Each bound, and how many values were at most that.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        self.bounds.iter().zip(&self.buckets).map(|(bound, bucket)| (*bound, bucket.load(Relaxed)))
    }

    /// The sum of all values.
    pub fn sum(&self) -> u64 {
        self.sum.load(Relaxed)
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }
}
