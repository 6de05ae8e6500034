//! Stores the inbox in a Redis that several roomkeys share. Each batch is one script, which Redis runs completely or not at all.
//! Acknowledged events are as durable as Redis is configured. Does not know the writer thread or the readers.

mod read;
mod scripts;
mod server;
mod settings;
mod url;
mod wake;

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use redis::Connection;
use tokio::sync::watch;
use tracing::info;

pub use url::{MalformedRedisUrl, RedisUrl};

use crate::clock::{Clock, UnixTime};
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Arrival, Filter, Page, PageLimit};
use crate::inbox::store::pool::Pool;
use crate::inbox::store::{Appended, ReadError, Retention, Store, StoreError, Usage};
use crate::inbox::trusted_time;
use crate::worker::{Workers, lock};
use read::ForeignEntries;
use scripts::STATE;
use server::{Server, UnexpectedServer};
use settings::Settings;

/// What one script appends, because it blocks everything else in Redis. The last delivery may exceed the bytes.
const BATCH: PageLimit = PageLimit { entries: 512, bytes: 4 << 20 };

/// A Redis, whether or not it can be reached.
pub(crate) struct RedisStore {
    /// Shared with the thread that listens for commits.
    server: Arc<Server>,
    writer: Mutex<RedisWriter>,
    readers: Pool<Connection>,
    foreign: ForeignEntries,
    usage: Mutex<Option<Usage>>,
    clock: Clock,
}

#[derive(Default)]
struct RedisWriter {
    connection: Option<Connection>,
    /// The settings that were checked last.
    settings: Option<Settings>,
}

impl RedisStore {
    /// The inbox in the Redis at `url`, which may be unreachable. `changed` is notified of what any roomkey commits.
    pub(crate) fn open(url: RedisUrl, changed: watch::Sender<()>, clock: Clock, workers: &Workers) -> io::Result<Self> {
        info!(server = %url, "the inbox is in Redis");
        let server = Arc::new(Server::new(url));
        wake::start(workers, Arc::clone(&server), changed)?;
        Ok(Self {
            server,
            writer: Mutex::default(),
            readers: Pool::default(),
            foreign: ForeignEntries::default(),
            usage: Mutex::default(),
            clock,
        })
    }

