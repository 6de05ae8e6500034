//! Stores the inbox in a Redis that several roomkeys share. Each batch is one script, which Redis runs completely or not at all.
//! Acknowledged events are as durable as Redis is configured. Does not know the writer thread or the readers.
//!
//! A replica that takes over may lack what the primary committed last. With enough `replicas` it does not: they are waited for before a
//! delivery is acknowledged, before the mark moves, and before a reader is shown what somebody else has committed. Without, a
//! reader's cursor may be later than the newest entry that is left. Later entries get later cursors nevertheless, because each
//! roomkey advances the new primary to what it has shown and to its clock before it appends.

mod entries;
mod sentinels;
mod server;
mod targets;
mod url;
mod wake;
mod writing;

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
use crate::inbox::store::{Appended, Committed, ReadError, Retention, Store, StoreError, Usage, random_holder};
use crate::inbox::target::{OwedEvent, OwedState, SteeringRequest, TargetState};
use crate::inbox::target_write::TargetWrite;
use crate::inbox::trusted_time;
use crate::worker::{Workers, lock};
use entries::{STATE, Warned};
use server::Server;

/// What one script appends, because it blocks everything else in Redis. The last delivery may exceed the bytes.
const BATCH: PageLimit = PageLimit { entries: 512, bytes: 4 << 20 };

/// A Redis, which may be unreachable.
pub(crate) struct RedisStore {
    /// Shared with the thread that listens for commits.
    server: Arc<Server>,
    /// With its generation.
    writer: Mutex<Option<(u64, Connection)>>,
    readers: Pool<Connection>,
    warned: Warned,
    usage: Mutex<Option<Usage>>,
    clock: Clock,
    /// This opening of the store, as a holder of leases.
    holder: String,
}

impl RedisStore {
    /// The inbox in the Redis at `url`, which may be unreachable. `changed` is notified of what any roomkey commits.
    pub(crate) fn open(url: RedisUrl, changed: watch::Sender<()>, clock: Clock, workers: &Workers) -> io::Result<Self> {
        info!(server = %url, "the inbox is in Redis");
        let (server, holder) = (Arc::new(Server::new(url)), random_holder()?);
        wake::start(workers, Arc::clone(&server), changed)?;
        Ok(Self {
            server,
            writer: Mutex::default(),
            readers: Pool::default(),
            warned: Warned::default(),
            usage: Mutex::default(),
            clock,
            holder,
        })
    }

    /// Where the inbox begins if it is new, as the id of an entry.
    fn begin(&self) -> String {
        entries::id(Cursor::at(self.clock.now()))
    }

    fn append(&self, batch: &[Arrival]) -> Result<Vec<Appended>, StoreError> {
        let script = entries::append_script(self.begin(), batch);
        self.write(|connection| {
            let (outcomes, newest, entries, bytes): (String, String, u64, u64) = script.invoke(connection)?;
            let appended = entries::outcomes(&outcomes, batch.len())?;
            self.set_usage(entries, bytes);
            let cursor = entries::expect_cursor(&newest)?;
            if appended.contains(&Appended::Committed) {
                *lock(&self.server.newest) = newest;
                self.server.replicate(connection, cursor)?;
            } else {
                // A replica may lack what an earlier try has committed.
                self.server.replicate_read(connection, cursor)?;
            }
            Ok(appended)
        })
    }

    fn read_with<T>(&self, read: impl FnMut(&mut Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        self.readers.read(self.server.generation(), || Ok(self.server.connect()?), read)
    }

    fn set_usage(&self, entries: u64, bytes: u64) {
        *lock(&self.usage) = Some(Usage { entries, bytes, log_bytes: None });
    }
}

impl Store for RedisStore {
    fn commit(&self, batch: &[Arrival], writes: &[TargetWrite], now: UnixTime) -> Result<Committed, StoreError> {
        let appended = if batch.is_empty() { Vec::new() } else { self.append(batch)? };
        let written = if writes.is_empty() {
            Ok(Vec::new())
        } else {
            self.write(|connection| match targets::write(connection, writes, &self.holder, now) {
                // The server has answered, so deliveries can go on using the connection.
                Err(error @ (StoreError::Full(_) | StoreError::Foreign(_))) => Ok(Err(error)),
                written => self.server.wait_for_replicas(connection).and(Ok(Ok(written?))),
            })
            .and_then(|written| written)
        };
        Ok(Committed { appended, written })
    }

