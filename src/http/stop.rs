//! Owns the news that the server stops: first announced, so that load balancers look elsewhere, then told, so that connections
//! end. As cheap to ask as a load.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tokio::sync::Notify;

/// Whether the server stops.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    is_announced: AtomicBool,
    is_told: AtomicBool,
    wake: Notify,
}

impl Stop {
    /// Says that it will.
    pub(crate) fn announce(&self) {
        self.is_announced.store(true, SeqCst);
    }

    /// Whether it will.
    pub(crate) fn is_announced(&self) -> bool {
        self.is_announced.load(SeqCst)
    }

    /// Tells every connection to end.
    pub(crate) fn tell(&self) {
        self.announce();
        self.is_told.store(true, SeqCst);
        self.wake.notify_waiters();
    }

    /// Whether it was told.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told.load(SeqCst)
    }

    /// Done when it is told, or has been.
    pub(crate) async fn wait(&self) {
        let told = self.wake.notified();
        if !self.is_told() {
            told.await;
        }
    }
}
