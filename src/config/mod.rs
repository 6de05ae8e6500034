//! Owns the settings: their names, defaults and explanations, and what they become. A flag beats the environment, and that beats
//! the file `.env`. No secret has a flag, for the command line is there for other users to see.

mod keys;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::HeaderValue;

pub use keys::KeyFlags;

use crate::http::{Bind, Cors};
use crate::inbox::{MalformedRedisUrl, RedisUrl, Retention};
use crate::livekit::access_token::DEFAULT_TTL;
use crate::livekit::key::{ApiKeys, KeyError};

/// The port where nothing else is set.
pub const DEFAULT_PORT: u16 = 6080;
const DEFAULT_INBOX: &str = "roomkey.db";
/// The most connections at once that can be set.
pub const MAX_CONNECTIONS: usize = 100_000;
const DEFAULT_LIVEKIT_URL: &str = "ws://localhost:7880";

/// The settings that have a flag. Each is also a variable: the flag's name in upper case, with underscores, and that of the inbox
/// with `ROOMKEY_` in front.
#[derive(Clone, Debug, Default, clap::Args)]
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
    /// An origin whose pages may read the answers, such as `https://app.example.com`; repeat it for more [default: any] [env: CORS_ORIGIN, separated by commas]
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

/// The variables that have no flag, for `--help`.
pub const HELP_ON_SECRETS: &str = "\
Variables without a flag, for flags are visible to other users:
  LIVEKIT_API_SECRET  The secret of LIVEKIT_API_KEY, of 32 bytes at least [default: secret, LiveKit's for development]
  LIVEKIT_KEYS        More keys, `key: secret` one a line, as LiveKit Server takes them: all verify webhooks, and the first
                      mints where there is no LIVEKIT_API_KEY

A flag beats a variable, and a variable beats the file .env in the working directory.";

/// Where settings come from beside flags: the value of a variable, if it is set.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

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
    pub keys: ApiKeys,
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
    pub fn read(flags: Flags, variables: Variables<'_>) -> Result<Self, ConfigError> {
        let setting = |name: &'static str, flag: Option<String>| Setting::of(name, flag, variables);
        let keys = flags.keys.read(variables)?;
        Ok(Self {
            bind: setting("SERVER_BIND", flags.server_bind).value.map_or(Bind::All, Bind::Host),
            port: setting("SERVER_PORT", flags.server_port)
                .parse("a port from 0 to 65535", DEFAULT_PORT, |port| port.parse().ok())?,
            livekit_url: setting("LIVEKIT_URL", flags.livekit_url).value.unwrap_or_else(|| DEFAULT_LIVEKIT_URL.to_owned()),
            keys,
            sandbox_ids: read_sandbox_ids(flags.sandbox_id, setting("SANDBOX_ID", None))?,
            allow_client_egress: setting("ALLOW_CLIENT_EGRESS", flags.allow_client_egress.then(|| "true".to_owned())).parse(
                "true or false",
                false,
                |flag| flag.parse().ok(),
            )?,
            token_ttl: setting("TOKEN_TTL", flags.token_ttl).parse(
                "a duration of a second or more, such as 90s, 10m or 2h",
                DEFAULT_TTL,
                ttl,
            )?,
            log_level: setting("LOG_LEVEL", flags.log_level).parse(
                "error, warn, info, debug or trace",
                tracing::Level::INFO,
                |level| level.parse().ok().filter(|_| level.bytes().all(|byte| byte.is_ascii_alphabetic())), // not by number
            )?,
            log_format: setting("LOG_FORMAT", flags.log_format).parse(
                "text or json",
                LogFormat::Text,
                |format| match format {
                    "text" => Some(LogFormat::Text),
                    "json" => Some(LogFormat::Json),
                    _ => None,
                },
            )?,
            base_path: setting("BASE_PATH", flags.base_path).parse("a path such as /x", String::new(), base_path)?,
            max_connections: setting("MAX_CONNECTIONS", flags.max_connections).parse(
                "a number from 1 to 100000",
                None,
                |number| number.parse().ok().filter(|number| (1..=MAX_CONNECTIONS).contains(number)).map(Some),
            )?,
            shutdown_delay: setting("SHUTDOWN_DELAY", flags.shutdown_delay).parse(
                "a duration such as 0s or 10s",
                Duration::ZERO,
                |delay| humantime::parse_duration(delay).ok(),
            )?,
            metrics_bind: setting("METRICS_BIND", flags.metrics_bind).parse(
                "an address and a port, such as 127.0.0.1:9464",
                None,
                |address| address.parse().ok().map(Some),
            )?,
            cors: read_cors(flags.cors_origin, setting("CORS_ORIGIN", None))?,
            inbox: inbox_place(setting("ROOMKEY_INBOX", flags.inbox))?,
            retention: Retention {
                age: setting("ROOMKEY_INBOX_KEEP", flags.inbox_keep).parse(
                    "a duration of a second or more, such as 12h or 30d",
                    Retention::default().age,
                    ttl,
                )?,
                bytes: setting("ROOMKEY_INBOX_MAX_SIZE", flags.inbox_max_size).parse(
                    "a size of 1MiB or more, such as 500MiB or 4GiB",
                    Retention::default().bytes,
                    |size| bytes(size).filter(|bytes| *bytes >= 1 << 20),
                )?,
            },
        })
    }
}

/// A setting's name and value, if it has one.
struct Setting {
    name: &'static str,
    value: Option<String>,
}

