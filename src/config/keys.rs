//! Owns the settings of the keys, which the server and every command that signs or verifies share.

use std::path::PathBuf;

use crate::config::values::Setting;
use crate::config::{ConfigError, Variables};
use crate::livekit::key::{ApiKey, ApiKeys, DEVELOPMENT_PAIR};

/// The settings of the keys that have a flag.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct KeyFlags {
    /// The API key that mints; its secret is the variable LIVEKIT_API_SECRET [default: devkey, LiveKit's for development] [env: LIVEKIT_API_KEY]
    #[arg(long, value_name = "KEY")]
    livekit_api_key: Option<String>,
    /// A file that holds the secret, instead of LIVEKIT_API_SECRET; a line end at its end is dropped [env: LIVEKIT_API_SECRET_FILE]
    #[arg(long, value_name = "FILE")]
    livekit_api_secret_file: Option<String>,
}

impl KeyFlags {
    /// The keys, of all that may name them. Without any, LiveKit's development pair.
    ///
    /// # Errors
    /// At the first setting that cannot be used. The error names it, and never a secret.
    pub fn read(self, variables: Variables<'_>) -> Result<ApiKeys, ConfigError> {
        let name = Setting::of("LIVEKIT_API_KEY", self.livekit_api_key, variables);
        let file = Setting::of("LIVEKIT_API_SECRET_FILE", self.livekit_api_secret_file, variables);
        read(name, file, variables)
    }
}

fn read(name: Setting, file: Setting, variables: Variables<'_>) -> Result<ApiKeys, ConfigError> {
    let secret = present("LIVEKIT_API_SECRET", variables)?;
    let listed = present("LIVEKIT_KEYS", variables)?;
    let secret = match (secret, file.value) {
        (Some(_), Some(_)) => return Err(ConfigError::Both { settings: ("LIVEKIT_API_SECRET", file.name) }),
        (None, Some(path)) => Some((read_secret_file(file.name, path.into())?, file.name)),
        (secret, None) => secret.map(|secret| (secret, "LIVEKIT_API_SECRET")),
    };
    let pair = match (name.value, secret) {
        (Some(name), Some((secret, setting))) => Some(key(setting, &name, &secret)?),
        (None, None) => None,
        (Some(_), None) => return Err(ConfigError::HalfAPair { given: "LIVEKIT_API_KEY", missing: "LIVEKIT_API_SECRET" }),
        (None, Some((_, given))) => return Err(ConfigError::HalfAPair { given, missing: "LIVEKIT_API_KEY" }),
    };
    let listed = listed.map(|list| parse_keys("LIVEKIT_KEYS", &list)).transpose()?.unwrap_or_default();
    let mut keys = pair.into_iter().chain(listed);
    match keys.next() {
        Some(first) => ApiKeys::new(first, keys).map_err(|source| ConfigError::Key { setting: "LIVEKIT_KEYS", source }),
        None => Ok(ApiKeys::single(key("LIVEKIT_API_KEY", DEVELOPMENT_PAIR.0, DEVELOPMENT_PAIR.1)?)),
    }
}

fn key(setting: &'static str, name: &str, secret: &str) -> Result<ApiKey, ConfigError> {
    ApiKey::new(name, secret).map_err(|source| ConfigError::Key { setting, source })
}

/// A variable with secrets, which must not be empty where it is set: an orchestrator that lost a secret should not go
/// unnoticed.
fn present(name: &'static str, variables: Variables<'_>) -> Result<Option<String>, ConfigError> {
    match variables(name) {
        Some(value) if value.trim().is_empty() => Err(ConfigError::Empty { setting: name }),
        value => Ok(value),
    }
}

fn read_secret_file(setting: &'static str, path: PathBuf) -> Result<String, ConfigError> {
    let mut secret = match std::fs::read_to_string(&path) {
        Ok(secret) => secret,
        Err(source) => return Err(ConfigError::Unreadable { setting, path, source }),
    };
    if secret.ends_with('\n') {
        secret.pop();
        if secret.ends_with('\r') {
            secret.pop();
        }
    }
    Ok(secret)
}

/// Pairs of `key: secret`, one a line, as LiveKit Server takes them. Empty lines and comments count as nothing.
fn parse_keys(setting: &'static str, list: &str) -> Result<Vec<ApiKey>, ConfigError> {
    let mut keys = Vec::new();
    for (index, line) in list.lines().enumerate() {
        let line_number = index.saturating_add(1);
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (name, secret) = text.split_once(':').ok_or(ConfigError::NotAPair { setting, line: line_number })?;
        keys.push(key(setting, unquoted(name), unquoted(secret)).map_err(|error| error.at_line(line_number))?);
    }
    if keys.is_empty() { Err(ConfigError::Empty { setting }) } else { Ok(keys) }
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let within = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(text)
}
