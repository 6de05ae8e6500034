//! Owns the start: the lock against other processes, the schema, and every reason not to touch a file.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior::Immediate};

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::lock;
use crate::inbox::sqlite::advance;
use crate::inbox::sqlite::append::Newest;
use crate::inbox::sqlite::checkpoint::Checkpointer;
use crate::inbox::sqlite::error::{OpenError, Why};
use crate::inbox::sqlite::fingerprints::Fingerprints;
use crate::inbox::sqlite::log::{Log, identity};
use crate::inbox::sqlite::prune::{self, Pruning};
use crate::inbox::sqlite::{SqliteStore, Writer, Writing, checkpoint};
use crate::inbox::store::StoreError;
use crate::worker::Workers;

/// `application_id` of the file: "rmky".
const APPLICATION: i32 = 0x726d_6b79;
/// `user_version` of the file.
const SCHEMA: i32 = 1;
const TABLES: &str = "
    CREATE TABLE entry (
        cursor INTEGER PRIMARY KEY,  -- milliseconds since 1970 << 20 | a count
        number INTEGER NOT NULL,     -- from 1, without gaps
        fingerprint BLOB NOT NULL,      -- 16 bytes: what tells one event from all others
        received INTEGER NOT NULL,   -- milliseconds since 1970
        key TEXT NOT NULL,           -- the API key that signed
        id TEXT NOT NULL,            -- the event's; empty where it has none
        event TEXT NOT NULL,         -- its name, likewise
        room TEXT NOT NULL,          -- its room's name, likewise
        body BLOB NOT NULL           -- as it came, to the byte
    ) STRICT;
    CREATE TABLE fingerprint (          -- an index of entry, which the newest entries come into later
        fingerprint BLOB PRIMARY KEY,
        cursor INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE inbox (             -- one row of cursors; at first, of the time when the file was made
        deleted INTEGER NOT NULL,    -- entries up to here are deleted
        deleted_number INTEGER NOT NULL, -- and so many of them there were
        settled INTEGER NOT NULL,    -- entries up to here are in the index
        purged INTEGER NOT NULL      -- deleted entries up to here are no longer in the index
    ) STRICT;
";
/// Bytes of a page. Several bodies fit into one, and few of the index have to be written at a time.
const PAGE: i32 = 8192;
/// What the writer keeps of the file in memory at most.
const WRITER_CACHE_KIB: i64 = 4096;
/// Connections that read, from the start.
const READERS: usize = 1;
/// How long a lock of another process is waited for.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// How long the start looks for damage: all of a small file is checked, and the beginning of a large one.
const CHECK: Duration = Duration::from_millis(200);
/// Bytes of a file of zeros at most, for it to be taken for one that was being made.
const MOST_ZEROS: u64 = 1 << 20;
/// Steps of SQLite's between two looks at the clock while it checks.
const CHECK_STEPS: i32 = 1000;

impl SqliteStore {
    /// Opens the file at `path`, or makes it. Where that fails, a file that was there stays as it is.
    pub(crate) fn open(path: &Path, now: UnixTime, workers: &Workers) -> Result<Self, OpenError> {
        let refused = |why: Why| OpenError { path: path.to_owned(), why };
        // To SQLite some names are not those of files, such as `:memory:`; those that begin at the root all are.
        let path = &std::path::absolute(path).map_err(Why::Io).map_err(refused)?;
        let is_new = !path.exists();
        let locked = lock_file(path).map_err(refused)?;
        let opened = complete(path, locked, now).and_then(|(locked, connection)| Ok((open(path, connection, workers)?, locked)));
        if is_new && opened.is_err() {
            remove(path, &["", "-wal", "-shm"]);
        }
        let ((writer, readers, checkpointer, is_doubtful), locked) = opened.map_err(refused)?;
        let store = Self {
            path: path.to_owned(),
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            log_bytes: AtomicU64::new(writer.log.bytes().unwrap_or(0)),
            checkpointer,
            readers: RwLock::new(Mutex::new(readers)),
            writing: Mutex::new(Writing { writer: None, is_doubtful }),
            locked,
        };
        let bytes = prune::bytes(&writer.connection).map_err(|error| OpenError { path: path.to_owned(), why: error.into() })?;
        store.note(&writer, bytes);
        lock(&store.writing).writer = Some(writer);
        Ok(store)
    }
}

/// The file, locked against other processes that use it as an inbox, for as long as it is open. It may hold secrets, and SQLite
/// gives the same permissions to the files that it makes beside it.
fn lock_file(path: &Path) -> Result<File, Why> {
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(Why::Io)?;
    match file.try_lock() {
        // Another process may have put a new file at this place, which it has locked.
        Ok(()) if identity(&file.metadata().map_err(Why::Io)?) != identity(&path.metadata().map_err(Why::Io)?) => Err(Why::InUse),
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Why::InUse),
        Err(TryLockError::Error(error)) => Err(Why::Io(error)),
    }
}

/// The name of the file with this ending that SQLite keeps beside the one at `path`.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Removes the files with these endings.
fn remove(path: &Path, endings: &[&str]) {
    for ending in endings {
        let _ = fs::remove_file(beside(path, ending)); // perhaps there is none
    }
}

/// The writer, connections that read, what moves the log, and whether the log is in doubt.
type Opened = (Writer, Vec<Connection>, Checkpointer, bool);

