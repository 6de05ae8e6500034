//! Stores the inbox in a Redis that several roomkeys share. Each batch is one script, which Redis runs completely or not at all.
//! Acknowledged events are as durable as Redis is configured. Does not know the writer thread or the readers.

mod connection;
mod keys;
mod known_time;
mod read;
mod settings;
mod url;
mod wake;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use redis::Connection;
use tokio::sync::watch;
use tracing::info;

pub use url::{MalformedRedisUrl, RedisUrl};

use crate::clock::{Clock, UnixTime};
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Arrival, Filter, Page, PageLimit};
use crate::inbox::lock;
use crate::inbox::pool::Pool;
use crate::inbox::store::{Appended, ReadError, Retention, Store, StoreError, Usage};
use crate::worker::Workers;
use connection::{Server, UnexpectedServer};
use read::ForeignEntries;
use settings::Settings;

/// What one script appends, because it blocks everything else in Redis. The last body may exceed the bytes.
const SCRIPT: PageLimit = PageLimit { entries: 512, bytes: 4 * 1024 * 1024 };

/// A Redis, whether or not it can be reached.
pub(crate) struct RedisStore {
    state: Arc<RedisState>,
    writer: Mutex<RedisWriter>,
    readers: Pool<Connection>,
    foreign: ForeignEntries,
    usage: Mutex<Option<Usage>>,
    /// The limit of the retention.
    most_bytes: u64,
    clock: Clock,
}

/// Shared with the thread that listens for commits.
#[derive(Debug)]
struct RedisState {
    server: Server,
    /// The id that this roomkey committed last.
    newest: Mutex<String>,
    is_closed: AtomicBool,
}

#[derive(Default)]
struct RedisWriter {
    connection: Option<Connection>,
    /// The settings that were checked last.
    settings: Option<Settings>,
}

impl RedisStore {
    /// The inbox in the Redis at `url`, which may be unreachable. `changed` is notified of what any roomkey commits. Of the
    /// retention only the bytes are used here: each append makes room for itself.
    pub(crate) fn open(
        url: RedisUrl,
        retention: Retention,
        changed: watch::Sender<()>,
        clock: Clock,
        workers: &Workers,
    ) -> io::Result<Self> {
        info!(server = %url, "the inbox is in Redis");
        let state = RedisState { server: Server::new(url), newest: Mutex::default(), is_closed: AtomicBool::new(false) };
        let state = Arc::new(state);
        wake::start(workers, Arc::clone(&state), changed)?;
        Ok(Self {
            state,
            writer: Mutex::default(),
            readers: Pool::default(),
            foreign: ForeignEntries::default(),
            usage: Mutex::default(),
            most_bytes: retention.bytes,
            clock,
        })
    }

