//! Owns the settings of the keys, which the server and every command that signs or verifies share.

use crate::config::key_file::{Holds, KeyFile, KeyFileContent, together};
use crate::config::values::Setting;
use crate::config::{ConfigError, Variables, key_list};
use crate::livekit::key::{ApiKey, ApiKeys, DEVELOPMENT_PAIR};

/// The settings of the keys that have a flag.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct KeyFlags {
    /// The API key that mints; its secret is the variable LIVEKIT_API_SECRET [default: devkey, LiveKit's for development] [env: LIVEKIT_API_KEY]
    #[arg(long, value_name = "KEY")]
    livekit_api_key: Option<String>,
    /// A file that holds the secret, instead of LIVEKIT_API_SECRET; a line end at its end is dropped, and the server takes changes in [env: LIVEKIT_API_SECRET_FILE]
    #[arg(long, value_name = "FILE")]
    livekit_api_secret_file: Option<String>,
    /// A file of keys, `key: secret` one a line, as LiveKit Server takes them: all verify, the first mints, and the server takes changes in [env: LIVEKIT_KEYS_FILE]
    #[arg(long, value_name = "FILE")]
    keys_file: Option<String>,
    /// The API key that mints, of several [default: the first] [env: LIVEKIT_SIGNING_KEY]
    #[arg(long, value_name = "KEY")]
    signing_key: Option<String>,
}

/// The keys, and where they come from, if that is a file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Keys {
    /// The keys.
    pub api_keys: ApiKeys,
    /// The file, and what stood there; `None` also where it can be read but once.
    pub file: Option<(KeyFile, KeyFileContent)>,
}

impl KeyFlags {
    /// The keys, of all that may name them. Without any, LiveKit's development pair.
    ///
    /// # Errors
    /// At the first setting that cannot be used. The error names it, and never a secret.
    pub fn read(self, variables: Variables<'_>) -> Result<Keys, ConfigError> {
        let name = Setting::of("LIVEKIT_API_KEY", self.livekit_api_key, variables);
        let secret_file = Setting::of("LIVEKIT_API_SECRET_FILE", self.livekit_api_secret_file, variables);
        let keys_file = present("LIVEKIT_KEYS_FILE", |name| self.keys_file.clone().or_else(|| variables(name)))?;
        let signing_key = Setting::of("LIVEKIT_SIGNING_KEY", self.signing_key, variables).value;
        let secret = present("LIVEKIT_API_SECRET", variables)?;
        let listed = present("LIVEKIT_KEYS", variables)?;
        exclude(&keys_file, &[&listed, &name, &secret, &secret_file])?;
        exclude(&secret_file, &[&secret])?;

        if let Some(path) = keys_file.value {
            return Keys::of_file(KeyFile::new(keys_file.name, path, Holds::Keys, signing_key));
        }
        let mut keys = listed.value.map(|list| key_list::parse(listed.name, list.as_bytes())).transpose()?.unwrap_or_default();
        let half = |given, missing| Err(ConfigError::HalfAPair { given, missing });
        match (name.value, secret.value, secret_file.value) {
            (Some(_), None, None) => return half(name.name, secret.name),
            (None, Some(_), _) => return half(secret.name, name.name),
            (None, None, Some(_)) => return half(secret_file.name, name.name),
            (Some(name), _, Some(path)) => {
                let holds = Holds::Secret { name, others: keys };
                return Keys::of_file(KeyFile::new(secret_file.name, path, holds, signing_key));
            }
            (Some(name), Some(text), None) => keys.insert(0, key(secret.name, &name, &text)?),
            (None, None, None) if keys.is_empty() => keys.push(key(name.name, DEVELOPMENT_PAIR.0, DEVELOPMENT_PAIR.1)?),
            (None, None, None) => {}
        }
        Ok(Keys { api_keys: together(listed.name, keys, signing_key.as_deref())?, file: None })
    }
}

impl Keys {
    fn of_file(file: KeyFile) -> Result<Self, ConfigError> {
        let content = file.read()?;
        let api_keys = file.keys(&content)?;
        Ok(Self { api_keys, file: file.can_change().then_some((file, content)) })
    }
}

/// Where `one` is set, none of `others` may be.
fn exclude(one: &Setting, others: &[&Setting]) -> Result<(), ConfigError> {
    match others.iter().find(|other| other.value.is_some()) {
        Some(other) if one.value.is_some() => Err(ConfigError::Both { settings: (other.name, one.name) }),
        _ => Ok(()),
    }
}

fn key(setting: &'static str, name: &str, secret: &str) -> Result<ApiKey, ConfigError> {
    ApiKey::new(name, secret).map_err(|source| ConfigError::Key { setting, source })
}

/// A setting of secrets, which must not be empty where it is set: an orchestrator that lost one should not go unnoticed.
fn present(name: &'static str, value: impl FnOnce(&str) -> Option<String>) -> Result<Setting, ConfigError> {
    match value(name) {
        Some(value) if value.trim().is_empty() => Err(ConfigError::Empty { setting: name }),
        value => Ok(Setting { name, value }),
    }
}
