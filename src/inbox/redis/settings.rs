//! Owns what a Redis has to be for what is acknowledged to be kept: new enough, and set so. Only the first is insisted on.

use std::collections::HashMap;

use redis::{Connection, RedisResult, Value};
use tracing::{info, warn};

use crate::inbox::redis::connection::{NotOurs, is_refused};
use crate::inbox::redis::url::RedisUrl;
use crate::inbox::store::StoreError;

/// Redis 7 has scripts that are refused as a whole; Valkey tells a version from 7.2 on.
const OLDEST_VERSION: u32 = 7;

/// A setting that costs events, and what to do about it.
struct Doubt {
    name: &'static str,
    is_safe: fn(&str) -> bool,
    advice: &'static str,
}

const DOUBTS: [Doubt; 4] = [
    Doubt {
        name: "appendonly",
        is_safe: |value| value == "yes",
        advice: "the inbox is lost when Redis ends: set `appendonly yes` in Redis",
    },
    Doubt {
        name: "appendfsync",
        is_safe: |value| value == "always",
        advice: "up to a second of acknowledged webhooks may be lost with Redis: set `appendfsync always` in Redis",
    },
    Doubt {
        name: "no-appendfsync-on-rewrite",
        is_safe: |value| value == "no",
        advice: "acknowledged webhooks may be lost while Redis rewrites its file: set `no-appendfsync-on-rewrite no` in Redis",
    },
    Doubt {
        name: "maxmemory-policy",
        is_safe: |value| !value.starts_with("allkeys"),
        advice: "Redis deletes the inbox when its memory is short: set `maxmemory-policy noeviction` in Redis",
    },
];

/// Its settings, by name; empty where it does not tell them.
pub(super) type Settings = HashMap<String, String>;

/// Says what is in doubt at the server behind `connection`, unless its settings are still those `known`.
pub(super) fn inspect(connection: &mut Connection, url: &RedisUrl, known: &mut Option<Settings>) -> Result<(), StoreError> {
    let version = version(connection)?;
    let settings = settings(connection)?;
    if known.as_ref() == Some(&settings) {
        return Ok(());
    }
    info!(server = %url, version, "Redis is reached");
    if settings.is_empty() {
        warn!("Redis does not tell its settings: make sure that it has `appendonly yes` and `appendfsync always`");
    }
    for doubt in DOUBTS {
        if let Some(value) = settings.get(doubt.name).filter(|value| !(doubt.is_safe)(value)) {
            warn!(setting = doubt.name, value, "{}", doubt.advice);
        }
    }
    *known = Some(settings);
    Ok(())
}

/// The version, where it is new enough.
fn version(connection: &mut Connection) -> Result<String, StoreError> {
    let server: HashMap<String, Value> = redis::cmd("HELLO").query(connection)?;
    let version = server.get("version").cloned().and_then(|version| redis::from_redis_value::<String>(version).ok());
    let version = version.ok_or(NotOurs::Answer)?;
    match version.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major >= OLDEST_VERSION => Ok(version),
        _ => Err(NotOurs::Version.into()),
    }
}

fn settings(connection: &mut Connection) -> RedisResult<Settings> {
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET");
    for doubt in &DOUBTS {
        ask.arg(doubt.name);
    }
    match ask.query(connection) {
        // Servers of others' keep it to themselves.
        Err(error) if is_refused(&error) => Ok(Settings::new()),
        told => told,
    }
}
