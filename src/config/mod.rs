//! Owns the settings: their names, defaults and explanations, and what they become. A flag beats the environment, and that beats
//! the file `.env`. No secret has a flag, for the command line is there for other users to see.

mod dotenv;
mod error;
mod key_file;
mod key_list;
mod keys;
mod values;
mod variables;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use error::ConfigError;
pub use key_file::{KeyFile, KeyFileContent};
pub use keys::{KeyFlags, Keys};
pub use variables::Variables;
pub(crate) use variables::nearest_name;

use crate::http::{Bind, Cors};
use crate::inbox::{RedisUrl, Retention};
use crate::livekit::access_token::DEFAULT_TTL;
use values::{Setting, base_path, bytes, inbox_place, livekit_url, read_cors, read_sandbox_ids, ttl};

/// The port where nothing else is set.
pub const DEFAULT_PORT: u16 = 6080;
/// The most connections at once that can be set.
pub const MAX_CONNECTIONS: usize = 100_000;
/// Where clients find LiveKit Server where nothing else is set.
pub const DEFAULT_LIVEKIT_URL: &str = "ws://localhost:7880";

/// The settings that have a flag. Each is also a variable: the flag's name in upper case, with underscores, that of the inbox with
/// `ROOMKEY_` in front, and that of several keys with `LIVEKIT_`.
#[derive(Clone, Default, clap::Args)]
pub struct Flags {
    /// The port to listen on [default: 6080] [env: SERVER_PORT]
    #[arg(long, value_name = "PORT", allow_hyphen_values = true)]
    server_port: Option<String>,
    /// The address or host name to listen on [default: all interfaces] [env: SERVER_BIND]
    #[arg(long, value_name = "HOST")]
    server_bind: Option<String>,
    /// Where clients find LiveKit Server [default: ws://localhost:7880] [env: LIVEKIT_URL]
    #[arg(long, value_name = "URL")]
    livekit_url: Option<String>,
    #[command(flatten)]
    keys: KeyFlags,
    /// An id that LiveKit's developmentTokenServer(id, …) must send to get a token; repeat it for more [default: none is wanted] [env: SANDBOX_ID, separated by commas]
    #[arg(long, value_name = "ID")]
    sandbox_id: Vec<String>,
    /// Lets clients have their rooms recorded by room_config.egress, at your cost [env: ALLOW_CLIENT_EGRESS=true]
    #[arg(long)]
    allow_client_egress: bool,
    /// How long a token holds, such as 90s, 10m or 2h [default: 6h] [env: TOKEN_TTL]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    token_ttl: Option<String>,
    /// Serve everything below this path, such as /x, for a reverse proxy that does not strip it [default: none] [env: BASE_PATH]
    #[arg(long, value_name = "PATH")]
    base_path: Option<String>,
    /// Connections at once; one more is told 503 [default: what the descriptor limit allows, less 32, at most 100000] [env: MAX_CONNECTIONS]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    max_connections: Option<String>,
    /// How long /readyz says 503 after SIGTERM before anything else changes [default: 0s] [env: SHUTDOWN_DELAY]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    shutdown_delay: Option<String>,
    /// The address and port on which GET /metrics answers, such as 127.0.0.1:9464 [default: off] [env: METRICS_BIND]
    #[arg(long, value_name = "ADDRESS")]
    metrics_bind: Option<String>,
    /// How much is logged: error, warn, info, debug or trace [default: info] [env: LOG_LEVEL]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How log lines look on stderr: text or json [default: text] [env: LOG_FORMAT]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// An origin whose pages may read the answers, such as `https://app.example.com`, or `https://*.example.com` for all subdomains; repeat it for more [default: any] [env: CORS_ORIGIN, separated by commas]
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,
    /// Where verified webhooks are kept: sqlite:PATH, redis://HOST:PORT, rediss://HOST:PORT (over TLS) or none; an URL with a password belongs into the variable [default: sqlite:roomkey.db] [env: ROOMKEY_INBOX]
    #[arg(long, value_name = "PLACE")]
    inbox: Option<String>,
    /// How long webhooks are kept, such as 12h or 30d [default: 30d] [env: ROOMKEY_INBOX_KEEP]
    #[arg(long, value_name = "DURATION")]
    inbox_keep: Option<String>,
    /// How large the inbox grows before its oldest webhooks go, such as 500MiB or 4GiB [default: 4GiB] [env: ROOMKEY_INBOX_MAX_SIZE]
    #[arg(long, value_name = "SIZE")]
    inbox_max_size: Option<String>,
}

/// None of the values: a Redis' URL may hold a password, though it should not as a flag.
impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flags").finish_non_exhaustive()
    }
}

