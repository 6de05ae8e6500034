//! Owns the watch over the files that SQLite keeps beside the inbox: its log (`-wal`) and the index of the log (`-shm`). What is
//! committed to a log that was removed or replaced is gone after the next crash. Does not know what is in them.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::inbox::sqlite::open::beside;
use crate::inbox::store::StoreError;

/// What the log may take on the disk.
const MOST_BYTES: u64 = 128 << 20;
/// What one transaction adds to it at most: bodies and names of 24 MiB (a batch of 8 MiB and the last delivery in it, whose body
/// and names may take 16 MiB), and for each of up to 2048 deliveries a page of entries and one of the index.
const TRANSACTION_BYTES: u64 = 56 << 20;
/// Above this, the log has to begin anew before anything is written.
pub(super) const FULL_BYTES: u64 = MOST_BYTES - TRANSACTION_BYTES;

/// The files beside the inbox, as they were when it was opened.
#[derive(Debug)]
pub(super) struct Log {
    wal: Watched,
    shm: Watched,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    identity: (u64, u64),
}

impl Log {
    /// The log of the inbox at `path`, which is open.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        // SQLite keeps them beside the file itself, not beside a link to it.
        let path = path.canonicalize()?;
        Ok(Self { wal: Watched::at(beside(&path, "-wal"))?, shm: Watched::at(beside(&path, "-shm"))? })
    }

    /// The bytes of the log on the disk, if both files are still at their places.
    pub(super) fn bytes(&self) -> Result<u64, StoreError> {
        let wal = self.wal.look()?;
        self.shm.look()?;
        Ok(wal.len())
    }
}

impl Watched {
    fn at(path: PathBuf) -> io::Result<Self> {
        let identity = identity(&fs::metadata(&path)?);
        Ok(Self { path, identity })
    }

    fn look(&self) -> Result<Metadata, StoreError> {
        fs::metadata(&self.path).ok().filter(|there| identity(there) == self.identity).ok_or(StoreError::LogMoved)
    }
}

/// What tells a file from all others, as long as it exists.
pub(super) fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}
