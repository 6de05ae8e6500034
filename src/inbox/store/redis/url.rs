//! Parses the URL of a Redis, or of the sentinels that know it, and never shows a password. Does not connect.

use std::fmt;
use std::str::FromStr;

use form_urlencoded::parse as parse_query;
use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

/// More replicas than anybody waits for.
const MAX_REPLICAS: u8 = 16;
/// Where a sentinel listens if its address has no port.
const SENTINEL_PORT: u16 = 26379;

/// The URL of a Redis: `redis://[USER]:PASSWORD@HOST:PORT/DATABASE`. Only the host is required. Or the URL of the sentinels that know
/// where it is: `redis+sentinel://[USER]:PASSWORD@HOST:PORT,HOST:PORT/MASTER`, with the login of the Redis, not of the sentinels.
/// `rediss` in place of `redis` uses TLS. With `?replicas=N`, an event counts as committed once that many replicas have it.
///
/// ```
/// use roomkey::inbox::RedisUrl;
///
/// let url: RedisUrl = "redis://:hidden@redis.internal/2".parse()?;
/// assert_eq!(url.to_string(), "redis://redis.internal:6379/2");
///
/// let url: RedisUrl = "redis+sentinel://:hidden@one.internal,two.internal:5000/mymaster?replicas=1".parse()?;
/// assert_eq!(url.to_string(), "redis+sentinel://one.internal:26379,two.internal:5000/mymaster?replicas=1");
/// # Ok::<(), roomkey::inbox::MalformedRedisUrl>(())
/// ```
#[derive(Clone)]
pub struct RedisUrl {
    /// The Redis. If there are sentinels, they know its address, and the one here is a sentinel's.
    server: Box<ConnectionInfo>,
    sentinels: Option<Sentinels>,
    replicas: u8,
}

/// The sentinels that know where the primary is.
#[derive(Clone)]
pub(super) struct Sentinels {
    /// At least one.
    pub(super) nodes: Vec<ConnectionInfo>,
    /// The name under which they watch the primary.
    pub(super) primary: String,
}

impl RedisUrl {
    /// The same with a login for the sentinels. Without a `user`, it is that of their default user.
    #[must_use]
    pub fn with_sentinel_login(mut self, user: Option<&str>, password: &str) -> Self {
        let login = RedisConnectionInfo::default().set_password(password);
        let login = if let Some(user) = user { login.set_username(user) } else { login };
        for node in self.sentinels.iter_mut().flat_map(|sentinels| &mut sentinels.nodes) {
            *node = node.clone().set_redis_settings(login.clone());
        }
        self
    }

    pub(super) fn sentinels(&self) -> Option<&Sentinels> {
        self.sentinels.as_ref()
    }

    /// How many replicas must have an event before it counts as committed.
    pub(super) fn replicas(&self) -> u8 {
        self.replicas
    }

    /// For a connection to the node at `address`, or to the URL's own.
    pub(super) fn connection_info(&self, address: Option<ConnectionAddr>) -> ConnectionInfo {
        let address = address.unwrap_or_else(|| self.server.addr().clone());
        ConnectionInfo::clone(&self.server).set_addr(address)
    }

    /// The address of another node, `HOST:PORT`, with the same protocol.
    pub(super) fn node(&self, address: &str) -> Option<ConnectionAddr> {
        let (host, port) = address.rsplit_once(':')?;
        let (host, port) = (host.trim_matches(['[', ']']), port.parse().ok()?);
        let host_or = |own: &str| if host.is_empty() { own.to_owned() } else { host.to_owned() };
        match self.server.addr() {
            ConnectionAddr::Tcp(own, _) => Some(ConnectionAddr::Tcp(host_or(own), port)),
            ConnectionAddr::TcpTls { host: own, .. } => {
                Some(ConnectionAddr::TcpTls { host: host_or(own), port, insecure: false, tls_params: None })
            }
            _ => None,
        }
    }
}

impl FromStr for RedisUrl {
    type Err = MalformedRedisUrl;

    fn from_str(text: &str) -> Result<Self, MalformedRedisUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(MalformedRedisUrl::Form)?;
        let (scheme, has_sentinels) = scheme.strip_suffix("+sentinel").map_or((scheme, false), |scheme| (scheme, true));
        // `#insecure` would turn off the verification of certificates.
        if !matches!(scheme, "redis" | "rediss") || text.contains('#') {
            return Err(MalformedRedisUrl::Form);
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (server, sentinels) = if has_sentinels { watched(scheme, place)? } else { (connection(scheme, place)?, None) };
        Ok(Self { server: Box::new(server), sentinels, replicas: replicas(query)? })
    }
}