/// The variables that have no flag, for `--help`.
pub const HELP_ON_SECRETS: &str = "\
Variables without a flag, because flags are visible to other users:
  LIVEKIT_API_SECRET  The secret of LIVEKIT_API_KEY, of 32 bytes at least [default: secret, LiveKit's for development]
  LIVEKIT_KEYS        More keys, `key: secret` one a line, as LiveKit Server takes them: all verify webhooks, and the first
                      mints where there is no LIVEKIT_API_KEY

A flag beats a variable, and a variable beats the file .env in the working directory. An empty one counts as unset, except those
of keys and secrets.";

/// The settings, read and checked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The addresses to listen on.
    pub bind: Bind,
    /// The port to listen on.
    pub port: u16,
    /// Where clients find LiveKit Server.
    pub livekit_url: String,
    /// The keys.
    pub keys: Keys,
    /// The ids that a client of the development token server must know one of; none are wanted where this is empty.
    pub sandbox_ids: Vec<String>,
    /// Whether clients may have their rooms recorded.
    pub allow_client_egress: bool,
    /// How long a token holds.
    pub token_ttl: Duration,
    /// How much is logged.
    pub log_level: tracing::Level,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Whose pages may read the answers.
    pub cors: Cors,
    /// Where webhooks are kept.
    pub inbox: InboxPlace,
    /// How long and how many of them.
    pub retention: Retention,
    /// The path below which everything is served; empty, or with a slash in front and none at its end.
    pub base_path: String,
    /// Connections at once; `None` is what the descriptor limit allows.
    pub max_connections: Option<usize>,
    /// How long `/readyz` says so before the server stops.
    pub shutdown_delay: Duration,
    /// Where metrics are served.
    pub metrics_bind: Option<SocketAddr>,
}

/// Where webhooks are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InboxPlace {
    /// Nowhere: they are verified and logged.
    None,
    /// In this SQLite file.
    Sqlite(PathBuf),
    /// In this Redis, which other roomkeys may share.
    Redis(RedisUrl),
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads all settings.
    ///
    /// # Errors
    /// At the first one that cannot be used. The error names it, and never a secret.
    pub fn read(flags: Flags, variables: &Variables) -> Result<Self, ConfigError> {
        let setting = |name: &'static str, flag: Option<String>| Setting::of(name, flag, variables);
        let keys = flags.keys.read(variables)?;
        Ok(Self {
            bind: setting("SERVER_BIND", flags.server_bind)?.text().map_or(Bind::All, Bind::Host),
            port: setting("SERVER_PORT", flags.server_port)?
                .parse("a port from 0 to 65535", DEFAULT_PORT, |port| port.parse().ok())?,
            livekit_url: setting("LIVEKIT_URL", flags.livekit_url)?.parse(
                "a URL such as wss://livekit.example.com, with ws, wss, http or https, a host, and no user or password",
                DEFAULT_LIVEKIT_URL.to_owned(),
                livekit_url,
            )?,
            keys,
            sandbox_ids: read_sandbox_ids(&flags.sandbox_id, &setting("SANDBOX_ID", None)?)?,
            allow_client_egress: setting("ALLOW_CLIENT_EGRESS", flags.allow_client_egress.then(|| "true".to_owned()))?.parse(
                "true or false",
                false,
                |flag| flag.parse().ok(),
            )?,
            token_ttl: setting("TOKEN_TTL", flags.token_ttl)?.parse(
                "a duration of a second or more, such as 90s, 10m or 2h",
                DEFAULT_TTL,
                ttl,
            )?,
            log_level: setting("LOG_LEVEL", flags.log_level)?.parse(
                "error, warn, info, debug or trace",
                tracing::Level::INFO,
                |level| level.parse().ok().filter(|_| level.bytes().all(|byte| byte.is_ascii_alphabetic())), // not by number
            )?,
            log_format: setting("LOG_FORMAT", flags.log_format)?.parse(
                "text or json",
                LogFormat::Text,
                |format| match format {
                    "text" => Some(LogFormat::Text),
                    "json" => Some(LogFormat::Json),
                    _ => None,
                },
            )?,
            base_path: setting("BASE_PATH", flags.base_path)?.parse("a path such as /x", String::new(), base_path)?,
            max_connections: setting("MAX_CONNECTIONS", flags.max_connections)?.parse(
                "a number from 1 to 100000",
                None,
                |number| number.parse().ok().filter(|number| (1..=MAX_CONNECTIONS).contains(number)).map(Some),
            )?,
            shutdown_delay: setting("SHUTDOWN_DELAY", flags.shutdown_delay)?.parse(
                "a duration such as 0s or 10s",
                Duration::ZERO,
                |delay| humantime::parse_duration(delay).ok(),
            )?,
            metrics_bind: setting("METRICS_BIND", flags.metrics_bind)?.parse(
                "an address and a port, such as 127.0.0.1:9464",
                None,
                |address| address.parse().ok().map(Some),
            )?,
            cors: read_cors(&flags.cors_origin, &setting("CORS_ORIGIN", None)?)?,
            inbox: inbox_place(setting("ROOMKEY_INBOX", flags.inbox)?)?,
            retention: Retention {
                age: setting("ROOMKEY_INBOX_KEEP", flags.inbox_keep)?.parse(
                    "a duration of a second or more, such as 12h or 30d",
                    Retention::default().age,
                    ttl,
                )?,
                bytes: setting("ROOMKEY_INBOX_MAX_SIZE", flags.inbox_max_size)?.parse(
                    "a size of 1MiB or more, such as 500MiB or 4GiB",
                    Retention::default().bytes,
                    |size| bytes(size).filter(|bytes| *bytes >= 1 << 20),
                )?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Flags;

    #[test]
    fn flags_show_no_values() {
        let flags = Flags { inbox: Some("redis://:hushhush@localhost".to_owned()), ..Flags::default() };
        assert_eq!(format!("{flags:?}"), "Flags { .. }");
    }
}
