//! Files of keys: reads one whole and bounded, and knows what its content means. Does not know when to read it again.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::config::lookup::pasted;
use crate::config::{ConfigError, key_list};
use crate::livekit::key::{ApiKey, ApiKeys};

const MAX_BYTES: u64 = 1 << 20;
/// The permissions of other users to read and to write (chmod(1)).
const OF_OTHERS: u32 = 0o006;

/// A file of keys, which may be read again.
pub(crate) struct KeyFile {
    pub(super) setting: &'static str,
    /// The path of the file, or of a link to it.
    pub(crate) path: PathBuf,
    /// If it holds a secret and not a list of keys: the name of its key, and the keys that come from other settings.
    pub(super) secret_of: Option<(String, Vec<ApiKey>)>,
    pub(super) signing_key: Option<String>,
}

/// The content of a file of keys. Wiped when dropped.
pub(crate) struct KeyFileContent {
    bytes: Zeroizing<Vec<u8>>,
    /// Whether users other than the file's owner and group may read or write it.
    pub(crate) is_open_to_others: bool,
}

impl KeyFile {
    /// Reads the file, which must be a regular one of at most 1 MiB.
    pub(crate) fn read(&self) -> Result<KeyFileContent, ConfigError> {
        let read = || {
            // Before the file is opened, because opening a FIFO would wait.
            if !is_inherited(&self.path) && !fs::metadata(&self.path)?.is_file() {
                return Err(io::Error::other("it is not a regular file"));
            }
            let file = File::open(&self.path)?;
            let is_open_to_others = file.metadata()?.permissions().mode() & OF_OTHERS != 0;
            Ok(KeyFileContent { bytes: read_all(file)?, is_open_to_others })
        };
        read().map_err(|source| ConfigError::Unreadable { setting: self.setting, path: self.path.clone(), source })
    }

    /// The keys in `content`, at least one. An error names the line of a list.
    pub(crate) fn keys(&self, content: &KeyFileContent) -> Result<ApiKeys, ConfigError> {
        let setting = self.setting;
        let keys = match &self.secret_of {
            None => key_list::parse(setting, &content.bytes)?,
            Some((name, others)) => {
                let secret = str::from_utf8(&content.bytes).or(Err(ConfigError::NotUtf8 { setting, line: None }))?;
                let key = ApiKey::new(name, pasted(secret)).map_err(|source| ConfigError::Key { setting, line: None, source })?;
                [&[key][..], others].concat()
            }
        };
        combine(setting, keys, self.signing_key.as_deref())
    }
}

/// All of `keys`. The one that is named mints, or else the first.
pub(super) fn combine(setting: &'static str, keys: Vec<ApiKey>, signing_key: Option<&str>) -> Result<ApiKeys, ConfigError> {
    let mut keys = keys.into_iter();
    let first = keys.next().ok_or(ConfigError::NoKey { setting })?;
    let keys = ApiKeys::new(first, keys).map_err(|source| ConfigError::Key { setting, line: None, source })?;
    match signing_key {
        None => Ok(keys),
        Some(name) => {
            keys.minting_with(name).map_err(|source| ConfigError::Key { setting: "LIVEKIT_SIGNING_KEY", line: None, source })
        }
    }
}

/// Whether `path` is a descriptor that the program was started with, such as a shell's `<(…)`, which can be read only once.
pub(super) fn is_inherited(path: &Path) -> bool {
    path.starts_with("/dev/fd") || path == Path::new("/dev/stdin")
}

pub(super) fn read_all(file: File) -> io::Result<Zeroizing<Vec<u8>>> {
    let capacity = file.metadata()?.len().min(MAX_BYTES).try_into().unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(MAX_BYTES.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

impl KeyFileContent {
    /// Identifies the content without revealing its secrets.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        Sha256::new_with_prefix([u8::from(self.is_open_to_others)]).chain_update(&self.bytes).finalize().into()
    }
}
