//! Owns the files that keys come from: reading one, whole and bounded, and what its content means. Does not know when to read.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::config::values::pasted;
use crate::config::{ConfigError, key_list};
use crate::livekit::key::{ApiKey, ApiKeys};

/// Bytes that a file has at most.
const MAX_BYTES: u64 = 1 << 20;
/// The permissions of others to read and to write (chmod(1)).
const OF_OTHERS: u32 = 0o006;

/// A file that keys come from, and may be read from again.
#[derive(Clone, Debug)]
pub struct KeyFile {
    setting: &'static str,
    path: PathBuf,
    holds: Holds,
    signing_key: Option<String>,
}

/// What a file holds.
#[derive(Clone, Debug)]
pub(super) enum Holds {
    /// All keys.
    Keys,
    /// The secret of the key `name`, beside which there are `others`.
    Secret { name: String, others: Vec<ApiKey> },
}

/// What stands in a file of keys. Wiped when dropped; `Debug` shows none of it.
#[derive(Clone)]
pub struct KeyFileContent {
    bytes: Zeroizing<Vec<u8>>,
    is_open: bool,
}

impl KeyFile {
    pub(super) fn new(setting: &'static str, path: String, holds: Holds, signing_key: Option<String>) -> Self {
        Self { setting, path: path.into(), holds, signing_key }
    }

    /// The file, or a link to it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stands there now.
    ///
    /// # Errors
    /// Where that cannot be read, is no regular file, or is over 1 MiB.
    pub fn read(&self) -> Result<KeyFileContent, ConfigError> {
        KeyFileContent::read(&self.path).map_err(|source| self.unreadable(source))
    }

    /// The keys of `content`.
    ///
    /// # Errors
    /// Where it holds none, or one that cannot be. The error names the line, where there are lines, and never a secret.
    pub fn keys(&self, content: &KeyFileContent) -> Result<ApiKeys, ConfigError> {
        let setting = self.setting;
        let keys = match &self.holds {
            Holds::Keys => key_list::parse(setting, &content.bytes)?,
            Holds::Secret { name, others } => {
                let secret = str::from_utf8(&content.bytes).or(Err(ConfigError::NotUtf8 { setting, line: None }))?;
                let key = ApiKey::new(name, pasted(secret)).map_err(|source| ConfigError::Key { setting, source })?;
                [&[key][..], others].concat()
            }
        };
        together(setting, keys, self.signing_key.as_deref())
    }

    /// Whether there is something to read again.
    #[must_use]
    pub fn can_change(&self) -> bool {
        !is_inherited(&self.path)
    }

    fn unreadable(&self, source: io::Error) -> ConfigError {
        ConfigError::Unreadable { setting: self.setting, path: self.path.clone(), source }
    }
}

/// All of `keys`, of which the first mints, or the one that is named.
pub(super) fn together(setting: &'static str, keys: Vec<ApiKey>, signing_key: Option<&str>) -> Result<ApiKeys, ConfigError> {
    let mut keys = keys.into_iter();
    let first = keys.next().ok_or(ConfigError::NoKey { setting })?;
    let keys = ApiKeys::new(first, keys).map_err(|source| ConfigError::Key { setting, source })?;
    match signing_key {
        None => Ok(keys),
        Some(name) => keys.minting_with(name).map_err(|source| ConfigError::Key { setting: "LIVEKIT_SIGNING_KEY", source }),
    }
}

/// Whether `path` is a descriptor that the program was started with, such as a shell's `<(…)`: it can be read once.
fn is_inherited(path: &Path) -> bool {
    path.starts_with("/dev/fd") || path == Path::new("/dev/stdin")
}

/// All of `file`, which may hold secrets.
pub(super) fn whole(file: File) -> io::Result<Zeroizing<Vec<u8>>> {
    let capacity = file.metadata()?.len().min(MAX_BYTES).try_into().unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(MAX_BYTES.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

impl KeyFileContent {
    fn read(path: &Path) -> io::Result<Self> {
        // Before it is opened, for opening a FIFO would wait.
        if !is_inherited(path) && !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let file = File::open(path)?;
        let is_open = file.metadata()?.permissions().mode() & OF_OTHERS != 0;
        Ok(Self { bytes: whole(file)?, is_open })
    }

    /// Tells it from any other, without holding its secrets.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::new_with_prefix([u8::from(self.is_open)]).chain_update(&self.bytes).finalize().into()
    }

    /// Whether others than the file's owner and group may read or write it.
    #[must_use]
    pub fn is_open_to_others(&self) -> bool {
        self.is_open
    }
}

impl fmt::Debug for KeyFileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFileContent").field("is_open", &self.is_open).finish_non_exhaustive()
    }
}
