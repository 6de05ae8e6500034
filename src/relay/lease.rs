//! The right to send to a target, as far as this roomkey knows: it is certain only for a while after each renewal. Does not know how
//! it is got.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The lease lasts 15 s. One that was not renewed for longer than this may soon be another's.
const PATIENCE: Duration = Duration::from_secs(10);

/// Cheap to clone; the clones share the time of the last renewal.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(super) epoch: u64,
    begin: Instant,
    /// In milliseconds after `begin`.
    renewed_at: Arc<AtomicU64>,
}

impl Lease {
    /// The lease of `epoch`, which was asked for at `at`.
    pub(super) fn new(epoch: u64, at: Instant) -> Self {
        Self { epoch, begin: at, renewed_at: Arc::default() }
    }

    /// Notes a renewal that was asked for at `at`.
    pub(super) fn renewed(&self, at: Instant) {
        let after = at.saturating_duration_since(self.begin).as_millis();
        self.renewed_at.store(after.try_into().unwrap_or(u64::MAX), Relaxed);
    }

    /// Whether nobody else can hold it. A process that was stopped, or waited for a connection, has to ask again before it sends.
    pub(super) fn is_certain(&self) -> bool {
        let since = self.begin.elapsed().checked_sub(Duration::from_millis(self.renewed_at.load(Relaxed)));
        since.is_some_and(|since| since < PATIENCE)
    }
}
