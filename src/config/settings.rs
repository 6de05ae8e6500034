//! The table of the server's settings. Each row is the flag, the variable, the default, the help and the parser of one setting.
//! The settings of the keys are in `keys`. Does not know how a value is found or parsed.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing::Level;
use zeroize::Zeroizing;

use crate::config::lookup::Setting;
use crate::config::{ConfigError, InboxPlace, KeyFlags, Keys, LogFormat, Variables, values};
use crate::http::{Bind, Cors, ProxyNetwork};
use crate::policy::check::Surroundings;

const DEFAULT_PORT: &str = "6080";
pub(super) const DEFAULT_INBOX: &str = "sqlite:roomkey.db";
pub(crate) const DEFAULT_LIVEKIT_URL: &str = "ws://localhost:7880";

/// Declares [`Flags`] and [`Config`] with one field for each row. A row is:
///
/// ```text
/// name: type of the flag => type of the value, (attributes of the flag) [variable and its format for the help, default]
///     help, parser
/// ```
///
/// After these come the secrets, which have no flag: name: type of the value, `[variable]`, parser. Their help is `HELP_ON_SECRETS`.
macro_rules! settings {
    ($($name:ident: $flag:ty => $type:ty, ($($attribute:ident = $setting:expr),*) [$variable:literal $($usage:literal)?, $default:expr] $help:literal, $parse:expr;)*
     [without a flag] $($secret:ident: $secret_type:ty, [$secret_variable:literal], $parse_secret:expr;)*) => {
        // The flags. Each has the name of its variable in lower case, without `ROOMKEY_`. This and other structs of flags have no doc
        // comment, because it would become the description of each command that has the flags.
        #[derive(Clone, Default, clap::Args)]
        pub(crate) struct Flags {
            $(#[arg(long, $($attribute = $setting,)* help = format!("{} [default: {}] [env: {}]", $help, $default, concat!($variable $(, $usage)?)))]
            $name: $flag,)*
            #[command(flatten)]
            keys: KeyFlags,
        }

        pub(crate) struct Config {
            pub(crate) keys: Keys,
            $(pub(crate) $name: $type,)*
            $($secret: $secret_type,)*
        }

        impl Config {
            /// Reads all settings. An error is about the first one that cannot be used.
            pub(crate) fn read(mut flags: Flags, variables: &Variables) -> Result<Self, ConfigError> {
                let config = Self {
                    keys: flags.keys.read(variables)?,
                    $($name: flags.$name(variables)?,)*
                    $($secret: Setting::filled($secret_variable, None, variables).and_then($parse_secret)?,)*
                };
                config.with_sentinel_login()?.checked()
            }
        }

        /// One setting each, for what must not depend on the others. The flag is taken out, because it may be a secret.
        impl Flags {
            $(pub(crate) fn $name(&mut self, variables: &Variables) -> Result<$type, ConfigError> {
                Setting::of($variable, $default, std::mem::take(&mut self.$name), variables).and_then($parse)
            })*
        }
    };
}

