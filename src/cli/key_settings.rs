//! Reads the variables from the environment and from the file `.env` in the working directory, and the keys for the commands that
//! need them. Does not know what the keys are for.

use std::path::Path;

use crate::cli::tell;
use crate::config::{ConfigError, KeyFlags, Keys, Variables};
use crate::livekit::key::ApiKeys;

pub(super) fn variables() -> Result<Variables, ConfigError> {
    Variables::read(Path::new("."))
}

/// The keys, from the same settings as the server's. Tells the user if none is set.
pub(super) fn keys(flags: KeyFlags) -> Result<ApiKeys, ConfigError> {
    let keys = keys_again(flags)?;
    if keys.is_fallback {
        tell(
            "no key is set, so this uses LiveKit's development key \"devkey\", whose secret everyone knows: set LIVEKIT_API_KEY and LIVEKIT_API_SECRET",
        );
    }
    Ok(keys.api_keys)
}

/// As [`keys`], for a command that has called it before.
pub(super) fn keys_again(flags: KeyFlags) -> Result<Keys, ConfigError> {
    flags.read(&variables()?)
}
