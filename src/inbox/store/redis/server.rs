//! Opens connections to Redis: with timeouts, to the right node of a cluster. Translates the errors of Redis. Does not know the
//! commands.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use redis::{Client, Connection, ConnectionAddr, ErrorKind, RedisError, RedisResult, ServerErrorKind};

use crate::inbox::store::redis::scripts::STATE;
use crate::inbox::store::redis::url::RedisUrl;
use crate::inbox::store::{ReadError, StoreError};
use crate::worker::lock;

/// For connecting, and for each answer. A delivery waits for 4 s.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

/// The server that the connections go to.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) url: RedisUrl,
    /// In a cluster, the node that has roomkey's keys, if it is not the URL's.
    moved: Mutex<Option<ConnectionAddr>>,
    /// Of connections. After a failure the server may be another one, so all older connections are given up.
    generation: AtomicU64,
    /// The id of the entry that this roomkey committed last.
    pub(super) newest: Mutex<String>,
    pub(super) is_closed: AtomicBool,
}

impl Server {
    pub(super) fn new(url: RedisUrl) -> Self {
        Self {
            url,
            moved: Mutex::default(),
            generation: AtomicU64::default(),
            newest: Mutex::default(),
            is_closed: AtomicBool::default(),
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Gives up all connections that are open now.
    pub(super) fn give_up_connections(&self) {
        self.generation.fetch_add(1, Relaxed);
    }

    /// A new connection, to the node that has roomkey's keys.
    pub(super) fn connect(&self) -> RedisResult<Connection> {
        let known = lock(&self.moved).clone();
        let opened = self.open(known);
        let Err(error) = &opened else { return opened };
        // If the node fails, the URL's node may know its successor.
        let moved = error.redirect_node().and_then(|(address, _)| self.url.node(address));
        lock(&self.moved).clone_from(&moved);
        if moved.is_some() { self.open(moved) } else { opened }
    }

    fn open(&self, node: Option<ConnectionAddr>) -> RedisResult<Connection> {
        let mut connection = Client::open(self.url.connection_info(node))?.get_connection_with_timeout(TIMEOUT)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        connection.set_write_timeout(Some(TIMEOUT))?;
        // Here a node of a cluster redirects to the keys, and a server reports that it is loading its data.
        redis::cmd("EXISTS").arg(STATE).exec(&mut connection)?;
        Ok(connection)
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        match error.code() {
            Some("OOM") => Self::Full(error.into()),
            Some("READONLY") => Self::ReadOnly(error.into()),
            Some("WRONGTYPE") => Self::Foreign(error.into()),
            // An error of the scripts.
            Some("NEWER") => Self::Newer,
            _ if error.is_timeout() => Self::Stalled,
            _ => Self::Broken(error.into()),
        }
    }
}

impl From<RedisError> for ReadError {
    fn from(error: RedisError) -> Self {
        Self::Store(error.into())
    }
}

/// Whether the server does not know the command, or does not permit it.
pub(super) fn is_refused(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError))
}

/// The server is not a Redis that roomkey can use.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum UnexpectedServer {
    #[error("the server is older than Redis 7")]
    Version,
    #[error("the server's answer makes no sense")]
    Answer,
}

impl From<UnexpectedServer> for StoreError {
    fn from(error: UnexpectedServer) -> Self {
        Self::Broken(error.into())
    }
}
