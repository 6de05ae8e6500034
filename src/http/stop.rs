//! Owns the news that the server stops: told once, asked by every connection, as cheap to ask as a load.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Whether the server stops.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    is_told: AtomicBool,
    wake: Notify,
}

impl Stop {
    /// Tells everyone.
    pub(crate) fn tell(&self) {
        self.is_told.store(true, SeqCst);
        self.wake.notify_waiters();
    }

    /// Whether it was told.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told.load(SeqCst)
    }

    /// Done when it is told after this call. Ask [`is_told`](Self::is_told) too, for it may have been before.
    pub(crate) fn told(&self) -> Notified<'_> {
        self.wake.notified()
    }
}
