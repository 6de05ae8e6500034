//! Owns the flags of the commands that judge a token or a delivery: under which keys, as at which time, and for whom to tell it.

use crate::cli::settings;
use crate::clock::UnixTime;
use crate::config::{ConfigError, KeyFlags};
use crate::livekit::key::ApiKeys;

#[derive(Debug, clap::Args)]
pub(super) struct JudgingFlags {
    /// Judge it as at this time, in seconds since 1970 [default: now]
    #[arg(long, value_name = "UNIX", value_parser = at)]
    at: Option<UnixTime>,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    keys: KeyFlags,
}

impl JudgingFlags {
    pub(super) fn keys(&self) -> Result<ApiKeys, ConfigError> {
        settings::keys(self.keys.clone())
    }

    pub(super) fn now(&self) -> UnixTime {
        self.at.unwrap_or_else(UnixTime::now)
    }
}

fn at(text: &str) -> Result<UnixTime, &'static str> {
    text.parse().map(UnixTime::from_secs).or(Err("must be a time in seconds since 1970"))
}
