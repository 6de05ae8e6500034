//! What the text of each setting means: it becomes a type that cannot hold an invalid value. Does not know where the text is from.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use tracing::Level;
use url::Host;

use crate::config::ConfigError;
use crate::config::lookup::Setting;
use crate::http::{Bind, Cors, ProxyNetwork, parse_url};
use crate::inbox::RedisUrl;

pub(crate) const MAX_CONNECTIONS: usize = 100_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InboxPlace {
    /// Nowhere: they are verified and logged.
    None,
    Sqlite(PathBuf),
    /// In this Redis, which other roomkeys may share.
    Redis(RedisUrl),
}

impl InboxPlace {
    /// The same with a login at the sentinels. Without a user, it is that of their default user.
    pub(super) fn with_sentinel_login(self, user: Option<&str>, password: Option<&str>) -> Result<Self, ConfigError> {
        match (self, user, password) {
            (_, Some(_), None) => {
                Err(ConfigError::HalfAPair { given: "ROOMKEY_SENTINEL_USER", missing: "ROOMKEY_SENTINEL_PASSWORD" })
            }
            (Self::Redis(url), user, Some(password)) => Ok(Self::Redis(url.with_sentinel_login(user, password))),
            (place, ..) => Ok(place),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// An address, perhaps with the zone of an IPv6 address (RFC 4007, section 11), or a host name.
pub(super) fn bind(text: &str) -> Option<Bind> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    let is_ipv6 = address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(|zone| !zone.is_empty());
    let is_other = || matches!(Host::parse(text), Ok(Host::Domain(_) | Host::Ipv4(_))); // also a short form, such as 127.1
    (is_ipv6 || is_other()).then(|| Bind::Host(text.to_owned()))
}

/// The address of LiveKit Server, exactly as it was written, because clients get it.
pub(super) fn livekit_url(text: &str) -> Option<String> {
    parse_url(text).filter(|url| ["ws", "wss", "http", "https"].contains(&url.scheme())).map(|_| text.to_owned())
}

/// At least a second, because tokens count in whole seconds.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|duration| duration.as_secs() > 0)
}

/// Shorter, and proxies would send requests into connections that are being closed; longer, and dead ones would take the places.
pub(super) fn idle_timeout(text: &str) -> Option<Duration> {
    let range = Duration::from_secs(5)..=Duration::from_secs(60 * 60);
    humantime::parse_duration(text).ok().filter(|duration| range.contains(duration))
}

pub(super) fn boolean(setting: Setting) -> Result<bool, ConfigError> {
    setting.parse("true or false", |text| text.parse().ok())
}

pub(super) fn connections(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| (1..=MAX_CONNECTIONS).contains(number))
}

/// Only the names of levels: `tracing` also reads numbers.
pub(super) fn log_level(text: &str) -> Option<Level> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

pub(super) fn log_format(text: &str) -> Option<LogFormat> {
    match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

pub(super) fn inbox_place(setting: Setting) -> Result<InboxPlace, ConfigError> {
    const EXPECTED: &str = "sqlite:PATH, redis://HOST:PORT, redis+sentinel://HOST:PORT,HOST:PORT/MASTER or none";
    let text = setting.text_or_default();
    match text.split_once(':') {
        None if text == "none" => Ok(InboxPlace::None),
        Some(("sqlite", path)) if !path.is_empty() => Ok(InboxPlace::Sqlite(path.into())),
        Some(("redis" | "rediss" | "redis+sentinel" | "rediss+sentinel", _)) => {
            text.parse().map(InboxPlace::Redis).map_err(|source| ConfigError::RedisUrl { setting: setting.name, source })
        }
        // The rest may be a misspelt URL with a password.
        Some((scheme, _)) => Err(setting.invalid(&format!("{scheme}:…"), EXPECTED)),
        None => Err(setting.invalid(text, EXPECTED)),
    }
}

/// At least 1 MiB: a number of bytes, or with a unit `KiB`, `MiB`, `GiB` or `TiB`. Crates for sizes also take `4G` and `4GB`, which
/// are ambiguous.
pub(super) fn inbox_size(text: &str) -> Option<u64> {
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
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| *bytes >= 1 << 20)
}

/// Empty, or with a slash in front and none at the end.
pub(super) fn base_path(text: &str) -> Option<String> {
    let path = text.trim_end_matches('/');
    let is_plain =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    (path.is_empty() || path.strip_prefix('/')?.split('/').all(is_plain)).then(|| path.to_owned())
}

pub(super) fn sandbox_ids(setting: Setting) -> Result<Vec<String>, ConfigError> {
    const EXPECTED: &str = "an id of letters, digits and punctuation, because it travels in a header";
    let ids = setting.list();
    match ids.iter().find(|id| id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_graphic())) {
        None => Ok(ids),
        Some(id) => Err(setting.invalid(id, EXPECTED)),
    }
}

pub(super) fn cors(setting: Setting) -> Result<Cors, ConfigError> {
    const EXPECTED: &str = "an origin such as https://app.example.com or https://*.example.com, without a user, a path or a query, or null, or only * for any";
    let list = setting.list();
    if list.is_empty() || list == ["*"] {
        return Ok(Cors::AnyOrigin);
    }
    let origins = list.iter().map(|origin| origin.parse().map_err(|_| setting.invalid(origin, EXPECTED)));
    origins.collect::<Result<_, _>>().map(Cors::Origins)
}

pub(super) fn trusted_proxies(setting: Setting) -> Result<Vec<ProxyNetwork>, ConfigError> {
    const EXPECTED: &str = "an address such as 10.0.0.1, or a network such as 10.0.0.0/8, whose bits after the prefix are zero";
    setting.list().iter().map(|network| network.parse().map_err(|_| setting.invalid(network, EXPECTED))).collect()
}
