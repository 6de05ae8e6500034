//! The connections to a target that wait for their next request. Does not know what is sent.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::client::ClientConnection;
use crate::worker::lock;

/// How long a connection waits for its next request. Networks forget connections that are silent for minutes.
const MAX_IDLE: Duration = Duration::from_secs(60);
/// How many connections wait for that long, and how long the others do.
const SPARE: usize = 2;
const MAX_IDLE_BEYOND: Duration = Duration::from_secs(5);

/// Connections that have no request in flight, the most recently used last.
#[derive(Debug)]
pub(super) struct KeptConnections {
    kept: Mutex<VecDeque<(Instant, ClientConnection)>>,
    limit: usize,
}

impl KeptConnections {
    /// Keeps `limit` connections, at most.
    pub(super) fn new(limit: usize) -> Self {
        Self { kept: Mutex::default(), limit }
    }

    /// The connection that was used last, which is the least likely to be closed by the other end.
    pub(super) fn take(&self) -> Option<ClientConnection> {
        let mut kept = lock(&self.kept);
        std::iter::from_fn(|| kept.pop_back()).find(is_usable).map(|(_, connection)| connection)
    }

    pub(super) fn put(&self, connection: ClientConnection) {
        let mut kept = lock(&self.kept);
        while kept.front().is_some_and(|oldest| !is_usable(oldest)) || kept.len() >= self.limit {
            kept.pop_front();
        }
        kept.push_back((Instant::now(), connection));
    }

    /// Closes those that have waited for too long.
    pub(super) fn close_idle(&self) {
        let mut kept = lock(&self.kept);
        kept.retain(is_usable);
        while kept.len() > SPARE && kept.front().is_some_and(|(since, _)| since.elapsed() >= MAX_IDLE_BEYOND) {
            kept.pop_front();
        }
    }

    /// Closes all, because they probably lead nowhere.
    pub(super) fn close(&self) {
        lock(&self.kept).clear();
    }
}

fn is_usable((since, connection): &(Instant, ClientConnection)) -> bool {
    since.elapsed() < MAX_IDLE && !connection.is_closed()
}
