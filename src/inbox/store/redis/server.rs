//! Opens connections to Redis: with timeouts, to the right node of a cluster, or to the primary that sentinels name. Checks that the
//! server is recent enough, which is required, and that its settings are safe for acknowledged events, or else warns. Waits for its
//! replicas. Translates the errors of Redis. Changes no settings.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use redis::{Client, Connection, ConnectionAddr, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tracing::{info, warn};

use crate::inbox::cursor::Cursor;
use crate::inbox::store::StoreError;
use crate::inbox::store::redis::entries::{self, STATE, unexpected_answer};
use crate::inbox::store::redis::sentinels::Search;
use crate::inbox::store::redis::url::RedisUrl;
use crate::worker::lock;

/// For connecting, and for each answer. A delivery waits for 4 s.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);
/// For the replicas. Redis answers then, before the connection counts as dead.
const REPLICAS_TIMEOUT: Duration = Duration::from_secs(1);
/// Redis 7 refuses a script as a whole. Valkey's versions begin with 7.2.
const OLDEST_VERSION: u32 = 7;

/// A setting that may lose events: the name, whether a value is safe, and what to do.
type RiskySetting = (&'static str, fn(&str) -> bool, &'static str);

const RISKY_SETTINGS: [RiskySetting; 4] = [
    ("appendonly", |value| value == "yes", "the inbox is lost when Redis stops: set `appendonly yes` in Redis"),
    (
        "appendfsync",
        |value| value == "always",
        "up to a second of acknowledged webhooks may be lost with Redis: set `appendfsync always` in Redis",
    ),
    (
        "no-appendfsync-on-rewrite",
        |value| value == "no",
        "acknowledged webhooks may be lost while Redis rewrites its file: set `no-appendfsync-on-rewrite no` in Redis",
    ),
    (
        "maxmemory-policy",
        |value| !value.starts_with("allkeys"),
        "Redis may delete the inbox when it runs out of memory: set `maxmemory-policy noeviction` in Redis",
    ),
];

/// The settings by name; empty if the server does not show them.
type Settings = HashMap<String, String>;

/// The server that the connections go to.
pub(super) struct Server {
    url: RedisUrl,
    /// In a cluster, the node that has roomkey's keys, if it is not the URL's.
    moved: Mutex<Option<ConnectionAddr>>,
    search: Search,
    /// Of connections. After a failure the server may be another one, so all older connections are given up.
    generation: AtomicU64,
    /// The settings that were checked last.
    settings: Mutex<Option<Settings>>,
    /// The id of the entry that this roomkey committed last.
    pub(super) newest: Mutex<String>,
    /// Readers may be shown what is up to here: enough replicas have it.
    replicated: Mutex<Option<Cursor>>,
    pub(super) is_closed: AtomicBool,
}

impl Server {
    pub(super) fn new(url: RedisUrl) -> Self {
        Self {
            url,
            moved: Mutex::default(),
            search: Search::default(),
            generation: AtomicU64::default(),
            settings: Mutex::default(),
            newest: Mutex::default(),
            replicated: Mutex::default(),
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

    /// Gives up all connections if the sentinels name another primary. The last one may not know yet that it has been replaced.
    pub(super) fn check_primary(&self) {
        if self.url.sentinels().is_some_and(|sentinels| self.search.has_moved(sentinels)) {
            self.give_up_connections();
        }
    }

    /// A new connection, to the primary that the sentinels name, or to the node that has roomkey's keys.
    pub(super) fn connect(&self) -> Result<Connection, StoreError> {
        let Some(sentinels) = self.url.sentinels() else { return Ok(self.connect_to_owner()?) };
        let (connection, is_other) = self.search.connect(sentinels, |address| self.open(self.url.node(address)))?;
        if is_other {
            self.give_up_connections();
        }
        Ok(connection)
    }

    fn connect_to_owner(&self) -> RedisResult<Connection> {
        let known = lock(&self.moved).clone();
        let opened = self.open(known);
        let Err(error) = &opened else { return opened };
        // If the node fails, the URL's node may know its successor.
        let moved = error.redirect_node().and_then(|(address, _)| self.url.node(address));
        lock(&self.moved).clone_from(&moved);
        if moved.is_some() { self.open(moved) } else { opened }
    }

    /// A new connection to write on. Logs the server and warns about its risky settings, unless its settings are known.
    pub(super) fn connect_writer(&self) -> Result<Connection, StoreError> {
        let mut connection = self.connect()?;
        let version = version(&mut connection)?;
        let settings = settings(&mut connection)?;
        let mut known = lock(&self.settings);
        if known.as_ref() == Some(&settings) {
            return Ok(connection);
        }
        info!(server = %self.url, version, "connected to Redis");
        if settings.is_empty() {
            warn!("Redis does not show its settings: make sure that it has `appendonly yes` and `appendfsync always`");
        }
        for (setting, is_safe, advice) in RISKY_SETTINGS {
            if let Some(value) = settings.get(setting).filter(|value| !is_safe(value)) {
                warn!(setting, value, "{advice}");
            }
        }
        *known = Some(settings);
        Ok(connection)
    }

    /// Readers may be shown everything up to this cursor.
    pub(super) fn replicated(&self) -> Option<Cursor> {
        *lock(&self.replicated)
    }

    /// Returns once enough replicas have what was written last on `connection`, and so everything up to `cursor`.
    pub(super) fn replicate(&self, connection: &mut Connection, cursor: Cursor) -> Result<(), StoreError> {
        self.wait_for_replicas(connection)?;
        let mut replicated = lock(&self.replicated);
        *replicated = (*replicated).max(Some(cursor));
        Ok(())
    }

    /// Returns once enough replicas have what was written last on `connection`.
    pub(super) fn wait_for_replicas(&self, connection: &mut Connection) -> Result<(), StoreError> {
        let replicas = self.url.replicas();
        if replicas > 0 {
            let timeout = u64::try_from(REPLICAS_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
            let have_it: u64 = redis::cmd("WAIT").arg(replicas).arg(timeout).query(connection)?;
            if have_it < replicas.into() {
                return Err(StoreError::Unreplicated);
            }
        }
        Ok(())
    }

    /// The same if nothing may have been written on `connection`: Redis would wait for nothing.
    pub(super) fn replicate_read(&self, connection: &mut Connection, cursor: Cursor) -> Result<(), StoreError> {
        if self.url.replicas() > 0 {
            entries::invocation(&entries::TOUCH).invoke::<()>(connection)?;
        }
        self.replicate(connection, cursor)
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
            // Errors of the scripts.
            Some("NEWER") => Self::Newer,
            Some("MISPLACED") => Self::Misplaced,
            _ if error.is_timeout() => Self::Stalled,
            _ => Self::Broken(error.into()),
        }
    }
}

/// The version, if it is recent enough.
fn version(connection: &mut Connection) -> Result<String, StoreError> {
    let server: HashMap<String, Value> = redis::cmd("HELLO").query(connection)?;
    let version = server.get("version").cloned().and_then(|version| redis::from_redis_value::<String>(version).ok());
    let version = version.ok_or_else(unexpected_answer)?;
    match version.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major >= OLDEST_VERSION => Ok(version),
        _ => Err(StoreError::Broken("the server is older than Redis 7".into())),
    }
}

fn settings(connection: &mut Connection) -> RedisResult<Settings> {
    let names = RISKY_SETTINGS.map(|(name, ..)| name);
    match redis::cmd("CONFIG").arg("GET").arg(&names).query(connection) {
        // Hosted servers may not permit it.
        Err(error) if matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError)) => {
            Ok(Settings::new())
        }
        result => result,
    }
}
