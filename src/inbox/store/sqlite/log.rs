//! Takes care of the files that SQLite keeps beside the inbox: its log (`-wal`) and the index of the log (`-shm`). A thread moves data
//! from the log to the file, so that the writer need not wait. The log restarts only when all of it is in the file, so from time to
//! time the writer itself moves the rest. Does not know the data.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};
use tracing::debug;

use crate::inbox::store::StoreError;
use crate::worker::{Workers, faults, lock};

const THREAD: &str = "inbox-log";
/// The limit of the log on the disk.
const MOST_BYTES: u64 = 128 << 20;
/// What one transaction adds at most: 24 MiB of bodies and names (a batch of 8 MiB and its last delivery of up to 16 MiB), and a
/// page of entries and one of the index for each of up to 2048 deliveries.
const TRANSACTION_BYTES: u64 = 56 << 20;
/// A longer log has to restart before the next write.
pub(super) const FULL_BYTES: u64 = MOST_BYTES - TRANSACTION_BYTES;
/// Bytes of bodies between two passes.
const PASS_BYTES: usize = 1 << 20;
/// If the log has more bytes after a pass, the writer moves the rest. A commit to a log that has restarted is quicker than to one that
/// grows, because a growing file changes its inode too.
const LONG_BYTES: i64 = 4 << 20;

/// The files beside the inbox, as they were when it was opened. Commits to a log that was removed or replaced are lost in the next
/// crash.
pub(super) struct LogFiles {
    wal: (PathBuf, FileIdentity),
    shm: (PathBuf, FileIdentity),
}

/// Identifies a file as long as it exists: device and inode.
type FileIdentity = (u64, u64);

impl LogFiles {
    /// The log of the inbox at `path`, which is open.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        // SQLite keeps them beside the file itself, not beside a link to it.
        let path = path.canonicalize()?;
        let find = |suffix| {
            let path = beside(&path, suffix);
            fs::metadata(&path).map(|file| (path, identity(&file)))
        };
        Ok(Self { wal: find("-wal")?, shm: find("-shm")? })
    }

    /// The bytes of the log on the disk, if both files are still in place.
    pub(super) fn bytes(&self) -> Result<u64, StoreError> {
        let find = |(path, known): &(PathBuf, FileIdentity)| {
            fs::metadata(path).ok().filter(|file| identity(file) == *known).ok_or(StoreError::LogMoved)
        };
        find(&self.shm)?;
        Ok(find(&self.wal)?.len())
    }
}

/// The name of a file that SQLite keeps beside the one at `path`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

pub(super) fn identity(file: &Metadata) -> FileIdentity {
    (file.dev(), file.ino())
}

/// The handle of the thread.
pub(super) struct Checkpointer {
    written: AtomicUsize,
    state: Arc<CheckpointState>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Shared with the thread.
#[derive(Default)]
struct CheckpointState {
    /// `None` while the log is reopened.
    connection: Mutex<Option<Connection>>,
    is_long: AtomicBool,
    has_failed: AtomicBool,
    is_closed: AtomicBool,
}

impl Checkpointer {
    /// Starts the thread, which uses `connection`.
    pub(super) fn start(connection: Connection, workers: &Workers) -> io::Result<Self> {
        let state = Arc::new(CheckpointState { connection: Mutex::new(Some(connection)), ..CheckpointState::default() });
        let [running, recovering] = [Arc::clone(&state), Arc::clone(&state)];
        let thread = workers.spawn(THREAD, move || running.run(), move || !recovering.is_closed.load(Relaxed))?;
        Ok(Self { written: AtomicUsize::new(0), state, thread: Mutex::new(Some(thread)) })
    }

    /// The writer, on this connection, has written so many bytes.
    pub(super) fn written(&self, bytes: usize, writer: &Connection) {
        if self.written.fetch_add(bytes, Relaxed).saturating_add(bytes) < PASS_BYTES {
            return;
        }
        self.written.store(0, Relaxed);
        if self.state.is_long.swap(false, Relaxed) {
            self.state.pass(writer);
        } else if let Some(thread) = &*lock(&self.thread) {
            thread.thread().unpark();
        }
    }

    /// Whether the disk has failed since the last call.
    pub(super) fn take_failure(&self) -> bool {
        self.state.has_failed.swap(false, Relaxed)
    }

    /// Waits until the present pass is over, and allows no other while the result lives.
    pub(super) fn pause(&self) -> impl Drop {
        lock(&self.state.connection)
    }

    /// Closes the connection, and uses another one if given.
    pub(super) fn use_connection(&self, connection: Option<Connection>) {
        *lock(&self.state.connection) = connection;
    }

    /// Ends the thread and closes its connection.
    pub(super) fn close(&self) {
        if let Some(thread) = lock(&self.thread).take() {
            self.state.is_closed.store(true, Relaxed);
            thread.thread().unpark();
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

impl CheckpointState {
    fn run(&self) {
        while !self.is_closed.load(Relaxed) {
            thread::park();
            if self.is_closed.load(Relaxed) {
                return;
            }
            faults::point(THREAD);
            if let Some(connection) = &*lock(&self.connection) {
                let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap_or(0);
                self.is_long.store(self.pass(connection).saturating_mul(page) > LONG_BYTES, Relaxed);
            }
        }
    }

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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_log_restarts_although_the_thread_moves_data_at_the_same_time() {
        let path = Path::new("/tmp").join(format!("roomkey-log-{}.db", std::process::id()));
        let remove = || ["", "-wal", "-shm"].map(|name| fs::remove_file(beside(&path, name)));
        let _ = remove(); // of an earlier run that failed
        let connect = || Connection::open(&path).unwrap();
        let writer = connect();
        writer.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE x (y BLOB)").unwrap();
        let checkpointer = Checkpointer::start(connect(), &Workers::default()).unwrap();
        for _ in 0..200 {
            writer.execute("INSERT INTO x VALUES (zeroblob(300000))", []).unwrap();
            checkpointer.written(PASS_BYTES, &writer);
            thread::yield_now();
            let _no_pass = checkpointer.pause();
            assert_eq!(restart(&writer).unwrap(), None);
        }
        drop((checkpointer, writer));
        let _ = remove(); // SQLite has removed what it made beside the file
    }
}
