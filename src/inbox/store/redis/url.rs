//! Parses the URL of a Redis, and never shows its password. Does not connect.

use std::fmt;
use std::str::FromStr;

use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// The URL of a Redis: `redis://[USER]:PASSWORD@HOST:PORT/DATABASE`. Only the host is required. `rediss://` uses TLS.
///
/// ```
/// use roomkey::inbox::RedisUrl;
///
/// let url: RedisUrl = "redis://:hidden@redis.internal/2".parse()?;
/// assert_eq!(url.to_string(), "redis://redis.internal:6379/2");
/// # Ok::<(), roomkey::inbox::MalformedRedisUrl>(())
/// ```
#[derive(Clone)]
pub struct RedisUrl(Box<ConnectionInfo>);

impl RedisUrl {
    /// For a connection to the node at `address`, or to the URL's own.
    pub(super) fn connection_info(&self, address: Option<ConnectionAddr>) -> ConnectionInfo {
        let address = address.unwrap_or_else(|| self.0.addr().clone());
        ConnectionInfo::clone(&self.0).set_addr(address)
    }

    /// The address of another node, `HOST:PORT`, with the same protocol.
    pub(super) fn node(&self, address: &str) -> Option<ConnectionAddr> {
        let (host, port) = address.rsplit_once(':')?;
        let (host, port) = (host.trim_matches(['[', ']']), port.parse().ok()?);
        let host_or = |own: &str| if host.is_empty() { own.to_owned() } else { host.to_owned() };
        match self.0.addr() {
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
        let is_known = text.starts_with("redis://") || text.starts_with("rediss://");
        // `#insecure` would turn off the verification of certificates.
        if !is_known || text.contains('#') {
            return Err(MalformedRedisUrl);
        }
        let info = text.into_connection_info().or(Err(MalformedRedisUrl))?;
        let (ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. }) = info.addr() else {
            return Err(MalformedRedisUrl);
        };
        if host.is_empty() || info.redis_settings().db() < 0 {
            return Err(MalformedRedisUrl);
        }
        // A batch is larger than a packet, and its last packet should not wait for the others to be acknowledged.
        Ok(Self(Box::new(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))))
    }
}

impl PartialEq for RedisUrl {
    fn eq(&self, other: &Self) -> bool {
        let login = |url: &Self| {
            let redis = url.0.redis_settings();
            (redis.db(), redis.username().map(str::to_owned), redis.password().map(str::to_owned))
        };
        self.0.addr() == other.0.addr() && login(self) == login(other)
    }
}

impl Eq for RedisUrl {}

/// Without user and password.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if matches!(self.0.addr(), ConnectionAddr::TcpTls { .. }) { "rediss" } else { "redis" };
        write!(f, "{scheme}://{}/{}", self.0.addr(), self.0.redis_settings().db())
    }
}

/// Without user and password.
impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

/// The text is not the URL of a Redis. It is not part of the message, because it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the URL of the Redis is malformed")]
#[non_exhaustive]
pub struct MalformedRedisUrl;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]

    use super::*;

    #[test]
    fn a_url_shows_no_password() {
        let url: RedisUrl = "rediss://roomkey:hun%24ter2@redis.internal:6380/3".parse().unwrap();
        assert_eq!(url.to_string(), "rediss://redis.internal:6380/3");
        assert_eq!(format!("{url:?}"), "RedisUrl(rediss://redis.internal:6380/3)");
        assert_eq!(url.0.redis_settings().password(), Some("hun$ter2"));
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
            "rediss://host#insecure",
            "valkey://host",
            "unix:///redis.sock",
            "http://host",
        ] {
            assert_eq!(text.parse::<RedisUrl>(), Err(MalformedRedisUrl), "{text}");
        }
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