settings! {
    server_port: Option<String> => u16, (value_name = "PORT", allow_hyphen_values = true) ["SERVER_PORT", DEFAULT_PORT]
        "The port to listen on",
        |setting| setting.parse("a port from 0 to 65535", |port| port.parse().ok());
    server_bind: Option<String> => Bind, (value_name = "HOST") ["SERVER_BIND", "all interfaces"]
        "The address or host name to listen on",
        |setting| {
            let expected = "an address such as 127.0.0.1 or ::1, or a host name, without a port";
            Ok(setting.optional(expected, values::bind)?.unwrap_or_default())
        };
    livekit_url: Option<String> => String, (value_name = "URL") ["LIVEKIT_URL", DEFAULT_LIVEKIT_URL]
        "Where clients find LiveKit Server",
        |setting| setting.parse(
            "a URL such as wss://livekit.example.com, with ws, wss, http or https, a host, and no user or password",
            values::livekit_url,
        );
    sandbox_id: Vec<String> => Vec<String>, (value_name = "ID") ["SANDBOX_ID" ", separated by commas", "no id is needed"]
        "An id that LiveKit's developmentTokenServer(id, …) must send to get a token; repeat it for more",
        values::sandbox_ids;
    allow_client_egress: Option<String> => bool, (num_args = 0, default_missing_value = "true") ["ALLOW_CLIENT_EGRESS" "=true", "false"]
        "Let clients have their rooms recorded through room_config.egress, at your cost",
        values::boolean;
    token_ttl: Option<String> => Duration, (value_name = "DURATION", allow_hyphen_values = true) ["TOKEN_TTL", "6h"]
        "How long a token is valid, such as 90s, 10m or 2h",
        |setting| setting.parse("a duration of a second or more, such as 90s, 10m or 2h", values::seconds);
    base_path: Option<String> => String, (value_name = "PATH") ["BASE_PATH", "none"]
        "Serve everything below this path, such as /x, for a reverse proxy that does not strip it",
        |setting| Ok(setting.optional("a path such as /x", values::base_path)?.unwrap_or_default());
    max_connections: Option<String> => Option<usize>, (value_name = "NUMBER", allow_hyphen_values = true)
        ["MAX_CONNECTIONS", "what the descriptor limit allows, less 32, at most 100000"]
        "The most connections at once, never more than the default; further ones get a 503",
        |setting| setting.optional("a number from 1 to 100000", values::connections);
    idle_timeout: Option<String> => Duration, (value_name = "DURATION", allow_hyphen_values = true) ["IDLE_TIMEOUT", "75s"]
        "How long a connection may be silent before a request, from 5s to 1h: longer than the proxy in front keeps it",
        |setting| setting.parse("a duration from 5s to 1h, such as 75s or 11m", values::idle_timeout);
    shutdown_delay: Option<String> => Duration, (value_name = "DURATION", allow_hyphen_values = true) ["SHUTDOWN_DELAY", "0s"]
        "How long /readyz says 503 after SIGTERM before anything else changes",
        |setting| setting.parse("a duration such as 0s or 10s", |delay| humantime::parse_duration(delay).ok());
    metrics_bind: Option<String> => Option<SocketAddr>, (value_name = "ADDRESS") ["METRICS_BIND", "off"]
        "The address and port of GET /metrics, and of /healthz and /readyz for probes, such as 127.0.0.1:9464",
        |setting| setting.optional("an address and a port, such as 127.0.0.1:9464", |address| address.parse().ok());
    log_level: Option<String> => Level, (value_name = "LEVEL") ["LOG_LEVEL", "info"]
        "How much is logged: error, warn, info, debug or trace",
        |setting| setting.parse("error, warn, info, debug or trace", values::log_level);
    log_format: Option<String> => LogFormat, (value_name = "FORMAT") ["LOG_FORMAT", "text"]
        "The format of log lines on stderr: text or json",
        |setting| setting.parse("text or json", values::log_format);
    access_log: Option<String> => bool, (num_args = 0, default_missing_value = "true") ["ACCESS_LOG" "=true", "false"]
        "Log a line for each request, at level info",
        values::boolean;
    cors_origin: Vec<String> => Cors, (value_name = "ORIGIN") ["CORS_ORIGIN" ", separated by commas", "any"]
        "An origin whose pages may read the answers, such as `https://app.example.com`, or `https://*.example.com` for all subdomains; repeat it for more",
        values::cors;
    trusted_proxies: Vec<String> => Vec<ProxyNetwork>, (value_name = "NETWORK") ["TRUSTED_PROXIES" ", separated by commas", "none"]
        "A proxy in front, by address or network such as 10.0.0.0/8, whose X-Forwarded-For or Forwarded names the client; repeat it for more",
        values::trusted_proxies;
    proxy_protocol: Option<String> => bool, (num_args = 0, default_missing_value = "true") ["PROXY_PROTOCOL" "=true", "false"]
        "Every connection begins with a header of the PROXY protocol, version 1 or 2; let only the load balancer reach the port",
        values::boolean;
    policy: Option<String> => Option<PathBuf>, (value_name = "FILE") ["ROOMKEY_POLICY", "none: everyone gets a token"]
        "The policy file, which says who gets which token; the server picks up changes",
        |setting| Ok(setting.text().map(PathBuf::from));
    relay: Option<String> => Option<PathBuf>, (value_name = "FILE") ["ROOMKEY_RELAY", "none: events are only kept"]
        "The file of the endpoints to which each event is sent; the server picks up changes",
        |setting| Ok(setting.text().map(PathBuf::from));
    inbox: Option<String> => InboxPlace, (value_name = "PLACE") ["ROOMKEY_INBOX", DEFAULT_INBOX]
        "Where verified webhooks are kept: sqlite:PATH, redis://HOST:PORT, redis+sentinel://HOST:PORT,HOST:PORT/MASTER, rediss instead of redis for TLS, or none; ?replicas=N at the end waits for replicas; put a URL with a password into the variable",
        values::inbox_place;
    sentinel_user: Option<String> => Option<String>, (value_name = "USER") ["ROOMKEY_SENTINEL_USER", "the default user"]
        "The user at the sentinels of a redis+sentinel inbox; its password is the variable ROOMKEY_SENTINEL_PASSWORD",
        |setting| Ok(setting.text());
    inbox_keep: Option<String> => Duration, (value_name = "DURATION") ["ROOMKEY_INBOX_KEEP", "30d"]
        "How long webhooks are kept, such as 12h or 30d",
        |setting| setting.parse("a duration of a second or more, such as 12h or 30d", values::seconds);
    inbox_max_size: Option<String> => u64, (value_name = "SIZE") ["ROOMKEY_INBOX_MAX_SIZE", "4GiB"]
        "How large the inbox grows before its oldest webhooks are deleted, such as 500MiB or 4GiB",
        |setting| setting.parse("a size of 1MiB or more, such as 500MiB or 4GiB", values::inbox_size);
    [without a flag]
    sentinel_password: Option<Zeroizing<String>>, ["ROOMKEY_SENTINEL_PASSWORD"],
        |setting| Ok(setting.text().map(Zeroizing::new));
}

