//! The right to send to a target, as far as this roomkey knows: it is certain only for a while after each renewal. Does not know how
//! it is got.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::worker::lock;

/// The lease lasts 15 s. One that was not renewed for longer than this may soon be another's.
const PATIENCE: Duration = Duration::from_secs(10);

/// Cheap to clone; the clones share the time of the last renewal.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(super) epoch: u64,
    renewed_at: Arc<Mutex<Instant>>,
}

impl Lease {
    /// The lease of `epoch`, which was asked for at `at`.
    pub(super) fn new(epoch: u64, at: Instant) -> Self {
        Self { epoch, renewed_at: Arc::new(Mutex::new(at)) }
    }

    /// Notes a renewal that was asked for at `at`.
    pub(super) fn renewed(&self, at: Instant) {
        *lock(&self.renewed_at) = at;
    }

    /// Whether nobody else can hold it. A process that was stopped, or waited for a connection, has to ask again before it sends.
    pub(super) fn is_certain(&self) -> bool {
        lock(&self.renewed_at).elapsed() < PATIENCE
    }
}
