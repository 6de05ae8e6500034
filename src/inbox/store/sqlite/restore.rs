//! Puts a copy of an inbox in the place of the inbox, after it has checked all of it. What was there stays, under another name. Does not
//! know how the copy was made.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use crate::inbox::cursor::Cursor;
use crate::inbox::store::sqlite::entries::Known;
use crate::inbox::store::sqlite::error::Why;
use crate::inbox::store::sqlite::log::{beside, identity};
use crate::inbox::store::sqlite::{open, schema};

/// The end of the name that the old file gets.
const KEPT: &str = ".before-restore";

/// What is in the restored inbox.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) entries: u64,
    /// The copy has everything up to here, and nothing after it.
    pub(crate) end: Cursor,
    /// Where the old file is, if there was one.
    pub(crate) kept: Option<PathBuf>,
}

/// Why nothing was restored. The inbox is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RestoreError {
    /// The inbox cannot be replaced.
    #[error(transparent)]
    Inbox(Why),
    /// The copy cannot be read.
    #[error(transparent)]
    Unreadable(io::Error),
    /// The copy is no inbox, or damaged.
    #[error("{0}")]
    Copy(#[source] Why),
    /// The copy is the inbox.
    #[error("it is the inbox itself")]
    Itself,
    /// SQLite would apply this log to the copy.
    #[error(
        "{} is beside it: if that belongs to the copy, add it with `sqlite3 COPY \"PRAGMA journal_mode = DELETE\"`, otherwise remove it",
        .0.display()
    )]
    HasLog(PathBuf),
    /// The old file of an earlier restore has the name that this one's would get.
    #[error("{} is there from an earlier restore: move or remove it first", .0.display())]
    Kept(PathBuf),
}

impl<E: Into<Why>> From<E> for RestoreError {
    fn from(error: E) -> Self {
        Self::Inbox(error.into())
    }
}

/// Replaces the inbox at `path`, which no roomkey may be using, by the `copy`, which stays unchanged.
pub(crate) fn restore(path: &Path, copy: &Path) -> Result<Restored, RestoreError> {
    let path = std::path::absolute(path)?;
    let is_new = !path.exists();
    // Keeps out a roomkey that starts meanwhile, even if there is no inbox yet.
    let locked = open::lock_file(&path)?;
    let restored = replace(&path, if is_new { None } else { Some(&locked) }, copy);
    if is_new && restored.is_err() {
        open::remove(&path, &[""]);
    }
    restored
}

fn replace(path: &Path, old: Option<&File>, copy: &Path) -> Result<Restored, RestoreError> {
    let path = &path.canonicalize()?; // replaces the file, not a link to it
    let kept = old.map(|_| beside(path, KEPT));
    if let Some(kept) = kept.as_ref().filter(|kept| kept.exists()) {
        return Err(RestoreError::Kept(kept.clone()));
    }
    let new = &beside(path, "-new");
    open::remove(new, &["", "-journal", "-wal", "-shm"]);
    let replaced = fill(new, old, copy).and_then(|(file, entries, end)| {
        let aside = kept.as_ref().map_or(Ok(()), |kept| put_aside(path, kept));
        if let Err(error) = aside.and_then(|()| open::replace(path, new, &file)) {
            if let Some(kept) = &kept {
                let _ = put_aside(kept, path); // as far as it was moved
            }
            return Err(error.into());
        }
        Ok(Restored { entries, end, kept: kept.clone() })
    });
    if replaced.is_err() {
        open::remove(new, &["", "-journal", "-wal", "-shm"]);
    }
    replaced
}

/// Moves the file at `from`, and its log, which may have the newest events.
fn put_aside(from: &Path, to: &Path) -> io::Result<()> {
    let moved = fs::rename(from, to);
    match fs::rename(beside(from, "-wal"), beside(to, "-wal")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => moved,
    }
}

/// Copies `copy` to the file `new`, which gets the owner of the `old` one, and checks it. Returns the file, locked, with its number of
/// entries and its end.
fn fill(new: &Path, old: Option<&File>, copy: &Path) -> Result<(File, u64, Cursor), RestoreError> {
    open::check_kind(copy).map_err(RestoreError::Copy)?;
    let mut source = File::open(copy).map_err(RestoreError::Unreadable)?;
    let metadata = source.metadata().map_err(RestoreError::Unreadable)?;
    let old = old.map(File::metadata).transpose()?;
    if old.as_ref().is_some_and(|old| identity(old) == identity(&metadata)) {
        return Err(RestoreError::Itself);
    }
    for log in ["-wal", "-journal"].map(|suffix| beside(copy, suffix)) {
        if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            return Err(RestoreError::HasLog(log));
        }
    }
    let mut file = open::lock_file(new)?;
    if let Some(old) = old {
        // A restore by root must not lock out the user that roomkey runs as.
        fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    io::copy(&mut source, &mut file)?;
    let (entries, end) = check(new).map_err(RestoreError::Copy)?;
    Ok((file, entries, end))
}

/// Checks all of the file, and brings it up to date. Returns its number of entries and its end.
fn check(new: &Path) -> Result<(u64, Cursor), Why> {
    let mut connection = open::writer(new)?;
    if schema::is_empty(&connection)? || !open::is_sound(&connection)? {
        return Err(Why::Damaged);
    }
    schema::upgrade(&mut connection)?;
    let known = Known::load(&connection)?;
    // Without a log, all of it is in the one file that is moved.
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    if mode == "delete" { Ok((known.entries(), known.newest)) } else { Err(Why::NoLog) }
}
