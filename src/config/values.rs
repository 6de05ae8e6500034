//! Owns a setting's way from text to what it means.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::config::{ConfigError, InboxPlace, Variables};
use crate::http::{Cors, parse_url};

const DEFAULT_INBOX: &str = "roomkey.db";

/// What a text means that was pasted: without white space, line ends and byte order marks around it, and without the quotes
/// around the whole.
pub(super) fn pasted(text: &str) -> &str {
    let is_around = |each: char| each.is_whitespace() || matches!(each, '\u{feff}' | '\u{200b}');
    let text = text.trim_matches(is_around);
    let without = |quote| text.strip_prefix(quote)?.strip_suffix(quote).filter(|inner| !inner.contains(quote));
    ['"', '\''].into_iter().find_map(without).map_or(text, pasted)
}

/// A setting's name and value, if it has one. The value may be a secret, or hold one.
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) value: Option<Zeroizing<String>>,
    /// Whether it was set at all, to nothing perhaps.
    pub(super) is_set: bool,
}

impl Setting {
    /// The flag, else the variable. What is empty counts as unset.
    pub(super) fn of(name: &'static str, flag: Option<String>, variables: &Variables) -> Result<Self, ConfigError> {
        let mut set = flag.map(Zeroizing::new).into_iter().chain(variables.find(name)?).peekable();
        let is_set = set.peek().is_some();
        let value = set.find(|value| !pasted(value).is_empty()).map(|value| Zeroizing::new(pasted(&value).to_owned()));
        Ok(Self { name, value, is_set })
    }

    /// As [`of`](Self::of), but an error where it is set to nothing: an orchestrator that lost a secret should not go unnoticed.
    pub(super) fn filled(name: &'static str, flag: Option<String>, variables: &Variables) -> Result<Self, ConfigError> {
        let first = flag.map(Zeroizing::new).into_iter().chain(variables.find(name)?).next();
        match &first {
            Some(value) if pasted(value).is_empty() => Err(ConfigError::Empty { setting: name }),
            _ => Ok(Self { name, is_set: first.is_some(), value: first }),
        }
    }

    /// What it is set to, which is no secret.
    pub(super) fn text(&self) -> Option<String> {
        self.value.as_deref().map(|value| pasted(value).to_owned())
    }

    pub(super) fn parse<T>(
        self,
        expected: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        match self.value {
            None => Ok(default),
            Some(value) => parse(&value).ok_or_else(|| invalid(self.name, &value, expected)),
        }
    }
}

/// The error about a value, of which a URL's user, password and query are not told.
fn invalid(setting: &'static str, value: &str, expected: &'static str) -> ConfigError {
    let shown = value.rsplit_once('@').map_or_else(|| value.to_owned(), |(_, rest)| format!("…@{rest}"));
    let shown = shown.split_once('?').map_or(shown.clone(), |(rest, _)| format!("{rest}?…"));
    ConfigError::Invalid { setting, value: shown, expected }
}

/// What clients are given to find LiveKit, as it was written.
pub(super) fn livekit_url(text: &str) -> Option<String> {
    parse_url(text).filter(|url| ["ws", "wss", "http", "https"].contains(&url.scheme())).map(|_| text.to_owned())
}

/// Whole seconds, since a token counts in them.
pub(super) fn ttl(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|ttl| ttl.as_secs() > 0)
}

pub(super) fn inbox_place(setting: Setting) -> Result<InboxPlace, ConfigError> {
    const EXPECTED: &str = "sqlite:PATH, redis://HOST:PORT, rediss://HOST:PORT or none";
    let Setting { name, value, .. } = setting;
    let Some(value) = value else { return Ok(InboxPlace::Sqlite(DEFAULT_INBOX.into())) };
    match value.split_once(':') {
        None if *value == "none" => Ok(InboxPlace::None),
        Some(("sqlite", path)) if !path.is_empty() => Ok(InboxPlace::Sqlite(path.into())),
        Some(("redis" | "rediss", _)) => {
            value.parse().map(InboxPlace::Redis).map_err(|source| ConfigError::RedisUrl { setting: name, source })
        }
        // The rest may be a misspelt URL, with a password.
        Some((scheme, _)) => Err(invalid(name, &format!("{scheme}:…"), EXPECTED)),
        None => Err(invalid(name, &value, EXPECTED)),
    }
}

/// A number of bytes, or with a unit: `KiB`, `MiB`, `GiB`, `TiB`.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|each: char| !each.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

pub(super) fn base_path(text: &str) -> Option<String> {
    let path = text.trim_end_matches('/');
    let is_plain =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    (path.is_empty() || path.strip_prefix('/')?.split('/').all(is_plain)).then(|| path.to_owned())
}

/// What the flags list, or else the variable, between commas. An empty one of them stays, and is a mistake: a list that
/// restricts something must not vanish.
fn listed(flags: &[String], variable: &Setting) -> Vec<String> {
    let of_flags = flags.iter().map(String::as_str);
    let of_variable = variable.value.iter().flat_map(|list| list.split(','));
    of_flags.chain(of_variable.filter(|_| flags.is_empty())).map(|each| pasted(each).to_owned()).collect()
}

pub(super) fn read_sandbox_ids(flags: &[String], variable: &Setting) -> Result<Vec<String>, ConfigError> {
    const EXPECTED: &str = "an id of letters, digits and signs, because it travels in a header";
    let is_id = |id: &String| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    let ids = listed(flags, variable);
    match ids.iter().find(|id| !is_id(id)) {
        None => Ok(ids),
        Some(id) => Err(invalid(variable.name, id, EXPECTED)),
    }
}

pub(super) fn read_cors(flags: &[String], variable: &Setting) -> Result<Cors, ConfigError> {
    const EXPECTED: &str = "an origin such as https://app.example.com or https://*.example.com, without a user, a path and a query, or null, or * alone for any";
    let listed = listed(flags, variable);
    if listed.is_empty() || listed == ["*"] {
        return Ok(Cors::AnyOrigin);
    }
    let origins = listed.iter().map(|origin| origin.parse().map_err(|_| invalid(variable.name, origin, EXPECTED)));
    origins.collect::<Result<_, _>>().map(Cors::Origins)
}

#[cfg(test)]
mod tests {
    use super::pasted;

    #[test]
    fn what_is_pasted() {
        for text in [
            "secret",
            " secret",
            "secret\n",
            "secret\r\n\r\n",
            "\u{feff}secret",
            "\"secret\"",
            "'secret'",
            " \"secret\" \n",
            "\"secret\n\"",
            "'\"secret\"'",
            "\u{feff}'secret'\n",
            "'\u{feff} secret '",
            "\u{a0}secret\t",
        ] {
            assert_eq!(pasted(text), "secret", "{text:?}");
        }
        for text in ["sec ret", "sec\"ret", "\"secret", "secret'", "\"secret'", "\"a\": \"b\"", "'a' 'b'", "\"", "", "a\nb"] {
            assert_eq!(pasted(text), text);
        }
        assert_eq!(pasted("\" '' \""), "");
    }
}