    /// Writes on the one connection for that. If it fails, it is unknown what was written and where the server is, so all
    /// connections are given up. Because an old connection may only have been closed, `write` is tried again on a new one, unless
    /// that has taken all the time.
    fn write<T>(&self, mut write: impl FnMut(&mut Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut writer = lock(&self.writer);
        let mut write_on = |connection: Result<Connection, StoreError>, writer: &mut RedisWriter| {
            let written = connection.and_then(|mut connection| Ok((write(&mut connection)?, connection)));
            let (written, connection) = written.inspect_err(|_| self.state.server.give_up_connections())?;
            writer.connection = Some(connection);
            Ok(written)
        };
        if let Some(old) = writer.connection.take() {
            match write_on(Ok(old), &mut writer) {
                Err(error) if !matches!(error, StoreError::Stalled) => {}
                result => return result,
            }
        }
        let new = self.connect_writer(&mut writer.settings);
        write_on(new, &mut writer)
    }

    fn connect_writer(&self, settings: &mut Option<Settings>) -> Result<Connection, StoreError> {
        let mut connection = self.state.server.connect()?;
        settings::check(&mut connection, self.state.server.url(), settings)?;
        Ok(connection)
    }

    /// Whether the writer has a connection. Deleting does not open one; an append or a probe does.
    fn is_connected(&self) -> bool {
        lock(&self.writer).connection.is_some()
    }

    /// Where the inbox begins if it is new, as the id of an entry.
    fn begin(&self) -> String {
        keys::id(Cursor::at(self.clock.now()))
    }

    fn append_some(&self, connection: &mut Connection, arrivals: &[Arrival]) -> Result<Vec<Appended>, StoreError> {
        let mut script = keys::invocation(&keys::APPEND);
        script.arg(self.begin());
        for arrival in arrivals {
            let (received, _) = Cursor::at(arrival.received).parts();
            script.arg(&arrival.fingerprint.0[..]).arg(received).arg(arrival.key()).arg(arrival.id());
            script.arg(arrival.event()).arg(arrival.room()).arg(arrival.body());
        }
        let (outcomes, newest, entries, bytes): (String, String, u64, u64) = script.invoke(connection)?;
        let appended = outcomes.bytes().map(appended).collect::<Option<Vec<_>>>();
        let appended = appended.filter(|appended| appended.len() == arrivals.len()).ok_or(UnexpectedServer::Answer)?;
        if appended.contains(&Appended::Committed) {
            *lock(&self.state.newest) = newest;
        }
        self.set_usage(entries, bytes);
        Ok(appended)
    }

    /// Deletes some entries that were received before `oldest`, or exceed the limit. Returns whether there is more to delete.
    fn prune_some(&self, connection: &mut Connection, oldest: UnixTime, now: UnixTime) -> Result<bool, StoreError> {
        let mut script = keys::invocation(&keys::PRUNE);
        script.arg(oldest.as_millis()).arg(self.most_bytes).arg(now.as_millis());
        let (more, entries, bytes): (bool, u64, u64) = script.invoke(connection)?;
        self.set_usage(entries, bytes);
        Ok(more)
    }

    fn set_usage(&self, entries: u64, bytes: u64) {
        *lock(&self.usage) = Some(Usage { entries, bytes, log_bytes: None });
    }
}

/// The meaning of a digit that `append.lua` returns.
fn appended(digit: u8) -> Option<Appended> {
    match digit {
        b'0' => Some(Appended::Committed),
        b'1' => Some(Appended::Duplicate),
        b'2' => Some(Appended::Conflict),
        _ => None,
    }
}

/// The first arrivals of `batch`, as many as one script takes.
fn first_arrivals(batch: &[Arrival]) -> &[Arrival] {
    let mut left = SCRIPT;
    let count = batch.iter().take_while(|arrival| left.take(arrival.body().len())).count();
    batch.get(..count).unwrap_or(batch)
}

impl Store for RedisStore {
    fn append(&self, batch: &[Arrival]) -> Result<Vec<Appended>, StoreError> {
        let mut appended = Vec::with_capacity(batch.len());
        self.write(|connection| {
            // A second try continues after what is known to be committed. If more was committed, those arrivals are duplicates.
            while let Some(rest @ [_, ..]) = batch.get(appended.len()..) {
                appended.append(&mut self.append_some(connection, first_arrivals(rest))?);
                if self.usage().is_some_and(|usage| usage.bytes > self.most_bytes) {
                    self.prune_some(connection, UnixTime::from_millis(0), self.clock.now())?;
                }
            }
            Ok(())
        })?;
        Ok(appended)
    }

    fn read(&self, after: Option<Cursor>, filter: &Filter, limit: PageLimit) -> Result<Page, ReadError> {
        let server = &self.state.server;
        self.readers.read(
            server.generation(),
            || Ok(server.connect()?),
            |connection| read::read(connection, after, filter, limit, || self.begin(), &self.foreign),
        )
    }

    fn advance(&self, to: Cursor) -> Result<Cursor, StoreError> {
        self.write(|connection| {
            let mut script = keys::invocation(&keys::ADVANCE);
            let newest: String = script.arg(self.begin()).arg(keys::id(to)).invoke(connection)?;
            Ok(keys::cursor(&newest).ok_or(UnexpectedServer::Answer)?)
        })
    }

    fn prune(&self, retention: &Retention, now: UnixTime) -> Result<bool, StoreError> {
        if !self.is_connected() {
            return Ok(false);
        }
        self.write(|connection| self.prune_some(connection, now.saturating_sub(retention.age), now))
    }

    fn known_time(&self) -> Result<Option<UnixTime>, StoreError> {
        if !self.is_connected() {
            return Err(StoreError::Unreached);
        }
        self.write(known_time::read)
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.write(|connection| Ok(keys::invocation(&keys::PROBE).arg(self.begin()).invoke::<()>(connection)?))
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn usage(&self) -> Option<Usage> {
        *lock(&self.usage)
    }

    fn close(&self) {
        self.state.is_closed.store(true, Relaxed);
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("server", &self.state.server).finish_non_exhaustive()
    }
}