/// The connection to `[LOGIN@]HOST[:PORT][/DATABASE]`.
fn connection(scheme: &str, place: &str) -> Result<ConnectionInfo, MalformedRedisUrl> {
    let info = format!("{scheme}://{place}").into_connection_info().or(Err(MalformedRedisUrl::Form))?;
    let (ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. }) = info.addr() else {
        return Err(MalformedRedisUrl::Form);
    };
    if host.is_empty() || info.redis_settings().db() < 0 {
        return Err(MalformedRedisUrl::Form);
    }
    // A batch is larger than a packet, and its last packet should not wait for the others to be acknowledged.
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

/// The Redis that the sentinels in `[LOGIN@]HOST[:PORT],…/MASTER` watch, and the sentinels.
fn watched(scheme: &str, place: &str) -> Result<(ConnectionInfo, Option<Sentinels>), MalformedRedisUrl> {
    let (authority, primary) = place.split_once('/').ok_or(MalformedRedisUrl::NoPrimary)?;
    // Sentinel permits no other names.
    if primary.is_empty() || !primary.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
        return Err(MalformedRedisUrl::NoPrimary);
    }
    let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    if login.contains('@') {
        return Err(MalformedRedisUrl::Form);
    }
    let nodes = hosts.split(',').map(|host| sentinel(scheme, host)).collect::<Result<Vec<_>, _>>()?;
    let (first, _) = hosts.split_once(',').unwrap_or((hosts, ""));
    let server = connection(scheme, &format!("{login}@{first}"))?;
    Ok((server, Some(Sentinels { nodes, primary: primary.to_owned() })))
}

/// The connection to the sentinel at `HOST[:PORT]`, without a login.
fn sentinel(scheme: &str, host: &str) -> Result<ConnectionInfo, MalformedRedisUrl> {
    // The colons of an IPv6 address are in brackets.
    let place = match host.rsplit(']').next() {
        Some(rest) if !rest.contains(':') => format!("{host}:{SENTINEL_PORT}"),
        _ => host.to_owned(),
    };
    if host.is_empty() || place.ends_with(':') {
        return Err(MalformedRedisUrl::Sentinel);
    }
    connection(scheme, &place).or(Err(MalformedRedisUrl::Sentinel))
}

/// The one parameter that a query may have.
fn replicas(query: &str) -> Result<u8, MalformedRedisUrl> {
    let parameters: Vec<_> = parse_query(query.as_bytes()).collect();
    if parameters.iter().any(|(name, _)| name != "replicas") {
        return Err(MalformedRedisUrl::UnknownParameter);
    }
    match &parameters[..] {
        [] => Ok(0),
        [(_, number)] if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            number.parse().ok().filter(|number| *number <= MAX_REPLICAS).ok_or(MalformedRedisUrl::Replicas)
        }
        _ => Err(MalformedRedisUrl::Replicas),
    }
}

impl PartialEq for RedisUrl {
    fn eq(&self, other: &Self) -> bool {
        let login = |info: &ConnectionInfo| {
            let redis = info.redis_settings();
            (redis.db(), redis.username().map(str::to_owned), redis.password().map(str::to_owned))
        };
        let sentinel_logins = |url: &Self| {
            let nodes = url.sentinels.iter().flat_map(|sentinels| &sentinels.nodes);
            nodes.map(login).collect::<Vec<_>>()
        };
        // Everything but the logins is shown.
        self.to_string() == other.to_string()
            && login(&self.server) == login(&other.server)
            && sentinel_logins(self) == sentinel_logins(other)
    }
}

impl Eq for RedisUrl {}

/// Without users and passwords.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if matches!(self.server.addr(), ConnectionAddr::TcpTls { .. }) { "rediss" } else { "redis" };
        match &self.sentinels {
            Some(Sentinels { nodes, primary }) => {
                let nodes: Vec<_> = nodes.iter().map(|node| node.addr().to_string()).collect();
                write!(f, "{scheme}+sentinel://{}/{primary}", nodes.join(","))?;
            }
            None => write!(f, "{scheme}://{}/{}", self.server.addr(), self.server.redis_settings().db())?,
        }
        if self.replicas > 0 { write!(f, "?replicas={}", self.replicas) } else { Ok(()) }
    }
}

/// Without users and passwords.
impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

