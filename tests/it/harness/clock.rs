//! A clock that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use roomkey::UnixTime;
use roomkey::clock::Clock;

/// Its clones share one time.
#[derive(Clone, Debug)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn at(time: UnixTime) -> Self {
        Self(Arc::new(AtomicU64::new(time.as_millis())))
    }

    pub(crate) fn now(&self) -> UnixTime {
        UnixTime::from_millis(self.0.load(Relaxed))
    }

    pub(crate) fn set(&self, time: UnixTime) {
        self.0.store(time.as_millis(), Relaxed);
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis().try_into().unwrap(), Relaxed);
    }

    pub(crate) fn turn_back(&self, by: Duration) {
        self.0.fetch_sub(by.as_millis().try_into().unwrap(), Relaxed);
    }

    /// The clock for the code under test.
    pub(crate) fn clock(&self) -> Clock {
        let clock = self.clone();
        Clock::from_fn(move || clock.now())
    }
}
