//! Owns the way of what was written from SQLite's log (WAL) into the file. A thread does it beside the writer, which otherwise
//! would stand still for it. The log begins anew only when all of it is in the file, so that the writer itself moves the rest from
//! time to time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::{fmt, io};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
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
    is_long: Arc<AtomicBool>,
    thread: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
}

impl Checkpointer {
    /// Starts the thread, with `connection`.
    pub(super) fn start(connection: Connection, workers: &Workers) -> io::Result<Self> {
        let is_long = Arc::new(AtomicBool::new(false));
        let (wake, woken) = sync_channel(1);
        let thread = workers.spawn(NAME, Passes { connection, woken, is_long: Arc::clone(&is_long) })?;
        Ok(Self { written: AtomicUsize::new(0), is_long, thread: Mutex::new(Some((wake, thread))) })
    }

    /// Hears that the writer, whose connection is given, has written so many bytes.
    pub(super) fn note(&self, bytes: usize, writer: &Connection) {
        if self.written.fetch_add(bytes, Relaxed).saturating_add(bytes) < PASS {
            return;
        }
        self.written.store(0, Relaxed);
        if self.is_long.swap(false, Relaxed) {
            pass(writer);
        } else if let Some((wake, _)) = &*lock(&self.thread) {
            let _ = wake.try_send(()); // it is at work already
        }
    }

    /// Ends the thread.
    pub(super) fn close(&self) {
        if let Some((wake, thread)) = lock(&self.thread).take() {
            drop(wake);
            let _ = thread.join(); // a panic was logged
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
    connection: Connection,
    woken: Receiver<()>,
    is_long: Arc<AtomicBool>,
}

impl Work for Passes {
    fn run(&mut self) {
        let page: i64 = self.connection.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap_or(0);
        while self.woken.recv().is_ok() {
            faults::point(NAME);
            let pages = pass(&self.connection);
            self.is_long.store(pages.saturating_mul(page) > LONG, Relaxed);
        }
    }

    fn recover(&mut self) -> bool {
        self.woken.try_recv() != Err(TryRecvError::Disconnected)
    }
}

/// Moves what it can without making anyone wait. Gives the pages that are in the log.
fn pass(connection: &Connection) -> i64 {
    let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1));
    moved.unwrap_or_else(|error| {
        // A disk that is full or broken shows when the writer cannot write.
        debug!(%error, "cannot move the log into the inbox");
        0
    })
}

/// Moves all of it, where nobody reads, and lets the log go with the last connection.
pub(super) fn finish(connection: &Connection) {
    let finished = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .and_then(|()| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false));
    if let Err(error) = finished {
        debug!(%error, "the log stays beside the inbox");
    }
}
