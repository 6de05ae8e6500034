//! The variables of the environment and of the file `.env`; the environment wins. Warns about variables that look like misspelt
//! settings. Does not know what any variable means.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::{env, io};

use zeroize::Zeroizing;

use crate::config::ConfigError;
use crate::config::dotenv::Dotenv;
use crate::worker::lock;

const PREFIX: &str = "ROOMKEY_";
/// Variables that Kubernetes sets in containers beside a service called roomkey begin with these.
const KUBERNETES_PREFIXES: [&str; 2] = ["ROOMKEY_SERVICE_", "ROOMKEY_PORT"];
/// How many characters of a name are compared. All names of settings are shorter.
const MAX_COMPARED: usize = 64;

/// The variables that settings are read from.
pub(crate) struct Variables {
    dotenv: Dotenv,
    /// The names that were asked for: those of all settings, and those that the policy names.
    known: Mutex<BTreeSet<String>>,
}

impl Variables {
    /// The variables of the process, and of the file `.env` in the working directory, if it exists.
    pub(crate) fn read() -> Result<Self, ConfigError> {
        let dotenv = Dotenv::read(|name| env::var_os(name).is_some())?;
        Ok(Self { dotenv, known: Mutex::default() })
    }

    /// The values of the variable `name`, that of the environment first.
    pub(super) fn find(&self, name: &'static str) -> Result<impl Iterator<Item = Zeroizing<String>>, ConfigError> {
        self.known().insert(name.to_owned());
        let of_environment = env::var_os(name).map(|value| {
            let bytes = Zeroizing::new(value.into_encoded_bytes());
            let text = str::from_utf8(&bytes).or(Err(ConfigError::NotUtf8 { setting: name, line: None }))?;
            Ok(Zeroizing::new(text.to_owned()))
        });
        Ok(of_environment.transpose()?.into_iter().chain(self.dotenv.find(name)?))
    }

    /// The value of a variable that a file names, that of the environment first.
    ///
    /// # Errors
    /// If it is not set, or empty.
    pub(super) fn secret(&self, name: &str) -> io::Result<Zeroizing<Vec<u8>>> {
        self.known().insert(name.to_owned());
        let of_environment = env::var_os(name).map(|value| Zeroizing::new(value.into_encoded_bytes()));
        let of_dotenv = self.dotenv.find(name).map_err(io::Error::other)?.map(|value| Zeroizing::new(value.as_bytes().to_vec()));
        let value = of_environment.into_iter().chain(of_dotenv).find(|value| !value.is_empty());
        value.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it is not set"))
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<String>> {
        lock(&self.known)
    }

    /// The variables with roomkey's prefix that are no setting, each with the setting whose name is the most similar.
    pub(crate) fn unknown(&self) -> BTreeMap<String, String> {
        let of_environment = env::vars_os().filter_map(|(name, value)| {
            drop(Zeroizing::new(value.into_encoded_bytes()));
            name.into_string().ok()
        });
        let known = self.known();
        let is_unknown = |name: &String| {
            let is_expected = KUBERNETES_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                || cfg!(debug_assertions) && name == "ROOMKEY_TEST_PANICS";
            name.starts_with(PREFIX) && !is_expected && !known.contains(name.as_str())
        };
        let names = of_environment.chain(self.dotenv.names().map(str::to_owned)).filter(is_unknown);
        names.filter_map(|name| nearest(&name, &known).map(|near| (name, near))).collect()
    }
}

/// The name in `known` that is the most similar to `name`, with or without its prefix.
fn nearest(name: &str, known: &BTreeSet<String>) -> Option<String> {
    let bare = name.strip_prefix(PREFIX).unwrap_or_default();
    let near = |name| nearest_name(name, known.iter().map(String::as_str));
    [near(name), near(bare)].into_iter().flatten().min_by_key(|(distance, _)| *distance).map(|(_, near)| near.to_owned())
}

/// The name in `known` that is the most similar to `name`, and how many edits are between them.
pub(crate) fn nearest_name<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<(usize, &'a str)> {
    let name: String = name.chars().take(MAX_COMPARED).collect();
    known.into_iter().map(|each| (strsim::damerau_levenshtein(&name, each), each)).min_by_key(|(distance, _)| *distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name() {
        let known =
            BTreeSet::from(["LIVEKIT_URL", "ROOMKEY_INBOX", "ROOMKEY_INBOX_KEEP", "SERVER_PORT", "TOKEN_TTL"].map(str::to_owned));
        for (name, expected) in [
            ("ROOMKEY_INBOXX", "ROOMKEY_INBOX"),
            ("ROOMKEY_INOBX", "ROOMKEY_INBOX"),
            ("ROOMKEY_INBOX_KEPT", "ROOMKEY_INBOX_KEEP"),
            ("ROOMKEY_TOKEN_TTL", "TOKEN_TTL"),
            ("ROOMKEY_LIVEKIT_URL", "LIVEKIT_URL"),
            ("ROOMKEY_SERVER_PROT", "SERVER_PORT"),
        ] {
            assert_eq!(nearest(name, &known).as_deref(), Some(expected), "{name}");
        }
        assert!(nearest(&"ROOMKEY_".repeat(10_000), &known).is_some());
    }
}
