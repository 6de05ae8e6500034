//! Owns where settings come from beside flags: the variables of the environment, which win, and those of the file `.env`. Does
//! not know what any of them means.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fmt};

use zeroize::Zeroizing;

use crate::config::ConfigError;
use crate::config::dotenv::Dotenv;

/// What the names of our own variables begin with, where they are not LiveKit's or everyone's.
const PREFIX: &str = "ROOMKEY_";
/// What Kubernetes sets in every container beside a service that is called roomkey.
const OF_KUBERNETES: [&str; 2] = ["ROOMKEY_SERVICE_", "ROOMKEY_PORT"];
/// Letters of a name that are compared; ours are all shorter.
const COMPARED: usize = 64;

/// The variables that settings are read from. `Debug` shows none of their values.
pub struct Variables {
    dotenv: Dotenv,
    /// The names that were asked for, which are those of our settings.
    known: RefCell<BTreeSet<&'static str>>,
}

impl Variables {
    /// Those of the process, and of the file `.env` in `directory`, if it is there.
    ///
    /// # Errors
    /// Where that file cannot be read.
    pub fn read(directory: &Path) -> Result<Self, ConfigError> {
        Ok(Self { dotenv: Dotenv::read(directory)?, known: RefCell::default() })
    }

    /// What the variable `name` is set to, the better source first.
    ///
    /// # Errors
    /// Where it is not UTF-8, or the line of `.env` that sets it cannot be understood.
    pub(super) fn find(&self, name: &'static str) -> Result<impl Iterator<Item = Zeroizing<String>>, ConfigError> {
        self.known.borrow_mut().insert(name);
        let of_environment = env::var_os(name).map(|value| {
            let bytes = Zeroizing::new(value.into_encoded_bytes());
            let text = str::from_utf8(&bytes).or(Err(ConfigError::NotUtf8 { setting: name, line: None }))?;
            Ok(Zeroizing::new(text.to_owned()))
        });
        Ok(of_environment.transpose()?.into_iter().chain(self.dotenv.find(name)?))
    }

    /// The variables that are none of ours but have our prefix, each with the nearest of those that settings were looked for in.
    #[must_use]
    pub fn unknown(&self) -> BTreeMap<String, &'static str> {
        let of_environment = env::vars_os().filter_map(|(name, value)| {
            drop(Zeroizing::new(value.into_encoded_bytes()));
            name.into_string().ok()
        });
        let known = self.known.borrow();
        let is_strange = |name: &String| {
            let is_foreign = OF_KUBERNETES.iter().any(|theirs| name.starts_with(theirs))
                || cfg!(debug_assertions) && name == "ROOMKEY_TEST_PANICS";
            name.starts_with(PREFIX) && !is_foreign && !known.contains(name.as_str())
        };
        let names = of_environment.chain(self.dotenv.names().map(str::to_owned)).filter(is_strange);
        names.filter_map(|name| nearest(&name, &known).map(|near| (name, near))).collect()
    }
}

/// Which of `known` is the most like `name`, with our prefix or without it.
fn nearest(name: &str, known: &BTreeSet<&'static str>) -> Option<&'static str> {
    let bare = name.strip_prefix(PREFIX).unwrap_or_default();
    [name, bare]
        .into_iter()
        .filter_map(|name| nearest_name(name, known.iter().copied()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, near)| near)
}

/// Which of `known` is the most like `name`, and how many letters are wrong.
pub(crate) fn nearest_name<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<(usize, &'a str)> {
    let name: String = name.chars().take(COMPARED).collect();
    known.into_iter().map(|each| (strsim::damerau_levenshtein(&name, each), each)).min_by_key(|(distance, _)| *distance)
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables").field("known", &self.known).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name() {
        let known = BTreeSet::from(["LIVEKIT_URL", "ROOMKEY_INBOX", "ROOMKEY_INBOX_KEEP", "SERVER_PORT", "TOKEN_TTL"]);
        for (name, expected) in [
            ("ROOMKEY_INBOXX", "ROOMKEY_INBOX"),
            ("ROOMKEY_INOBX", "ROOMKEY_INBOX"),
            ("ROOMKEY_INBOX_KEPT", "ROOMKEY_INBOX_KEEP"),
            ("ROOMKEY_TOKEN_TTL", "TOKEN_TTL"),
            ("ROOMKEY_LIVEKIT_URL", "LIVEKIT_URL"),
            ("ROOMKEY_SERVER_PROT", "SERVER_PORT"),
        ] {
            assert_eq!(nearest(name, &known), Some(expected), "{name}");
        }
        assert!(nearest(&"ROOMKEY_".repeat(10_000), &known).is_some());
    }
}
