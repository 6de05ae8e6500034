//! Watches the files that SQLite keeps beside the inbox: its log (`-wal`) and the index of the log (`-shm`). Commits to a log that was
//! removed or replaced are lost in the next crash. Does not know what is in the files.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::inbox::sqlite::open::beside;
use crate::inbox::store::StoreError;

/// The limit of the log on the disk.
const MOST_BYTES: u64 = 128 << 20;
/// What one transaction adds at most: 24 MiB of bodies and names (a batch of 8 MiB and its last delivery of up to 16 MiB), and a
/// page of entries and one of the index for each of up to 2048 deliveries.
const TRANSACTION_BYTES: u64 = 56 << 20;
/// A longer log has to restart before the next write.
pub(super) const FULL_BYTES: u64 = MOST_BYTES - TRANSACTION_BYTES;

/// The files beside the inbox, as they were when it was opened.
#[derive(Debug)]
pub(super) struct LogFiles {
    wal: WatchedFile,
    shm: WatchedFile,
}

#[derive(Debug)]
struct WatchedFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl LogFiles {
    /// The log of the inbox at `path`, which is open.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        // SQLite keeps them beside the file itself, not beside a link to it.
        let path = path.canonicalize()?;
        Ok(Self { wal: WatchedFile::at(beside(&path, "-wal"))?, shm: WatchedFile::at(beside(&path, "-shm"))? })
    }

    /// The bytes of the log on the disk, if both files are still in place.
    pub(super) fn bytes(&self) -> Result<u64, StoreError> {
        let wal = self.wal.metadata()?;
        self.shm.metadata()?;
        Ok(wal.len())
    }
}

impl WatchedFile {
    fn at(path: PathBuf) -> io::Result<Self> {
        let identity = identity(&fs::metadata(&path)?);
        Ok(Self { path, identity })
    }

    fn metadata(&self) -> Result<Metadata, StoreError> {
        fs::metadata(&self.path).ok().filter(|there| identity(there) == self.identity).ok_or(StoreError::LogMoved)
    }
}

/// Identifies a file as long as it exists.
pub(super) fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}
