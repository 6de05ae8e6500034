//! Checks that a Redis is recent enough, which is required, and that its settings are safe for acknowledged events, or else warns.
//! Does not change settings.

use std::collections::HashMap;

use redis::{Connection, RedisResult, Value};
use tracing::{info, warn};

use crate::inbox::store::StoreError;
use crate::inbox::store::redis::server::{UnexpectedServer, is_refused};
use crate::inbox::store::redis::url::RedisUrl;

/// Redis 7 refuses a script as a whole. Valkey's versions begin with 7.2.
const OLDEST_VERSION: u32 = 7;

/// Settings that may lose events: the name, whether a value is safe, and what to do.
const RISKY_SETTINGS: [(&str, fn(&str) -> bool, &str); 4] = [
    ("appendonly", |value| value == "yes", "the inbox is lost when Redis stops: set `appendonly yes` in Redis"),
    (
        "appendfsync",
        |value| value == "always",
        "up to a second of acknowledged webhooks may be lost with Redis: set `appendfsync always` in Redis",
    ),
    (
        "no-appendfsync-on-rewrite",
        |value| value == "no",
        "acknowledged webhooks may be lost while Redis rewrites its file: set `no-appendfsync-on-rewrite no` in Redis",
    ),
    (
        "maxmemory-policy",
        |value| !value.starts_with("allkeys"),
        "Redis may delete the inbox when it runs out of memory: set `maxmemory-policy noeviction` in Redis",
    ),
];

/// The settings by name; empty if the server does not show them.
pub(super) type Settings = HashMap<String, String>;

/// Logs the server and warns about its risky settings, unless its settings are still those `known`.
pub(super) fn check(connection: &mut Connection, url: &RedisUrl, known: &mut Option<Settings>) -> Result<(), StoreError> {
    let version = version(connection)?;
    let settings = settings(connection)?;
    if known.as_ref() == Some(&settings) {
        return Ok(());
    }
    info!(server = %url, version, "connected to Redis");
    if settings.is_empty() {
        warn!("Redis does not show its settings: make sure that it has `appendonly yes` and `appendfsync always`");
    }
    for (setting, is_safe, advice) in RISKY_SETTINGS {
        if let Some(value) = settings.get(setting).filter(|value| !is_safe(value)) {
            warn!(setting, value, "{advice}");
        }
    }
    *known = Some(settings);
    Ok(())
}

/// The version, if it is recent enough.
fn version(connection: &mut Connection) -> Result<String, StoreError> {
    let server: HashMap<String, Value> = redis::cmd("HELLO").query(connection)?;
    let version = server.get("version").cloned().and_then(|version| redis::from_redis_value::<String>(version).ok());
    let version = version.ok_or(UnexpectedServer::Answer)?;
    match version.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major >= OLDEST_VERSION => Ok(version),
        _ => Err(UnexpectedServer::Version.into()),
    }
}

fn settings(connection: &mut Connection) -> RedisResult<Settings> {
    let names = RISKY_SETTINGS.map(|(name, ..)| name);
    match redis::cmd("CONFIG").arg("GET").arg(&names).query(connection) {
        // Hosted servers may not permit it.
        Err(error) if is_refused(&error) => Ok(Settings::new()),
        result => result,
    }
}
