//! A file of the operator, and the secrets and keys that it names: reads them, and knows whether one of them changed. Does not know when
//! they are read, nor what the file says.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::caller::settings::SecretSource;
use crate::config::Variables;
use crate::config::key_file::read_all;
use crate::config::lookup::pasted;
use crate::policy::file::problem::Mistake;
use crate::worker::lock;

/// A file that may be read again.
pub(crate) struct FileSource {
    path: PathBuf,
    variables: Arc<Variables>,
    /// What was read last.
    last: Mutex<LastReading>,
}

/// What the last reading of the file has read.
#[derive(Default)]
struct LastReading {
    /// The files that it names.
    named: Vec<PathBuf>,
    /// Of the file and of these files, in their order.
    hash: Sha256,
}

impl FileSource {
    pub(crate) fn new(path: PathBuf, variables: Arc<Variables>) -> Self {
        Self { path, variables, last: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file with `parse`, whose second argument is the folder in which relative paths begin.
    ///
    /// # Errors
    /// If the file cannot be read, or has mistakes.
    pub(crate) fn read<T>(&self, parse: impl FnOnce(&str, &Path) -> Result<T, Vec<Mistake>>) -> Result<T, FileError> {
        let mut last = LastReading::default();
        let bytes = last.read(&self.path);
        *lock(&self.last) = last;
        let bytes = bytes.map_err(FileError::Unreadable)?;
        let text = str::from_utf8(&bytes).map_err(|error| FileError::Mistakes(vec![Mistake::not_utf8(&bytes, error)]))?;
        let folder = self.path.parent().unwrap_or(Path::new(""));
        parse(text, folder).map_err(FileError::Mistakes)
    }

    /// Reads a variable or a file that the file names. White space and quotes around it are ignored, because secrets are pasted.
    ///
    /// # Errors
    /// If there is none, or the system's error.
    pub(crate) fn secret(&self, source: &SecretSource) -> io::Result<Zeroizing<Vec<u8>>> {
        let bytes = match source {
            SecretSource::Env(name) => self.variables.secret(name)?,
            SecretSource::File(path) => {
                let mut last = lock(&self.last);
                last.named.push(path.clone());
                last.read(path)?
            }
        };
        Ok(match str::from_utf8(&bytes) {
            Ok(text) => Zeroizing::new(pasted(text).as_bytes().to_vec()),
            Err(_) => bytes,
        })
    }

    /// What identifies the content that was read last, without revealing its secrets.
    pub(crate) fn last_fingerprint(&self) -> [u8; 32] {
        lock(&self.last).hash.clone().finalize().into()
    }

    /// The same of the present content of these files.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let named = lock(&self.last).named.clone();
        let mut reading = LastReading::default();
        [&self.path].into_iter().chain(&named).for_each(|path| drop(reading.read(path)));
        reading.hash.finalize().into()
    }
}

impl LastReading {
    fn read(&mut self, path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
        let read = read_file(path);
        match &read {
            Ok(bytes) => self.hash.update(Sha256::digest(bytes)),
            Err(error) => self.hash.update(error.to_string()),
        }
        read
    }
}

fn read_file(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // Before the file is opened, because opening a FIFO would wait.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    File::open(path).and_then(read_all)
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FileError {
    #[error("cannot read it: {0}")]
    Unreadable(#[source] io::Error),
    #[error("{}", .0.iter().map(Mistake::to_string).collect::<Vec<_>>().join("; "))]
    Mistakes(Vec<Mistake>),
}
