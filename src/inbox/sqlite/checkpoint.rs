//! Owns the way of what was written from SQLite's log (WAL) into the file. A thread does it beside the writer, which otherwise
//! would stand still for it. The log begins anew only when all of it is in the file, so that the writer itself moves the rest from
//! time to time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::{fmt, io};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};
use tracing::debug;

use crate::inbox::lock;
use crate::worker::{Work, Workers, faults};

/// The thread's name.
const NAME: &str = "inbox-log";
/// Bytes of bodies between two passes.
const PASS: usize = 8 << 20;
/// Bytes of the log at which the writer moves the rest.
const LONG: i64 = 48 << 20;

/// The thread, and what it needs to know.
pub(super) struct Checkpointer {
    written: AtomicUsize,
    shared: Arc<Shared>,
    thread: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
}

/// What the thread shares.
struct Shared {
    /// `None` while the log is opened anew.
    connection: Mutex<Option<Connection>>,
    is_long: AtomicBool,
    has_failed: AtomicBool,
}

impl Checkpointer {
    /// Starts the thread, with `connection`.
    pub(super) fn start(connection: Connection, workers: &Workers) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            connection: Mutex::new(Some(connection)),
            is_long: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
        });
        let (wake, woken) = sync_channel(1);
        let thread = workers.spawn(NAME, Passes { shared: Arc::clone(&shared), woken })?;
        Ok(Self { written: AtomicUsize::new(0), shared, thread: Mutex::new(Some((wake, thread))) })
    }

    /// Hears that the writer, whose connection is given, has written so many bytes.
    pub(super) fn note(&self, bytes: usize, writer: &Connection) {
        if self.written.fetch_add(bytes, Relaxed).saturating_add(bytes) < PASS {
            return;
        }
        self.written.store(0, Relaxed);
        if self.shared.is_long.swap(false, Relaxed) {
            self.shared.pass(writer);
        } else if let Some((wake, _)) = &*lock(&self.thread) {
            let _ = wake.try_send(()); // it is at work already
        }
    }

    /// Whether the disk has failed since this was asked last.
    pub(super) fn has_failed(&self) -> bool {
        self.shared.has_failed.swap(false, Relaxed)
    }

    /// Has it work with another connection, or closes the one that it has.
    pub(super) fn use_connection(&self, connection: Option<Connection>) {
        *lock(&self.shared.connection) = connection;
    }

    /// Ends the thread, and closes its connection.
    pub(super) fn close(&self) {
        if let Some((wake, thread)) = lock(&self.thread).take() {
            drop(wake);
            let _ = thread.join(); // a panic was logged
            self.use_connection(None);
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpointer").finish_non_exhaustive()
    }
}

/// What the thread does.
struct Passes {
    shared: Arc<Shared>,
    woken: Receiver<()>,
}

impl Work for Passes {
    fn run(&mut self) {
        while self.woken.recv().is_ok() {
            faults::point(NAME);
            let connection = lock(&self.shared.connection);
            if let Some(connection) = &*connection {
                let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap_or(0);
                let pages = self.shared.pass(connection);
                self.shared.is_long.store(pages.saturating_mul(page) > LONG, Relaxed);
            }
        }
    }

    fn recover(&mut self) -> bool {
        self.woken.try_recv() != Err(TryRecvError::Disconnected)
    }
}

impl Shared {
    /// Moves what it can without making anyone wait. Gives the pages that are in the log.
    fn pass(&self, connection: &Connection) -> i64 {
        let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1));
        moved.unwrap_or_else(|error| {
            // A disk that is full shows when the writer cannot write. After a failed sync, SQLite forgets what it has not yet synced.
            debug!(%error, "cannot move the log into the inbox");
            if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
                self.has_failed.store(true, Relaxed);
            }
            0
        })
    }
}

/// Moves all of it, so that the log begins anew, empty. `None` once that is done; where somebody reads or writes for too long, the
/// pages that are in the log.
pub(super) fn restart(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        let pages = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(u64::MAX);
        Ok((row.get::<_, i64>(0)? != 0).then_some(pages))
    })
}

/// Moves all of it, where nobody reads, and lets the log go with the last connection.
pub(super) fn finish(connection: &Connection) {
    let finished =
        restart(connection).and_then(|_| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop));
    if let Err(error) = finished {
        debug!(%error, "the log stays beside the inbox");
    }
}