    fn target(&self, target: &str) -> Result<Option<TargetState>, ReadError> {
        self.read_with(|connection| targets::state(connection, target))
    }

    fn owed(&self, target: &str, state: Option<OwedState>, after: Cursor, limit: usize) -> Result<Vec<OwedEvent>, ReadError> {
        self.read_with(|connection| targets::owed(connection, target, state, after, limit))
    }

    fn owed_at(&self, target: &str, cursors: &[Cursor]) -> Result<Vec<OwedEvent>, ReadError> {
        self.read_with(|connection| targets::owed_at(connection, target, cursors))
    }

    fn steering(&self, target: &str) -> Result<Vec<SteeringRequest>, ReadError> {
        self.read_with(|connection| targets::steering(connection, target))
    }

    fn entries_after(&self, cursor: Cursor) -> Result<(u64, Option<UnixTime>), ReadError> {
        self.read_with(|connection| {
            let mut script = entries::invocation(&entries::LAG);
            let (entries, received): (u64, String) = script.arg(entries::id(cursor)).invoke(connection)?;
            Ok((entries, received.parse().ok().map(UnixTime::from_millis)))
        })
    }

    fn batch_limit(&self) -> PageLimit {
        BATCH
    }

    fn read(&self, after: Option<Cursor>, filter: &Filter, limit: PageLimit) -> Result<Page, ReadError> {
        self.read_with(|connection| {
            let page = entries::read(connection, after, filter, limit, || self.begin(), &self.warned)?;
            if page.next != page.after && Some(page.next) > self.server.replicated() {
                self.server.replicate_read(connection, page.next)?;
            }
            Ok(page)
        })
    }

    fn begin_at(&self, at: Cursor) -> Result<bool, StoreError> {
        self.write(|connection| Ok(entries::invocation(&entries::BEGIN).arg(entries::id(at)).invoke(connection)?))
    }

    fn advance(&self, to: Cursor) -> Result<Cursor, StoreError> {
        self.write(|connection| {
            let newest = self.advance_on(connection, to)?;
            self.server.replicate_read(connection, newest)?;
            Ok(newest)
        })
    }

    fn prune(&self, retention: &Retention, now: UnixTime) -> Result<bool, StoreError> {
        if !self.is_connected() {
            return Ok(false);
        }
        self.write(|connection| {
            let mut script = entries::invocation(&entries::PRUNE);
            script.arg(now.saturating_sub(retention.age).as_millis()).arg(retention.bytes).arg(now.as_millis());
            let (more, entries, bytes): (bool, u64, u64) = script.invoke(connection)?;
            self.set_usage(entries, bytes);
            Ok(more)
        })
    }

    fn prune_targets(&self, since: UnixTime, now: UnixTime) -> Result<bool, StoreError> {
        if !self.is_connected() {
            return Ok(false);
        }
        self.write(|connection| targets::prune(connection, &self.holder, since, now))
    }

    fn known_time(&self) -> Result<Option<UnixTime>, StoreError> {
        if !self.is_connected() {
            return Err(StoreError::Unreached);
        }
        self.write(|connection| {
            let Some(newest) = entries::received(connection, "+")? else { return Ok(None) };
            let mut earlier = entries::received(connection, &entries::id(Cursor::at(trusted_time::before(newest))))?;
            if earlier.is_none() {
                // When the newest deleted entry was received; at first, when the inbox began.
                let deleted: Option<String> = redis::cmd("HGET").arg(STATE).arg("deleted").query(connection)?;
                earlier = deleted.as_deref().and_then(entries::time_of_id);
            }
            Ok(Some(trusted_time::seen(newest, earlier.unwrap_or(newest))))
        })
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.write(|connection| {
            let deleted: String = entries::invocation(&entries::PROBE).arg(self.begin()).invoke(connection)?;
            self.server.replicate_read(connection, entries::expect_cursor(&deleted)?)
        })
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

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.close();
    }
}
