//! The right to send to a target, as far as this roomkey knows: it is certain only for a while after each renewal. Does not know how
//! it is got.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The lease lasts 15 s. One that was not renewed for longer than this may soon be another's.
const PATIENCE: Duration = Duration::from_secs(10);

/// A moment on a clock that goes on while the machine is suspended, unlike that of [`Instant`](std::time::Instant).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(Duration);

impl Moment {
    pub(super) fn now() -> Self {
        Self(clock_gettime(ClockId::Boottime).try_into().unwrap_or_default())
    }

    #[cfg(test)]
    pub(super) fn ago(age: Duration) -> Self {
        Self(Self::now().0.saturating_sub(age))
    }
}

/// Cheap to clone; the clones share the time of the last renewal.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(super) epoch: u64,
    /// The [`Moment`] in milliseconds.
    renewed_at: Arc<AtomicU64>,
}

impl Lease {
    /// The lease of `epoch`, which was asked for at `at`.
    pub(super) fn new(epoch: u64, at: Moment) -> Self {
        let lease = Self { epoch, renewed_at: Arc::default() };
        lease.renewed(at);
        lease
    }

    /// Notes a renewal that was asked for at `at`.
    pub(super) fn renewed(&self, at: Moment) {
        self.renewed_at.store(at.0.as_millis().try_into().unwrap_or(u64::MAX), Relaxed);
    }

    /// Whether nobody else can hold it. A process that was stopped, or waited for a connection, has to ask again before it sends.
    pub(super) fn is_certain(&self) -> bool {
        let since = Moment::now().0.saturating_sub(Duration::from_millis(self.renewed_at.load(Relaxed)));
        since < PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_certain_for_a_while_after_it_is_asked_for() {
        let ago = |seconds| Moment::ago(Duration::from_secs(seconds));
        let lease = Lease::new(1, ago(11));
        let clone = lease.clone();
        assert!(!clone.is_certain());
        lease.renewed(ago(9));
        assert!(clone.is_certain());
    }
}
