//! Owns the knowledge of whether the store works, as the thread that writes finds it. Does not act on it.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{error, info};

use crate::inbox::lock;
use crate::inbox::store::StoreError;
use crate::worker::faults;

/// A store that is at work on one thing for longer does not answer: who comes then does not wait for it.
const STALL: Duration = Duration::from_secs(2);

/// How the store is.
#[derive(Debug)]
pub(crate) struct Health {
    failing: AtomicBool,
    outage: Mutex<Option<Arc<StoreError>>>,
    /// Why the store is lost for good, if it is.
    lost: watch::Sender<Option<Arc<StoreError>>>,
    /// Since when the store has been at work on one thing.
    busy_since: Mutex<Option<Instant>>,
    /// Whether the last thing tried has panicked, until that is known elsewhere.
    panicked: AtomicBool,
}

impl Health {
    /// Of a store that is well, or fails from the start.
    pub(crate) fn new(outage: Option<StoreError>) -> Self {
        let outage = outage.map(Arc::new);
        Self {
            failing: AtomicBool::new(outage.is_some()),
            outage: Mutex::new(outage),
            lost: watch::Sender::new(None),
            busy_since: Mutex::default(),
            panicked: AtomicBool::new(false),
        }
    }

    /// Why appends fail now, if they do.
    pub(crate) fn outage(&self) -> Option<Arc<StoreError>> {
        if self.panicked.load(Relaxed) {
            return Some(Arc::new(StoreError::Panicked));
        }
        if self.is_stalled() {
            return Some(Arc::new(StoreError::Stalled));
        }
        lock(&self.outage).clone()
    }

    /// Whether the last thing tried has failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Relaxed)
    }

    /// Whether the store does not come back from what it is at.
    pub(crate) fn is_stalled(&self) -> bool {
        lock(&self.busy_since).is_some_and(|since| since.elapsed() > STALL)
    }

    /// Has the store do `something`, and the time taken.
    pub(crate) fn watch<T>(&self, something: impl FnOnce() -> T) -> T {
        *lock(&self.busy_since) = Some(Instant::now());
        let _busy = Busy(self);
        faults::point("inbox");
        something()
    }

    /// A panic of the store was cleaned up and is known elsewhere.
    pub(crate) fn recover(&self) {
        self.panicked.store(false, Relaxed);
    }

    /// Notes whether the store works, and logs where that has changed.
    pub(crate) fn judge(&self, outcome: Result<(), StoreError>) {
        if outcome.is_ok() && !self.is_failing() {
            return;
        }
        let mut outage = lock(&self.outage);
        match &outcome {
            Ok(()) if matches!(outage.as_deref(), Some(StoreError::Unreached)) => {}
            Ok(()) => info!("the inbox works again"),
            // The process ends, and says why.
            Err(error) if error.is_final() => {}
            Err(error) if outage.as_ref().is_none_or(|last| last.to_string() != error.to_string()) => {
                let cause = error.source().map(tracing::field::display);
                error!(%error, cause, "webhooks are answered with 503 until the inbox works again");
            }
            Err(_) => {}
        }
        self.failing.store(outcome.is_err(), Relaxed);
        *outage = outcome.err().map(Arc::new);
        if let Some(error) = outage.as_ref().filter(|error| error.is_final()) {
            self.lost.send_replace(Some(Arc::clone(error)));
        }
    }

    /// Done once the store is lost for good: why.
    pub(crate) async fn lost(&self) -> Arc<StoreError> {
        let mut lost = self.lost.subscribe();
        let why = lost.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            None => std::future::pending().await, // never: the sender is ours
        }
    }

    /// Notes that nobody is there any more who would write.
    pub(crate) fn end(&self) {
        lock(&self.outage).get_or_insert_with(|| Arc::new(StoreError::Stalled));
    }
}

/// The store at work, until this is dropped. A panic is known before anyone who waits for the outcome hears that there is none.
struct Busy<'a>(&'a Health);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.panicked.store(std::thread::panicking(), Relaxed);
        *lock(&self.0.busy_since) = None;
    }
}
