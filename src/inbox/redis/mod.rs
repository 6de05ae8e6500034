//! Owns the inbox in a Redis that several roomkeys share: each batch is one script, which Redis runs as a whole or not at all. What
//! is acknowledged is as safe as Redis is set to keep it.

mod connection;
mod keys;
mod known;
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
use crate::inbox::store::{Appended, ReadError, Retention, Store, StoreError, Usage};
use crate::worker::Workers;
use connection::{NotOurs, Server};
use read::Strangers;
use settings::Settings;

/// Of one script, which holds up everything else in Redis: so many arrivals, and no more once their bodies have so many bytes.
const SCRIPT_ARRIVALS: usize = 512;
const SCRIPT_BYTES: usize = 4 * 1024 * 1024;

/// A Redis, there or not.
pub(crate) struct RedisStore {
    shared: Arc<Shared>,
    writer: Mutex<Writer>,
    /// Connections that nobody reads with now, and the generation that they are of.
    readers: Mutex<Vec<(u64, Connection)>>,
    strangers: Strangers,
    usage: Mutex<Option<Usage>>,
    /// That may be kept.
    most_bytes: u64,
    clock: Clock,
}

/// What the thread that hears of wake-ups shares.
#[derive(Debug)]
struct Shared {
    server: Server,
    /// The id that was committed here last.
    newest: Mutex<String>,
    closed: AtomicBool,
}

struct Writer {
    connection: Option<Connection>,
    settings: Option<Settings>,
}

impl RedisStore {
    /// The inbox in the Redis at `url`, which need not be there yet. `changed` hears of what any roomkey commits. Of the retention
    /// only the bytes are used here: each append makes room for itself.
    pub(crate) fn open(
        url: RedisUrl,
        retention: Retention,
        changed: watch::Sender<()>,
        clock: Clock,
        workers: &Workers,
    ) -> io::Result<Self> {
        info!(server = %url, "the inbox is in Redis");
        let shared = Arc::new(Shared { server: Server::new(url), newest: Mutex::default(), closed: AtomicBool::new(false) });
        wake::start(workers, Arc::clone(&shared), changed)?;
        let writer = Mutex::new(Writer { connection: None, settings: None });
        Ok(Self {
            shared,
            writer,
            readers: Mutex::default(),
            strangers: Strangers::default(),
            usage: Mutex::default(),
            most_bytes: retention.bytes,
            clock,
        })
    }

