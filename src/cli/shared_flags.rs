//! The flags that several commands share, and the keys, which come from the same settings as the server's. Does not know what the
//! keys are for.

use crate::cli::remote::TlsFlags;
use crate::cli::tell;
use crate::clock::UnixTime;
use crate::config::{ConfigError, KeyFlags, Variables};
use crate::livekit::key::ApiKeys;

// The flags of the commands that verify a token or a delivery. (`Flags` says why this is not a doc comment.)
#[derive(Debug, clap::Args)]
pub(super) struct VerifyFlags {
    /// Verify it as if it were this time, in seconds since 1970 [default: now]
    #[arg(long, value_name = "UNIX", value_parser = at)]
    at: Option<UnixTime>,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) keys: KeyFlags,
}

// The flags of the commands that send requests.
#[derive(Debug, clap::Args)]
pub(super) struct ClientFlags {
    /// Print one line of JSON for each result
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) tls: TlsFlags,
    #[command(flatten)]
    pub(super) keys: KeyFlags,
}

impl VerifyFlags {
    pub(super) fn now(&self) -> UnixTime {
        self.at.unwrap_or_else(UnixTime::now)
    }
}

fn at(text: &str) -> Result<UnixTime, &'static str> {
    text.parse().map(UnixTime::from_secs).or(Err("must be a time in seconds since 1970"))
}

/// Reads the keys. Tells the user if none is set.
pub(super) fn keys(flags: &KeyFlags) -> Result<ApiKeys, ConfigError> {
    let keys = flags.read(&Variables::read()?)?;
    if keys.is_fallback {
        tell(
            "no key is set, so this uses LiveKit's development key \"devkey\", whose secret everyone knows: set LIVEKIT_API_KEY and LIVEKIT_API_SECRET",
        );
    }
    Ok(keys.api_keys)
}
