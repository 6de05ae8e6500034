//! Owns where settings come from: the environment of the process, and the file `.env` in its working directory.

use std::path::Path;

use crate::cli::Failure;
use crate::config::{self, ConfigError, KeyFlags, Variables};
use crate::livekit::key::ApiKeys;

/// What `read` makes of the variables.
pub(super) fn read<T>(read: impl FnOnce(Variables<'_>) -> Result<T, ConfigError>) -> Result<T, ConfigError> {
    let dotenv = config::read_dotenv(Path::new("."))?;
    let of_dotenv = |name: &str| dotenv.iter().find(|(each, _)| each == name).map(|(_, value)| value.clone());
    let of_environment = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    read(&|name| of_environment(name).or_else(|| of_dotenv(name)))
}

/// The keys, of the same settings as the server's.
pub(super) fn keys(flags: KeyFlags) -> Result<ApiKeys, Failure> {
    read(|variables| flags.read(variables).map(|read| read.api_keys)).map_err(Failure::wrong)
}
