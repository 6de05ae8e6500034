//! Remembers whether the store works, as the writer thread finds it, and logs when that changes. Does not use the store.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::SetOnce;
use tracing::{error, info};

use crate::inbox::store::StoreError;
use crate::worker::{faults, lock};

/// If one operation takes longer, the store is stalled, and new deliveries do not wait for it.
const STALL: Duration = Duration::from_secs(2);

pub(crate) struct Health {
    /// Why the last operation failed, if it did.
    outage: Mutex<Option<Arc<StoreError>>>,
    /// Why the store is lost for good, if it is.
    lost: SetOnce<Arc<StoreError>>,
    /// Since when the current operation has been running.
    busy_since: Mutex<Option<Instant>>,
    /// Whether the last operation panicked, until the workers know.
    has_panicked: AtomicBool,
}

impl Health {
    /// `outage` is why the store does not work yet.
    pub(crate) fn new(outage: Option<StoreError>) -> Self {
        Self {
            outage: Mutex::new(outage.map(Arc::new)),
            lost: SetOnce::new(),
            busy_since: Mutex::default(),
            has_panicked: AtomicBool::new(false),
        }
    }

    /// Why appends fail now, if they do.
    pub(crate) fn outage(&self) -> Option<Arc<StoreError>> {
        if self.has_panicked.load(Relaxed) {
            Some(Arc::new(StoreError::Panicked))
        } else if self.is_stalled() {
            Some(Arc::new(StoreError::Stalled))
        } else {
            lock(&self.outage).clone()
        }
    }

    /// Whether the last operation failed.
    pub(crate) fn is_failing(&self) -> bool {
        lock(&self.outage).is_some()
    }

    /// Whether the current operation takes too long.
    pub(crate) fn is_stalled(&self) -> bool {
        lock(&self.busy_since).is_some_and(|since| since.elapsed() > STALL)
    }

    /// Runs one operation of the store under observation.
    pub(crate) fn watch<T>(&self, operation: impl FnOnce() -> T) -> T {
        *lock(&self.busy_since) = Some(Instant::now());
        let _busy = Busy(self);
        faults::point("inbox");
        operation()
    }

    /// The store has recovered from a panic, and the workers know of it.
    pub(crate) fn recover(&self) {
        self.has_panicked.store(false, Relaxed);
    }

    /// Notes the result of an operation, and logs a change.
    pub(crate) fn update(&self, result: Result<(), StoreError>) {
        let mut outage = lock(&self.outage);
        let Err(error) = result.map_err(Arc::new) else {
            if outage.take().is_some_and(|last| !matches!(*last, StoreError::Unreached)) {
                info!("the inbox works again");
            }
            return;
        };
        if error.is_final() {
            let _ = self.lost.set(Arc::clone(&error)); // the process ends and reports it; the first reason stays
        } else if outage.as_ref().is_none_or(|last| last.to_string() != error.to_string()) {
            let cause = error.source().map(tracing::field::display);
            error!(%error, cause, "webhooks are answered with 503 until the inbox works again");
        }
        *outage = Some(error);
    }

    /// Returns once the store is lost for good, with the reason.
    pub(crate) async fn lost(&self) -> Arc<StoreError> {
        Arc::clone(self.lost.wait().await)
    }

    /// The writer thread has ended.
    pub(crate) fn end(&self) {
        lock(&self.outage).get_or_insert_with(|| Arc::new(StoreError::Stalled));
    }
}

/// Exists during an operation. A panic is noted before those who wait for the outcome notice that there is none.
struct Busy<'a>(&'a Health);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.has_panicked.store(std::thread::panicking(), Relaxed);
        *lock(&self.0.busy_since) = None;
    }
}
