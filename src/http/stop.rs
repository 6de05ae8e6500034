//! Says that the server stops: first announced, so that load balancers look elsewhere, then for real, so that connections end. Asking
//! costs one load, because each request asks.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tokio::sync::Notify;

/// Whether the server stops.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    is_announced: AtomicBool,
    ends_connections: AtomicBool,
    wake: Notify,
}

impl Stop {
    /// Says that the server will stop.
    pub(crate) fn announce(&self) {
        self.is_announced.store(true, SeqCst);
    }

    pub(crate) fn is_announced(&self) -> bool {
        self.is_announced.load(SeqCst)
    }

    /// Tells every connection to end.
    pub(crate) fn end_connections(&self) {
        self.announce();
        self.ends_connections.store(true, SeqCst);
        self.wake.notify_waiters();
    }

    pub(crate) fn ends_connections(&self) -> bool {
        self.ends_connections.load(SeqCst)
    }

    /// Completes when connections have to end.
    pub(crate) async fn connections_end(&self) {
        let wake = self.wake.notified(); // before looking, so that no news is missed
        if !self.ends_connections() {
            wake.await;
        }
    }
}
