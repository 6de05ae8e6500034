//! Tells connections that the server stops: first that it will, for load balancers, then that it does. Asking costs one load.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Stop {
    is_announced: AtomicBool,
    ends_connections: AtomicBool,
    wake: Notify,
}

impl Stop {
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
