//! The settings: their names, defaults, help and meaning. A flag beats the environment, and the environment beats the file
//! `.env`. Secrets have no flag, because other users can see the command line. Does not know what the settings are used for.
//!
//! A new setting is one row of the table in `settings`, and a parser in `values` if its type needs one.

mod dotenv;
mod error;
mod file_source;
mod inbox_flags;
mod key_file;
mod key_list;
mod keys;
mod lookup;
mod relay_file;
mod relay_source;
mod settings;
mod values;
mod variables;

pub(crate) use error::ConfigError;
pub(crate) use file_source::{FileError, FileSource};
pub(crate) use inbox_flags::InboxFlags;
pub(crate) use key_file::{KeyFile, KeyFileContent};
pub(crate) use keys::{KeyFlags, Keys};
pub(crate) use relay_source::{RelayError, RelaySource, RelayTargets, TargetKey};
pub(crate) use settings::{Config, DEFAULT_LIVEKIT_URL, Flags};
pub(crate) use values::{InboxPlace, LogFormat, MAX_CONNECTIONS};
pub(crate) use variables::{Variables, nearest_name};

/// The variables that have no flag, for `--help`.
pub(crate) const HELP_ON_SECRETS: &str = "\
Variables without a flag, because flags are visible to other users:
  LIVEKIT_API_SECRET         The secret of LIVEKIT_API_KEY, at least 32 bytes [default: secret, LiveKit's for development]
  LIVEKIT_KEYS               More keys, one `key: secret` per line, as LiveKit Server takes them: all verify webhooks, and the
                             first mints if LIVEKIT_API_KEY is not set
  ROOMKEY_SENTINEL_PASSWORD  The password at the sentinels of a redis+sentinel inbox [default: none]

A flag beats a variable, and a variable beats the file .env in the working directory. An empty variable counts as unset, except
for keys and secrets.";
