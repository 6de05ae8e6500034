//! The handle to the relay, through which everything else uses it. Does not know how events are sent.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use crate::inbox::target::{Lag, OwedCounts};
use crate::inbox::{Histogram, Inbox};
use crate::relay::settings::TargetSettings;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Relay(Arc<Mutex<Vec<Arc<str>>>>);

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

impl Relay {
    pub(crate) fn new(_inbox: Inbox, _clock: Clock) -> Self {
        Self(Arc::default())
    }

    pub(crate) fn put(&self, targets: Vec<TargetSettings>) {
        let names = targets.into_iter().map(|target| target.name).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn wake(&self, _target: &str) {}

    pub(crate) fn observed(&self) -> Vec<Observed> {
        Vec::new()
    }

    pub(crate) async fn stop(&self) {}
}