    /// Has `write` done on the one connection that writes. If that fails, nobody knows what was done, nor where the server is: all
    /// connections are given up. An old one may only have been closed, and so `write` is tried once more on a new one, unless it
    /// has cost all the time that there is.
    fn write<T>(&self, mut write: impl FnMut(&mut Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut writer = lock(&self.writer);
        let mut try_on = |connection: Result<Connection, StoreError>, writer: &mut Writer| {
            let written = connection.and_then(|mut connection| Ok((write(&mut connection)?, connection)));
            match written {
                Ok((written, connection)) => {
                    writer.connection = Some(connection);
                    Ok(written)
                }
                Err(error) => {
                    self.shared.server.renew();
                    Err(error)
                }
            }
        };
        if let Some(old) = writer.connection.take() {
            match try_on(Ok(old), &mut writer) {
                Err(error) if !matches!(error, StoreError::Stalled) => {}
                done => return done,
            }
        }
        let new = self.enter(&mut writer.settings);
        try_on(new, &mut writer)
    }

    fn enter(&self, settings: &mut Option<Settings>) -> Result<Connection, StoreError> {
        let mut connection = self.shared.server.connect()?;
        settings::inspect(&mut connection, self.shared.server.url(), settings)?;
        Ok(connection)
    }

    /// Where the inbox begins if it is new.
    fn begin(&self) -> Cursor {
        Cursor::at(self.clock.now())
    }

    fn append_some(&self, connection: &mut Connection, arrivals: &[Arrival]) -> Result<Vec<Appended>, StoreError> {
        let mut script = keys::append();
        script.arg(keys::id(self.begin()));
        for arrival in arrivals {
            let (received, _) = Cursor::at(arrival.received).parts();
            script.arg(&arrival.fingerprint.0[..]).arg(received).arg(arrival.key()).arg(arrival.id());
            script.arg(arrival.event()).arg(arrival.room()).arg(arrival.body());
        }
        let (answers, newest, entries, bytes): (String, String, u64, u64) = script.invoke(connection)?;
        let appended = answers.bytes().map(appended).collect::<Option<Vec<_>>>();
        let appended = appended.filter(|appended| appended.len() == arrivals.len()).ok_or(NotOurs::Answer)?;
        if appended.contains(&Appended::Committed) {
            *lock(&self.shared.newest) = newest;
        }
        self.note(entries, bytes);
        Ok(appended)
    }

    /// Takes a step in deleting what came before `oldest`, or is too much; whether another one is due.
    fn prune_some(
        &self,
        connection: &mut Connection,
        oldest: UnixTime,
        most_bytes: u64,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut script = keys::prune();
        script.arg(oldest.as_millis()).arg(most_bytes).arg(now.as_millis());
        let (more, entries, bytes): (bool, u64, u64) = script.invoke(connection)?;
        self.note(entries, bytes);
        Ok(more)
    }

    fn note(&self, entries: u64, bytes: u64) {
        *lock(&self.usage) = Some(Usage { entries, bytes, log_bytes: None });
    }
}

/// What a digit of `append.lua` says.
fn appended(digit: u8) -> Option<Appended> {
    match digit {
        b'0' => Some(Appended::Committed),
        b'1' => Some(Appended::Duplicate),
        b'2' => Some(Appended::Conflict),
        _ => None,
    }
}

/// The first arrivals of `batch`, as many as one script takes.
fn split(batch: &[Arrival]) -> &[Arrival] {
    let mut bytes = 0_usize;
    let fits = batch.iter().take(SCRIPT_ARRIVALS).take_while(|arrival| {
        let fits = bytes < SCRIPT_BYTES;
        bytes = bytes.saturating_add(arrival.body().len());
        fits
    });
    batch.get(..fits.count()).unwrap_or(batch)
}

impl Store for RedisStore {
    fn append(&self, batch: &[Arrival]) -> Result<Vec<Appended>, StoreError> {
        let mut appended = Vec::with_capacity(batch.len());
        self.write(|connection| {
            // A second try goes on behind what is known to be committed. What is committed unknown to us is a duplicate then.
            while let Some(rest @ [_, ..]) = batch.get(appended.len()..) {
                appended.append(&mut self.append_some(connection, split(rest))?);
                if self.usage().is_some_and(|usage| usage.bytes > self.most_bytes) {
                    self.prune_some(connection, UnixTime::from_millis(0), self.most_bytes, self.clock.now())?;
                }
            }
            Ok(())
        })?;
        Ok(appended)
    }

    fn read(&self, after: Option<Cursor>, filter: &Filter, limit: PageLimit) -> Result<Page, ReadError> {
        let generation = self.shared.server.generation();
        let read = |mut connection: Connection| {
            let page = read::read(&mut connection, after, filter, limit, self.begin(), &self.strangers);
            if !matches!(page, Err(ReadError::Store(_))) {
                lock(&self.readers).push((generation, connection));
            }
            page
        };
        let idle = lock(&self.readers).pop().filter(|(of, _)| *of == generation);
        match idle.map(|(_, connection)| read(connection)) {
            // Redis may have hung up on a connection that was idle.
            None | Some(Err(ReadError::Store(_))) => read(self.shared.server.connect()?),
            Some(page) => page,
        }
    }

    fn advance(&self, to: Cursor) -> Result<Cursor, StoreError> {
        self.write(|connection| {
            let newest: String = keys::advance().arg(keys::id(self.begin())).arg(keys::id(to)).invoke(connection)?;
            Ok(keys::cursor(&newest).ok_or(NotOurs::Answer)?)
        })
    }

    fn prune(&self, retention: &Retention, now: UnixTime) -> Result<bool, StoreError> {
        if lock(&self.writer).connection.is_none() {
            return Ok(false); // an append or a probe connects
        }
        let oldest = now.saturating_sub(retention.age);
        self.write(|connection| self.prune_some(connection, oldest, retention.bytes, now))
    }

    fn known_time(&self) -> Result<Option<UnixTime>, StoreError> {
        if lock(&self.writer).connection.is_none() {
            return Err(StoreError::Unreached); // an append or a probe connects
        }
        self.write(known::time)
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.write(|connection| Ok(keys::probe().arg(keys::id(self.begin())).invoke::<()>(connection)?))
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn usage(&self) -> Option<Usage> {
        *lock(&self.usage)
    }

    fn close(&self) {
        self.shared.closed.store(true, Relaxed);
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("server", &self.shared.server).finish_non_exhaustive()
    }
}
