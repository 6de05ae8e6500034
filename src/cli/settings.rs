//! Owns where settings come from: the environment of the process, and the file `.env` in its working directory.

use std::path::Path;

use crate::cli::tell;
use crate::config::{ConfigError, KeyFlags, Keys, Variables};
use crate::livekit::key::ApiKeys;

pub(super) fn variables() -> Result<Variables, ConfigError> {
    Variables::read(Path::new("."))
}

/// The keys, of the same settings as the server's. Says so where none is set.
pub(super) fn keys(flags: KeyFlags) -> Result<ApiKeys, ConfigError> {
    let keys = keys_in_silence(flags)?;
    if keys.is_fallback {
        tell(
            "no key is set, so this uses LiveKit's development key \"devkey\", whose secret everyone knows: set LIVEKIT_API_KEY and LIVEKIT_API_SECRET",
        );
    }
    Ok(keys.api_keys)
}

/// [`keys`], for a command that has said so already.
pub(super) fn keys_in_silence(flags: KeyFlags) -> Result<Keys, ConfigError> {
    flags.read(&variables()?)
}