impl Setting {
    /// The flag if it was given, else the variable; an empty value is none.
    fn of(name: &'static str, flag: Option<String>, variables: Variables<'_>) -> Self {
        Self { name, value: flag.or_else(|| variables(name)).filter(|value| !value.is_empty()) }
    }

    fn parse<T>(self, expected: &'static str, default: T, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ConfigError> {
        match self.value {
            None => Ok(default),
            Some(value) => parse(&value).ok_or(ConfigError::Invalid { setting: self.name, value, expected }),
        }
    }
}

/// Whole seconds, since a token counts in them.
fn ttl(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|ttl| ttl.as_secs() > 0)
}

fn inbox_place(setting: Setting) -> Result<InboxPlace, ConfigError> {
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
fn bytes(text: &str) -> Option<u64> {
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

fn base_path(text: &str) -> Option<String> {
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

fn read_sandbox_ids(flags: Vec<String>, variable: Setting) -> Result<Vec<String>, ConfigError> {
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

fn read_cors(flags: Vec<String>, variable: Setting) -> Result<Cors, ConfigError> {
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

/// The variables of the file `.env` in `directory`, if it is there.
///
/// # Errors
/// Where it cannot be read, or a line of it cannot be understood.
pub fn read_dotenv(directory: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let path = directory.join(".env");
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ConfigError::Unreadable { setting: ".env", path, source }),
    };
    // The error quotes the line, or the value in it, which may be a secret: only the line's number is told.
    dotenvy::from_read_iter(text.as_slice()).collect::<Result<_, _>>().map_err(|error| match error {
        dotenvy::Error::LineParse(line, _) => {
            let text = String::from_utf8_lossy(&text);
            let quoted = line.lines().next().unwrap_or_default();
            let number = text.lines().position(|each| !each.trim_start().starts_with('#') && each.contains(quoted));
            ConfigError::DotenvLine { line: number.map_or(1, |index| index.saturating_add(1)) }
        }
        _ => ConfigError::Unreadable { setting: ".env", path: path.clone(), source: io::ErrorKind::InvalidData.into() },
    })
}

/// Why settings cannot be used. Says which one and what to do, and never a secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value cannot be understood.
    Invalid {
        /// The setting.
        setting: &'static str,
        /// Its value, which is no secret.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Something that should hold a secret holds nothing.
    Empty {
        /// The setting.
        setting: &'static str,
    },
    /// A key without its secret, or the other way round.
    HalfAPair {
        /// The half that is there.
        given: &'static str,
        /// The half that is not.
        missing: &'static str,
    },
    /// An URL of a Redis that cannot be understood.
    RedisUrl {
        /// The setting.
        setting: &'static str,
        /// That it is malformed; it may hold a password, and so is not told.
        source: MalformedRedisUrl,
    },
    /// Two settings that exclude each other.
    Both {
        /// The two.
        settings: (&'static str, &'static str),
    },
    /// A key that cannot be.
    Key {
        /// The setting.
        setting: &'static str,
        /// Why.
        source: KeyError,
    },
    /// A key in a list that cannot be.
    KeyAtLine {
        /// The setting.
        setting: &'static str,
        /// The line, from 1.
        line: usize,
        /// Why.
        source: KeyError,
    },
    /// A line that is no `key: secret`.
    NotAPair {
        /// The setting.
        setting: &'static str,
        /// The line, from 1.
        line: usize,
    },
    /// A line of `.env` that is no `NAME=value`.
    DotenvLine {
        /// The line, from 1.
        line: usize,
    },
    /// A file that cannot be read.
    Unreadable {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ConfigError {
    fn at_line(self, line: usize) -> Self {
        match self {
            Self::Key { setting, source } => Self::KeyAtLine { setting, line, source },
            other => other,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { setting, value, expected } => write!(f, "{setting} is {value:?} but must be {expected}"),
            Self::Empty { setting } => write!(f, "{setting} is empty: give it a value, or unset it"),
            Self::RedisUrl { setting, source } => {
                write!(
                    f,
                    "{setting}: {source}: write it as redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], what is special in USER or PASSWORD percent-encoded"
                )
            }
            Self::HalfAPair { given, missing } => write!(f, "{given} is set without {missing}: set both, or neither"),
            Self::Both { settings: (one, other) } => write!(f, "{one} and {other} are both set: unset one of them"),
            Self::Key { setting, source } => write!(f, "{setting}: {source}{}", remedy(source)),
            Self::KeyAtLine { setting, line, source } => write!(f, "{setting}, line {line}: {source}{}", remedy(source)),
            Self::NotAPair { setting, line } => write!(f, "{setting}, line {line}: write it as `key: secret`"),
            Self::DotenvLine { line } => {
                write!(f, ".env, line {line}: write it as NAME=value, the value in quotes where it has blanks")
            }
            Self::Unreadable { setting, path, source } => write!(f, "{setting}: cannot read {}: {source}", path.display()),
        }
    }
}

fn remedy(error: &KeyError) -> &'static str {
    match error {
        KeyError::ShortSecret => ", which is unsafe: make one with `openssl rand -base64 36`",
        KeyError::Contradiction { .. } => ": keep the right one",
        _ => ": give it a name",
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Key { source, .. } | Self::KeyAtLine { source, .. } => Some(source),
            Self::RedisUrl { source, .. } => Some(source),
            Self::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}
