//! Owns the connections to Redis: how long they wait, which node of a cluster they go to, and what a failure means. Does not know
//! what is said over them.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use redis::{Client, Connection, ConnectionAddr, ErrorKind, RedisError, RedisResult, ServerErrorKind};

use crate::inbox::lock;
use crate::inbox::redis::keys::STATE;
use crate::inbox::redis::url::RedisUrl;
use crate::inbox::store::{ReadError, StoreError};

/// For a connection to be there, and for each answer on it. A delivery waits for 4 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The server that the connections go to.
#[derive(Debug)]
pub(super) struct Server {
    url: RedisUrl,
    /// In a cluster, the node that has our keys, where it is not the URL's.
    moved: Mutex<Option<ConnectionAddr>>,
    /// Of connections. The server may be another one after a failure, so all older ones are given up then.
    generation: AtomicU64,
}

impl Server {
    pub(super) fn new(url: RedisUrl) -> Self {
        Self { url, moved: Mutex::default(), generation: AtomicU64::new(0) }
    }

    pub(super) fn url(&self) -> &RedisUrl {
        &self.url
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Gives up all connections of now.
    pub(super) fn renew(&self) {
        self.generation.fetch_add(1, Relaxed);
    }

    /// A new connection, to the node that has our keys.
    pub(super) fn connect(&self) -> RedisResult<Connection> {
        let known = lock(&self.moved).clone();
        let opened = self.open(known);
        let Err(error) = &opened else { return opened };
        // A node that fails may have a successor, which the URL's node knows.
        let moved = error.redirect_node().and_then(|(address, _)| self.url.node(address));
        lock(&self.moved).clone_from(&moved);
        if moved.is_some() { self.open(moved) } else { opened }
    }

    fn open(&self, node: Option<ConnectionAddr>) -> RedisResult<Connection> {
        let mut connection = Client::open(self.url.connection_info(node))?.get_connection_with_timeout(PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.set_write_timeout(Some(PATIENCE))?;
        // A node of a cluster tells here where the keys are; a server that loads its data, that it does.
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
            // As the scripts say it.
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

/// Whether a command is not known, or not allowed to us.
pub(super) fn is_refused(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError))
}

/// What a server says that no Redis of ours would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotOurs {
    /// It is older than Redis 7.
    Version,
    /// It answers with something else than what was asked for.
    Answer,
}

impl fmt::Display for NotOurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "the server is older than Redis 7",
            Self::Answer => "the server's answer makes no sense",
        })
    }
}

impl std::error::Error for NotOurs {}

impl From<NotOurs> for StoreError {
    fn from(error: NotOurs) -> Self {
        Self::Broken(error.into())
    }
}