/// Why a text is not the URL of a Redis. No part of the text is in the message, because it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedRedisUrl {
    /// It is none at all.
    #[error("the URL of the Redis is malformed")]
    Form,
    /// A sentinel cannot be reached at this.
    #[error("a sentinel's address in the URL of the Redis is not HOST, HOST:PORT or [IPV6]:PORT")]
    Sentinel,
    /// Which of the Redis servers that the sentinels watch?
    #[error("the URL of the Redis lacks the name under which the sentinels watch it, such as /mymaster at the end")]
    NoPrimary,
    /// The query has something else than `replicas`.
    #[error("the query in the URL of the Redis has a parameter other than replicas")]
    UnknownParameter,
    /// The query does not say how many replicas.
    #[error("replicas in the URL of the Redis must be one number from 0 to {MAX_REPLICAS}")]
    Replicas,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]

    use super::*;

    #[test]
    fn a_url_shows_no_password() {
        let url: RedisUrl = "rediss://roomkey:hun%24ter2@redis.internal:6380/3".parse().unwrap();
        assert_eq!(url.to_string(), "rediss://redis.internal:6380/3");
        assert_eq!(format!("{url:?}"), "RedisUrl(rediss://redis.internal:6380/3)");
        assert_eq!(url.server.redis_settings().password(), Some("hun$ter2"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "redis:",
            "redis://",
            "redis:///1",
            "redis://:secret@",
            "redis://host:port",
            "redis://host:99999",
            "redis://host/one",
            "redis://host/-1",
            "redis://0.0.0.0",
            "redis://a b",
            "redis+sentinel:a/m",
            "redis+sentinel://user:p@ss@a/m",
            "sentinel://a/m",
            "redis+sentinel+sentinel://a/m",
            "rediss://host#insecure",
            "valkey://host",
            "unix:///redis.sock",
            "http://host",
        ] {
            assert_eq!(text.parse::<RedisUrl>(), Err(MalformedRedisUrl::Form), "{text}");
        }
    }

    #[test]
    fn sentinels_and_replicas_are_read() {
        let shown = |text: &str| text.parse::<RedisUrl>().map(|url| url.to_string());
        for (text, expected) in [
            ("redis+sentinel://a/m", "redis+sentinel://a:26379/m"),
            ("rediss+sentinel://a:1,b,[::1],[::2]:2/a.-_Z?", "rediss+sentinel://a:1,b:26379,::1:26379,::2:2/a.-_Z"),
            ("redis+sentinel://user:p%40ss@a,b/m?replicas=2", "redis+sentinel://a:26379,b:26379/m?replicas=2"),
            ("redis://a?replicas=16", "redis://a:6379/0?replicas=16"),
            ("rediss://:hidden@a:1/2?replicas=0", "rediss://a:1/2"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
        use MalformedRedisUrl::{NoPrimary, Replicas, Sentinel, UnknownParameter};
        for (text, expected) in [
            ("redis+sentinel://a", NoPrimary),
            ("redis+sentinel://a/", NoPrimary),
            ("redis+sentinel://a/m/0", NoPrimary),
            ("redis+sentinel://a/m%20", NoPrimary),
            ("redis+sentinel:///m", Sentinel),
            ("redis+sentinel://a,,b/m", Sentinel),
            ("redis+sentinel://a:/m", Sentinel),
            ("redis+sentinel://a:port/m", Sentinel),
            ("redis+sentinel://a:65536/m", Sentinel),
            ("redis+sentinel://::1/m", Sentinel),
            ("redis+sentinel://[::1/m", Sentinel),
            ("redis+sentinel://a/m?replica=1", UnknownParameter),
            ("redis://a?replicas=1&x", UnknownParameter),
            ("redis://a?replicas", Replicas),
            ("redis://a?replicas=", Replicas),
            ("redis://a?replicas=+1", Replicas),
            ("redis://a?replicas=%2B1", Replicas),
            ("redis://a?replicas=-1", Replicas),
            ("redis://a?replicas=one", Replicas),
            ("redis://a?replicas=17", Replicas),
            ("redis://a?replicas=1&replicas=1", Replicas),
        ] {
            assert_eq!(shown(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn the_login_of_the_sentinels_is_theirs_alone() {
        let url: RedisUrl = "redis+sentinel://roomkey:hidden@a,b/m".parse().unwrap();
        let login = |info: &ConnectionInfo| {
            let redis = info.redis_settings();
            (redis.username().map(str::to_owned), redis.password().map(str::to_owned))
        };
        let of_sentinels = |url: &RedisUrl| url.sentinels().unwrap().nodes.iter().map(login).collect::<Vec<_>>();
        assert_eq!(of_sentinels(&url), [(None, None), (None, None)]);
        let with_login = url.clone().with_sentinel_login(Some("watcher"), "hushed");
        let theirs = (Some("watcher".to_owned()), Some("hushed".to_owned()));
        assert_eq!(of_sentinels(&with_login), [theirs.clone(), theirs]);
        assert_eq!(login(&with_login.connection_info(None)), (Some("roomkey".to_owned()), Some("hidden".to_owned())));
        assert!(with_login != url && with_login.to_string() == url.to_string());
    }

    #[test]
    fn another_node_has_the_same_protocol() {
        let node = |url: &str, address| url.parse::<RedisUrl>().unwrap().node(address).map(|address| format!("{address:?}"));
        assert_eq!(node("redis://a", "b:7001").as_deref(), Some(r#"Tcp("b", 7001)"#));
        assert_eq!(node("redis://a", ":7001").as_deref(), Some(r#"Tcp("a", 7001)"#));
        assert!(node("rediss://a", "[::1]:7001").is_some_and(|address| address.starts_with(r#"TcpTls { host: "::1""#)));
        assert_eq!(node("redis://a", "b"), None);
    }
}