fn open(path: &Path, mut connection: Connection, workers: &Workers) -> Result<Opened, Why> {
    check(&mut connection)?;
    let mut writer = Writer::open(path, connection)?;
    // A crash may have left writes in the log that were never synced. Nothing may be built on them.
    let is_doubtful = match checkpoint::restart(&writer.connection) {
        Err(error) => StoreError::from(error).leaves_doubt(),
        Ok(_) => false,
    };
    probe(&mut writer.connection)?;
    let checkpointer = Checkpointer::start(connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?, workers).map_err(Why::Io)?;
    let readers = (0..READERS).map(|_| reader(path)).collect::<Result<_, _>>()?;
    Ok((writer, readers, checkpointer, is_doubtful))
}

impl Writer {
    /// On `connection` to the file at `path`, which has the schema. Every commit is synced before it counts. If a sync fails, what it
    /// was for is written again: later writes never stand behind one that may not have reached the disk.
    pub(super) fn open(path: &Path, connection: Connection) -> Result<Self, Why> {
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(Why::NoLog);
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        advance::prepare(&connection)?;
        let reached = advance::reached(&connection)?;
        let mut newest = Newest::read(&connection)?;
        newest.cursor = newest.cursor.max(reached);
        let deleted_number = connection.query_row("SELECT deleted_number FROM inbox", [], |row| row.get(0))?;
        let fingerprints = Fingerprints::load(&connection)?;
        let log = Log::of(path).map_err(Why::Io)?;
        Ok(Self { connection, newest, reached, deleted_number, fingerprints, pruning: Pruning::default(), log })
    }
}

/// The `locked` file and a connection to it. If it holds nothing yet, a new inbox takes its place first.
fn complete(path: &Path, locked: File, now: UnixTime) -> Result<(File, Connection), Why> {
    let connect = || connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    if !is_blank(&locked).map_err(Why::Io)? {
        let connection = connect()?;
        if !is_empty(&connection)? {
            return Ok((locked, connection));
        }
    }
    Ok((create(path, now)?, connect()?))
}

/// Whether the file is empty, or as a power cut leaves one that was being written: full of zeros.
fn is_blank(mut file: &File) -> io::Result<bool> {
    if file.metadata()?.len() > MOST_ZEROS {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

/// Whether the database has no tables: it is new, or the start that was making it did not come to its end.
fn is_empty(connection: &Connection) -> Result<bool, Why> {
    let read = |sql| connection.query_row(sql, [], |row| row.get::<_, i32>(0));
    let tables = read("SELECT count(*) FROM sqlite_schema")?;
    match (read("PRAGMA application_id")?, read("PRAGMA user_version")?) {
        (APPLICATION, version) if version > SCHEMA => Err(Why::Newer),
        (0 | APPLICATION, 0 | SCHEMA) if tables == 0 => Ok(true),
        (APPLICATION, SCHEMA) => Ok(false),
        _ => Err(Why::Foreign),
    }
}

/// A connection with this `access`.
pub(super) fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(LOCK_PATIENCE)?;
    // What a crash has left in the log stays there until all is known to be well.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// A connection that reads.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // SQLite opens what it needs at the first read.
    connection.query_row("SELECT deleted FROM inbox", [], |_| Ok(()))?;
    Ok(connection)
}

/// Looks for damage, for a while.
fn check(connection: &mut Connection) -> Result<(), Why> {
    let begin = Instant::now();
    connection.progress_handler(CHECK_STEPS, Some(move || begin.elapsed() > CHECK))?;
    let checked = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    connection.progress_handler(0, None::<fn() -> bool>)?;
    match checked {
        Ok(sound) if sound == "ok" => Ok(()),
        Ok(_) => Err(Why::Damaged),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes an inbox in a file of its own, which takes its place once all of it is on the disk. Gives the new file, locked.
fn create(path: &Path, now: UnixTime) -> Result<File, Why> {
    let path = &path.canonicalize().map_err(Why::Io)?; // not in place of a link
    let new = &beside(path, "-new");
    remove(new, &["", "-journal"]);
    let locked = lock_file(new)?;
    let mut connection = connect(new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    let transaction = connection.transaction_with_behavior(Immediate)?;
    transaction.execute_batch(TABLES)?;
    advance::prepare(&transaction)?;
    transaction.execute("INSERT INTO inbox VALUES (?1, 0, ?1, ?1)", [Cursor::at(now).number()])?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()?;
    drop(connection);
    replace(path, new, &locked).map_err(Why::Io)?;
    Ok(locked)
}

/// Puts the file `new` at `path`, so that also after a power cut one of the two is there, whole.
fn replace(path: &Path, new: &Path, file: &File) -> io::Result<()> {
    let directory = File::open(path.parent().unwrap_or(Path::new("/")))?;
    file.sync_all()?;
    // SQLite would apply what lies beside a file to any file at its place.
    remove(path, &["-journal", "-wal", "-shm"]);
    directory.sync_all()?;
    fs::rename(new, path)?;
    directory.sync_all()
}

/// A commit that changes nothing.
pub(super) fn probe(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(Immediate)?;
    transaction.execute("UPDATE inbox SET deleted = deleted", [])?;
    transaction.commit()
}
