//! The flags that the commands share that verify a token or a delivery: the keys, the time, and the format of the result.

use crate::cli::key_settings;
use crate::clock::UnixTime;
use crate::config::{ConfigError, KeyFlags};
use crate::livekit::key::ApiKeys;

#[derive(Debug, clap::Args)]
pub(super) struct VerifyFlags {
    /// Verify it as if it were this time, in seconds since 1970 [default: now]
    #[arg(long, value_name = "UNIX", value_parser = at)]
    at: Option<UnixTime>,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    keys: KeyFlags,
}

impl VerifyFlags {
    pub(super) fn keys(&self) -> Result<ApiKeys, ConfigError> {
        key_settings::keys(self.keys.clone())
    }

    pub(super) fn now(&self) -> UnixTime {
        self.at.unwrap_or_else(UnixTime::now)
    }
}

fn at(text: &str) -> Result<UnixTime, &'static str> {
    text.parse().map(UnixTime::from_secs).or(Err("must be a time in seconds since 1970"))
}
