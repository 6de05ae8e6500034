//! Owns a setting's way from text to what it means.

use std::time::Duration;

use hyper::header::HeaderValue;

use crate::config::{ConfigError, InboxPlace, Variables};
use crate::http::Cors;

const DEFAULT_INBOX: &str = "roomkey.db";

/// A setting's name and value, if it has one.
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) value: Option<String>,
}

impl Setting {
    /// The flag if it was given, else the variable; an empty value is none.
    pub(super) fn of(name: &'static str, flag: Option<String>, variables: Variables<'_>) -> Self {
        Self { name, value: flag.or_else(|| variables(name)).filter(|value| !value.is_empty()) }
    }

    pub(super) fn parse<T>(
        self,
        expected: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        match self.value {
            None => Ok(default),
            Some(value) => parse(&value).ok_or(ConfigError::Invalid { setting: self.name, value, expected }),
        }
    }
}

/// Whole seconds, since a token counts in them.
pub(super) fn ttl(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|ttl| ttl.as_secs() > 0)
}

pub(super) fn inbox_place(setting: Setting) -> Result<InboxPlace, ConfigError> {
    const EXPECTED: &str = "sqlite:PATH, redis://HOST:PORT, rediss://HOST:PORT or none";
    let Setting { name, value } = setting;
    let Some(value) = value else { return Ok(InboxPlace::Sqlite(DEFAULT_INBOX.into())) };
    match value.split_once(':') {
        None if value == "none" => Ok(InboxPlace::None),
        Some(("sqlite", path)) if !path.is_empty() => Ok(InboxPlace::Sqlite(path.into())),
        Some(("redis" | "rediss", _)) => {
            value.parse().map(InboxPlace::Redis).map_err(|source| ConfigError::RedisUrl { setting: name, source })
        }
        // The rest may be a misspelt URL, with a password.
        Some((scheme, _)) => Err(ConfigError::Invalid { setting: name, value: format!("{scheme}:…"), expected: EXPECTED }),
        None => Err(ConfigError::Invalid { setting: name, value, expected: EXPECTED }),
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

/// What the flags list, or else the variable, between commas.
fn listed(flags: Vec<String>, variable: &Setting) -> Vec<String> {
    if flags.is_empty() {
        variable.value.iter().flat_map(|list| list.split(',')).map(|each| each.trim().to_owned()).collect()
    } else {
        flags
    }
}

pub(super) fn read_sandbox_ids(flags: Vec<String>, variable: Setting) -> Result<Vec<String>, ConfigError> {
    let is_id = |id: &String| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    let ids = listed(flags, &variable);
    match ids.iter().find(|id| !is_id(id)) {
        None => Ok(ids),
        Some(id) => Err(ConfigError::Invalid {
            setting: variable.name,
            value: id.clone(),
            expected: "an id of letters, digits and signs, for it travels in a header",
        }),
    }
}

pub(super) fn read_cors(flags: Vec<String>, variable: Setting) -> Result<Cors, ConfigError> {
    const EXPECTED: &str = "an origin such as https://app.example.com, without a path";
    let listed = listed(flags, &variable);
    if listed.is_empty() || listed == ["*"] {
        return Ok(Cors::AnyOrigin);
    }
    let origin = |origin: String| {
        let after_scheme = origin.split_once("://").map_or("", |(_, after)| after);
        let is_origin = !after_scheme.is_empty() && !after_scheme.contains('/') && !origin.contains(char::is_whitespace);
        match HeaderValue::from_str(&origin) {
            Ok(value) if is_origin || origin == "null" => Ok(value),
            _ => Err(ConfigError::Invalid { setting: "CORS_ORIGIN", value: origin, expected: EXPECTED }),
        }
    };
    listed.into_iter().map(origin).collect::<Result<_, _>>().map(Cors::Origins)
}
