//! Moves data from SQLite's log (WAL) to the file. A separate thread does it, so that the writer need not wait. The log restarts only
//! when all of it is in the file, so from time to time the writer itself moves the rest. Does not know the data.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};
use tracing::debug;

use crate::inbox::lock;
use crate::worker::{Work, Workers, faults};

const THREAD: &str = "inbox-log";
/// Bytes of bodies between two passes.
const PASS_BYTES: usize = 8 << 20;
/// If the log has more bytes after a pass, the writer moves the rest.
const LONG_BYTES: i64 = 48 << 20;

/// The handle of the thread.
pub(super) struct Checkpointer {
    written: AtomicUsize,
    state: Arc<CheckpointState>,
    thread: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
}

/// Shared with the thread.
struct CheckpointState {
    /// `None` while the log is reopened.
    connection: Mutex<Option<Connection>>,
    is_long: AtomicBool,
    has_failed: AtomicBool,
}

impl Checkpointer {
    /// Starts the thread, which uses `connection`.
    pub(super) fn start(connection: Connection, workers: &Workers) -> io::Result<Self> {
        let state = Arc::new(CheckpointState {
            connection: Mutex::new(Some(connection)),
            is_long: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
        });
        let (wake, woken) = sync_channel(1);
        let thread = workers.spawn(THREAD, CheckpointThread { state: Arc::clone(&state), woken })?;
        Ok(Self { written: AtomicUsize::new(0), state, thread: Mutex::new(Some((wake, thread))) })
    }

    /// The writer, on this connection, has written so many bytes.
    pub(super) fn written(&self, bytes: usize, writer: &Connection) {
        if self.written.fetch_add(bytes, Relaxed).saturating_add(bytes) < PASS_BYTES {
            return;
        }
        self.written.store(0, Relaxed);
        if self.state.is_long.swap(false, Relaxed) {
            self.state.pass(writer);
        } else if let Some((wake, _)) = &*lock(&self.thread) {
            let _ = wake.try_send(()); // it may be running already
        }
    }

    /// Whether the disk has failed since the last call.
    pub(super) fn take_failure(&self) -> bool {
        self.state.has_failed.swap(false, Relaxed)
    }

    /// Closes the connection, and uses another one if given.
    pub(super) fn use_connection(&self, connection: Option<Connection>) {
        *lock(&self.state.connection) = connection;
    }

    /// Ends the thread and closes its connection.
    pub(super) fn close(&self) {
        if let Some((wake, thread)) = lock(&self.thread).take() {
            drop(wake);
            let _ = thread.join(); // a panic is logged already
            self.use_connection(None);
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.close();
    }
}

struct CheckpointThread {
    state: Arc<CheckpointState>,
    woken: Receiver<()>,
}

impl Work for CheckpointThread {
    fn run(&mut self) {
        while self.woken.recv().is_ok() {
            faults::point(THREAD);
            let connection = lock(&self.state.connection);
            if let Some(connection) = &*connection {
                let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap_or(0);
                let pages = self.state.pass(connection);
                self.state.is_long.store(pages.saturating_mul(page) > LONG_BYTES, Relaxed);
            }
        }
    }

    fn recover(&mut self) -> bool {
        self.woken.try_recv() != Err(TryRecvError::Disconnected)
    }
}

impl CheckpointState {
    /// Moves what it can without blocking others. Returns the number of pages in the log.
    fn pass(&self, connection: &Connection) -> i64 {
        let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1));
        moved.unwrap_or_else(|error| {
            // The writer notices a full disk itself. After a failed sync, SQLite forgets what it has not yet synced.
            debug!(%error, "the log cannot be moved into the inbox");
            if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
                self.has_failed.store(true, Relaxed);
            }
            0
        })
    }
}

/// Moves everything, so that the log restarts empty. `None` if that is done; the number of pages in the log if a reader or writer
/// takes too long.
pub(super) fn restart(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        let pages = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(u64::MAX);
        Ok((row.get::<_, i64>(0)? != 0).then_some(pages))
    })
}

/// Moves everything, unless somebody reads, and lets SQLite remove the log with the last connection.
pub(super) fn finish(connection: &Connection) {
    let finished =
        restart(connection).and_then(|_| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop));
    if let Err(error) = finished {
        debug!(%error, "the inbox's log (-wal) stays beside it");
    }
}