impl Config {
    /// Gives the login at the sentinels to the inbox.
    fn with_sentinel_login(mut self) -> Result<Self, ConfigError> {
        let (user, password) = (self.sentinel_user.as_deref(), self.sentinel_password.take());
        self.inbox = self.inbox.with_sentinel_login(user, password.as_ref().map(|password| password.as_str()))?;
        Ok(self)
    }

    /// The same, if its settings go together.
    fn checked(self) -> Result<Self, ConfigError> {
        if self.relay.is_some() && self.inbox == InboxPlace::None { Err(ConfigError::NothingToRelay) } else { Ok(self) }
    }

    /// What a policy depends on.
    pub(crate) fn surroundings(&self) -> Surroundings {
        Surroundings {
            takes_any_origin: matches!(self.cors_origin, Cors::AnyOrigin),
            trusts_proxies: !self.trusted_proxies.is_empty(),
        }
    }
}

/// Shows no values: a URL of Redis may contain a password.
impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flags").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;
    use crate::inbox::Retention;
    use crate::livekit::access_token::DEFAULT_TTL;

    #[test]
    fn flags_show_no_values() {
        let flags = Flags { inbox: Some("redis://:hushhush@localhost".to_owned()), ..Flags::default() };
        assert_eq!(format!("{flags:?}"), "Flags { .. }");
    }

    #[test]
    fn the_defaults_are_those_of_the_library() {
        let defaults = Retention::default();
        assert_eq!(values::seconds("6h"), Some(DEFAULT_TTL));
        assert_eq!((values::seconds("30d"), values::inbox_size("4GiB")), (Some(defaults.age), Some(defaults.bytes)));
    }
}