    /// Writes on the one connection for that. If it fails, it is unknown what was written and where the server is, so all
    /// connections are given up. Because an old connection may only have been closed, `write` is tried again on a new one, unless
    /// that has taken all the time.
    fn write<T>(&self, mut write: impl FnMut(&mut Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let RedisWriter { connection, settings } = &mut *lock(&self.writer);
        loop {
            let old = connection.take();
            let is_new = old.is_none();
            let opened = old.map_or_else(|| self.connect(settings), Ok);
            match opened.and_then(|mut connection| Ok((write(&mut connection)?, connection))) {
                Ok((written, used)) => {
                    *connection = Some(used);
                    return Ok(written);
                }
                Err(error) => {
                    self.server.give_up_connections();
                    if is_new || matches!(error, StoreError::Stalled) {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn connect(&self, settings: &mut Option<Settings>) -> Result<Connection, StoreError> {
        let mut connection = self.server.connect()?;
        settings::check(&mut connection, &self.server.url, settings)?;
        Ok(connection)
    }

    /// Whether the writer has a connection. Deleting does not open one; an append or a probe does.
    fn is_connected(&self) -> bool {
        lock(&self.writer).connection.is_some()
    }

    /// Where the inbox begins if it is new, as the id of an entry.
    fn begin(&self) -> String {
        scripts::id(Cursor::at(self.clock.now()))
    }

    fn set_usage(&self, entries: u64, bytes: u64) {
        *lock(&self.usage) = Some(Usage { entries, bytes, log_bytes: None });
    }
}

impl Store for RedisStore {
    fn append(&self, batch: &[Arrival]) -> Result<Vec<Appended>, StoreError> {
        let mut script = scripts::invocation(&scripts::APPEND);
        script.arg(self.begin());
        for arrival in batch {
            let (received, _) = Cursor::at(arrival.received).parts();
            script.arg(&arrival.fingerprint.0[..]).arg(received).arg(arrival.key()).arg(arrival.id());
            script.arg(arrival.event()).arg(arrival.room()).arg(arrival.body());
        }
        self.write(|connection| {
            let (outcomes, newest, entries, bytes): (String, String, u64, u64) = script.invoke(connection)?;
            let appended = outcomes.bytes().map(appended).collect::<Option<Vec<_>>>();
            let appended = appended.filter(|appended| appended.len() == batch.len()).ok_or(UnexpectedServer::Answer)?;
            if appended.contains(&Appended::Committed) {
                *lock(&self.server.newest) = newest;
            }
            self.set_usage(entries, bytes);
            Ok(appended)
        })
    }

    fn batch_limit(&self) -> PageLimit {
        BATCH
    }

    fn read(&self, after: Option<Cursor>, filter: &Filter, limit: PageLimit) -> Result<Page, ReadError> {
        self.readers.read(
            self.server.generation(),
            || Ok(self.server.connect()?),
            |connection| read::read(connection, after, filter, limit, || self.begin(), &self.foreign),
        )
    }

    fn advance(&self, to: Cursor) -> Result<Cursor, StoreError> {
        self.write(|connection| {
            let mut script = scripts::invocation(&scripts::ADVANCE);
            let newest: String = script.arg(self.begin()).arg(scripts::id(to)).invoke(connection)?;
            Ok(scripts::cursor(&newest).ok_or(UnexpectedServer::Answer)?)
        })
    }

    fn prune(&self, retention: &Retention, now: UnixTime) -> Result<bool, StoreError> {
        if !self.is_connected() {
            return Ok(false);
        }
        self.write(|connection| {
            let mut script = scripts::invocation(&scripts::PRUNE);
            script.arg(now.saturating_sub(retention.age).as_millis()).arg(retention.bytes).arg(now.as_millis());
            let (more, entries, bytes): (bool, u64, u64) = script.invoke(connection)?;
            self.set_usage(entries, bytes);
            Ok(more)
        })
    }

    fn known_time(&self) -> Result<Option<UnixTime>, StoreError> {
        if !self.is_connected() {
            return Err(StoreError::Unreached);
        }
        self.write(|connection| {
            let Some(newest) = received(connection, "+")? else { return Ok(None) };
            let mut earlier = received(connection, &scripts::id(Cursor::at(trusted_time::before(newest))))?;
            if earlier.is_none() {
                // When the newest deleted entry was received; at first, when the inbox began.
                let deleted: Option<String> = redis::cmd("HGET").arg(STATE).arg("deleted").query(connection)?;
                earlier = deleted.as_deref().and_then(time_of_id);
            }
            Ok(Some(trusted_time::seen(newest, earlier.unwrap_or(newest))))
        })
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.write(|connection| Ok(scripts::invocation(&scripts::PROBE).arg(self.begin()).invoke::<()>(connection)?))
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn usage(&self) -> Option<Usage> {
        *lock(&self.usage)
    }

    fn close(&self) {
        self.server.is_closed.store(true, Relaxed);
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

/// When the newest entry up to `id` was received.
fn received(connection: &mut Connection, id: &str) -> Result<Option<UnixTime>, StoreError> {
    let newest: Option<(String, String)> = scripts::invocation(&scripts::NEWEST).arg(id).invoke(connection)?;
    // The fields of another program's entry are not trusted, but its id is part of the order.
    Ok(newest.and_then(|(id, received)| received.parse().ok().map(UnixTime::from_millis).or_else(|| time_of_id(&id))))
}

fn time_of_id(id: &str) -> Option<UnixTime> {
    scripts::cursor(id).map(Cursor::time)
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("server", &self.server).finish_non_exhaustive()
    }
}
