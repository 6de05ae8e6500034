//! The settings of the keys, which the server shares with every command that signs or verifies. Does not know when a file of keys
//! is read again.

use crate::config::key_file::{KeyFile, KeyFileContent, combine, is_inherited};
use crate::config::lookup::{Setting, pasted};
use crate::config::{ConfigError, Variables, key_list};
use crate::livekit::key::{ApiKey, ApiKeys, DEVELOPMENT_PAIR};

// The settings of the keys that have a flag; secrets have none. (`Flags` says why this is not a doc comment.)
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct KeyFlags {
    /// The API key that mints; its secret is the variable LIVEKIT_API_SECRET [default: devkey, LiveKit's for development] [env: LIVEKIT_API_KEY]
    #[arg(long, value_name = "KEY")]
    livekit_api_key: Option<String>,
    /// A file with the secret, instead of LIVEKIT_API_SECRET; white space and quotes around it are ignored, and the server picks up changes [env: LIVEKIT_API_SECRET_FILE]
    #[arg(long, value_name = "FILE")]
    livekit_api_secret_file: Option<String>,
    /// A file of keys, one `key: secret` per line, as LiveKit Server takes them: all verify, the first mints, and the server picks up changes [env: LIVEKIT_KEYS_FILE]
    #[arg(long, value_name = "FILE")]
    keys_file: Option<String>,
    /// Which of several API keys mints [default: the first] [env: LIVEKIT_SIGNING_KEY]
    #[arg(long, value_name = "KEY")]
    signing_key: Option<String>,
}

pub(crate) struct Keys {
    pub(crate) api_keys: ApiKeys,
    /// The file and its content. `None` also if the file can be read only once.
    pub(crate) file: Option<(KeyFile, KeyFileContent)>,
    /// Whether no key was set, so that this is LiveKit's development key.
    pub(crate) is_fallback: bool,
}

impl KeyFlags {
    /// Reads the keys; if none is set, LiveKit's development key.
    pub(crate) fn read(&self, variables: &Variables) -> Result<Keys, ConfigError> {
        let name = Setting::filled("LIVEKIT_API_KEY", self.livekit_api_key.clone(), variables)?;
        if name.text().is_some_and(|name| name.contains(char::is_control)) {
            return Err(ConfigError::NotOneKey { setting: name.name });
        }
        let secret_file = Setting::of("LIVEKIT_API_SECRET_FILE", "", self.livekit_api_secret_file.clone(), variables)?;
        let keys_file = Setting::filled("LIVEKIT_KEYS_FILE", self.keys_file.clone(), variables)?;
        let signing_key = Setting::of("LIVEKIT_SIGNING_KEY", "", self.signing_key.clone(), variables)?.text();
        let secret = Setting::filled("LIVEKIT_API_SECRET", None, variables)?;
        let listed = Setting::filled("LIVEKIT_KEYS", None, variables)?;
        exclude(&keys_file, &[&listed, &name, &secret, &secret_file])?;
        exclude(&secret_file, &[&secret])?;

        if let Some(path) = keys_file.text() {
            return Keys::of_file(KeyFile { setting: keys_file.name, path: path.into(), secret_of: None, signing_key });
        }
        let mut keys = listed.value.map(|list| key_list::parse(listed.name, list.as_bytes())).transpose()?.unwrap_or_default();
        let is_fallback = keys.is_empty() && name.value.is_none();
        let half = |given, missing| Err(ConfigError::HalfAPair { given, missing });
        match (name.text(), secret.value, secret_file.text()) {
            (Some(_), None, None) => return half(name.name, secret.name),
            (None, Some(_), _) => return half(secret.name, name.name),
            (None, None, Some(_)) => return half(secret_file.name, name.name),
            (Some(name), _, Some(path)) => {
                let secret_of = Some((name, keys));
                return Keys::of_file(KeyFile { setting: secret_file.name, path: path.into(), secret_of, signing_key });
            }
            (Some(name), Some(text), None) => keys.insert(0, key(secret.name, &name, pasted(&text))?),
            (None, None, None) if is_fallback && secret_file.is_set => {
                return Err(ConfigError::Empty { setting: secret_file.name });
            }
            (None, None, None) if is_fallback => keys.push(key(name.name, DEVELOPMENT_PAIR.0, DEVELOPMENT_PAIR.1)?),
            (None, None, None) => {}
        }
        Ok(Keys { api_keys: combine(listed.name, keys, signing_key.as_deref())?, file: None, is_fallback })
    }
}

impl Keys {
    fn of_file(file: KeyFile) -> Result<Self, ConfigError> {
        let content = file.read()?;
        let api_keys = file.keys(&content)?;
        Ok(Self { api_keys, file: (!is_inherited(&file.path)).then_some((file, content)), is_fallback: false })
    }
}

fn exclude(one: &Setting, others: &[&Setting]) -> Result<(), ConfigError> {
    match others.iter().find(|other| other.value.is_some()) {
        Some(other) if one.value.is_some() => Err(ConfigError::Both { settings: (other.name, one.name) }),
        _ => Ok(()),
    }
}

fn key(setting: &'static str, name: &str, secret: &str) -> Result<ApiKey, ConfigError> {
    ApiKey::new(name, secret).map_err(|source| ConfigError::Key { setting, line: None, source })
}
