//! Checks that a Redis is recent enough, which is required, and that its settings are safe for acknowledged events, or else warns.
//! Does not change settings.

use std::collections::HashMap;

use redis::{Connection, RedisResult, Value};
use tracing::{info, warn};

use crate::inbox::redis::connection::{UnexpectedServer, is_refused};
use crate::inbox::redis::url::RedisUrl;
use crate::inbox::store::StoreError;

/// Redis 7 refuses a script as a whole. Valkey's versions begin with 7.2.
const OLDEST_VERSION: u32 = 7;

/// A setting that may lose events.
struct RiskySetting {
    name: &'static str,
    is_safe: fn(&str) -> bool,
    advice: &'static str,
}

const RISKY_SETTINGS: [RiskySetting; 4] = [
    RiskySetting {
        name: "appendonly",
        is_safe: |value| value == "yes",
        advice: "the inbox is lost when Redis stops: set `appendonly yes` in Redis",
    },
    RiskySetting {
        name: "appendfsync",
        is_safe: |value| value == "always",
        advice: "up to a second of acknowledged webhooks may be lost with Redis: set `appendfsync always` in Redis",
    },
    RiskySetting {
        name: "no-appendfsync-on-rewrite",
        is_safe: |value| value == "no",
        advice: "acknowledged webhooks may be lost while Redis rewrites its file: set `no-appendfsync-on-rewrite no` in Redis",
    },
    RiskySetting {
        name: "maxmemory-policy",
        is_safe: |value| !value.starts_with("allkeys"),
        advice: "Redis may delete the inbox when it runs out of memory: set `maxmemory-policy noeviction` in Redis",
    },
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
    for setting in RISKY_SETTINGS {
        if let Some(value) = settings.get(setting.name).filter(|value| !(setting.is_safe)(value)) {
            warn!(setting = setting.name, value, "{}", setting.advice);
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
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET");
    for setting in &RISKY_SETTINGS {
        ask.arg(setting.name);
    }
    match ask.query(connection) {
        // Hosted servers may not permit it.
        Err(error) if is_refused(&error) => Ok(Settings::new()),
        result => result,
    }
}
