//! Finds the address of a client behind reverse proxies: `X-Forwarded-For`, or `Forwarded` (RFC 7239), if a trusted proxy sent it. Does
//! not know what the address is used for.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hyper::header::{FORWARDED, HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::http::proxy_header::is_port_number;

/// Stands for an address that cannot be read.
const UNREADABLE: &str = "unknown";
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A trusted proxy's address, or a network of trusted proxies.
///
/// ```
/// use roomkey::http::ProxyNetwork;
///
/// let network: ProxyNetwork = "10.0.0.0/8".parse()?;
/// assert_eq!(network.to_string(), "10.0.0.0/8");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyNetwork(IpNet);

/// An address, or a network in CIDR notation (RFC 4632, section 3.1) without host bits.
impl FromStr for ProxyNetwork {
    type Err = MalformedNetwork;

    fn from_str(text: &str) -> Result<Self, MalformedNetwork> {
        let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
        let network = address.or_else(|_| text.parse()).or(Err(MalformedNetwork))?;
        // Connections over IPv4 never have the mapped form.
        let is_mapped = matches!(network, IpNet::V6(network) if network.addr().to_ipv4_mapped().is_some());
        if network == network.trunc() && !is_mapped { Ok(Self(network)) } else { Err(MalformedNetwork) }
    }
}

impl fmt::Display for ProxyNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text is neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is neither an address nor a network, such as 10.0.0.0/8, whose bits after the prefix must be zero")]
#[non_exhaustive]
pub struct MalformedNetwork;

/// The proxies whose headers are believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies(Vec<ProxyNetwork>);

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<ProxyNetwork>) -> Self {
        Self(networks)
    }

    /// Whether a proxy with this `address` is believed.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.0.contains(&address))
    }

    /// The address of the client whose request came from `peer`: the rightmost one that is not a trusted proxy. If the two headers name
    /// different clients, neither counts.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        let listed = values(headers, X_FORWARDED_FOR).flat_map(|value| value.rsplit(','));
        let listed = self.rightmost(listed.filter(|node| !node.trim().is_empty()));
        let forwarded = self.rightmost(values(headers, FORWARDED).flat_map(forwarded_for));
        match (listed, forwarded) {
            (Some(listed), Some(forwarded)) if listed != forwarded => peer,
            (client, None) | (None, client) | (client, Some(_)) => client.unwrap_or(peer),
        }
    }

    /// Walks from the right towards the client while the addresses are trusted. An address that cannot be read ends the walk, because
    /// nothing to its left can be believed.
    fn rightmost<'a>(&self, from_right: impl Iterator<Item = &'a str>) -> Option<IpAddr> {
        let mut nearest = None;
        for node in from_right {
            let Some(address) = node_address(node) else { break };
            nearest = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        nearest
    }
}

/// The values of all headers `name`, the last first. One that is not text stands for an address that cannot be read.
fn values(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values: Vec<&str> = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or(UNREADABLE)).collect();
    values.into_iter().rev()
}

/// The `for` of each element of a `Forwarded` header, the last first. Empty elements are left out.
fn forwarded_for(value: &str) -> impl Iterator<Item = &str> {
    let mut elements = vec![None];
    let (mut is_quoted, mut is_escaped, mut begin) = (false, false, 0);
    for (at, each) in value.char_indices().chain([(value.len(), ',')]) {
        match each {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ';' | ',' if !is_quoted => {
                let pair = value.get(begin..at).unwrap_or_default().trim();
                begin = at.saturating_add(1);
                let (name, node) = pair.split_once('=').unwrap_or((pair, ""));
                if let Some(element) = elements.last_mut().filter(|_| !pair.is_empty()) {
                    let is_for = name.trim().eq_ignore_ascii_case("for");
                    *element = if is_for { Some(node.trim().trim_matches('"')) } else { element.or(Some(UNREADABLE)) };
                }
                if each == ',' {
                    elements.push(None);
                }
            }
            _ => {}
        }
    }
    if is_quoted { vec![Some(UNREADABLE)] } else { elements }.into_iter().rev().flatten()
}

/// The address of a node, which may have a port (RFC 7239, section 6): `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn node_address(node: &str) -> Option<IpAddr> {
    let node = node.trim();
    let address = match node.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(bracketed) => {
            let (address, port) = bracketed?;
            address.parse::<Ipv6Addr>().ok().filter(|_| port.is_empty() || port.strip_prefix(':').is_some_and(is_port))?.into()
        }
        None => node.parse().ok().or_else(|| {
            let (address, port) = node.split_once(':')?;
            address.parse::<Ipv4Addr>().ok().filter(|_| is_port(port)).map(IpAddr::from)
        })?,
    };
    Some(address.to_canonical())
}

/// A number, or a name that stands for one (section 6.3).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
        None => is_port_number(text),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]

    use hyper::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{MalformedNetwork, ProxyNetwork, TrustedProxies};

    /// The client of a request from `peer` with `headers`, where 10.0.0.0/8 and 2001:db8::/64 are trusted.
    fn client(peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/64".parse().unwrap()]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        proxies.client(peer.parse().unwrap(), &map).to_string()
    }

    const LISTED: &str = "x-forwarded-for";

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(client("192.0.2.9", &[(LISTED, "198.51.100.1")]), "192.0.2.9");
        assert_eq!(client("10.0.0.1", &[(LISTED, "198.51.100.1")]), "198.51.100.1");
        assert_eq!(client("2001:db8::5", &[(LISTED, "198.51.100.1")]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn the_rightmost_untrusted_address_counts() {
        for (value, expected) in [
            ("198.51.100.1, 10.0.0.2", "198.51.100.1"),
            ("203.0.113.7, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("198.51.100.1:4711", "198.51.100.1"),
            ("[2001:db8:1::2]:443", "2001:db8:1::2"),
            ("[2001:db8:1::2]", "2001:db8:1::2"),
            ("2001:db8:1::2", "2001:db8:1::2"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
            ("::ffff:10.0.0.3", "10.0.0.3"),
            ("198.51.100.1:65536", "10.0.0.1"),
            ("fe80::1%eth0", "10.0.0.1"),
            ("198.51.100.1, unknown", "10.0.0.1"),
            ("198.51.100.1, unknown, 10.0.0.2", "10.0.0.2"),
            ("198.51.100.1,", "198.51.100.1"),
            (" , 198.51.100.1,,", "198.51.100.1"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[(LISTED, value)]), expected, "{value}");
        }
        assert_eq!(client("10.0.0.1", &[(LISTED, "203.0.113.7"), (LISTED, "198.51.100.1, 10.0.0.2")]), "198.51.100.1");
    }

    #[test]
    fn forwarded_is_read_like_rfc_7239_says() {
        for (value, expected) in [
            ("for=198.51.100.1", "198.51.100.1"),
            ("For=\"[2001:db8:1::2]:4711\"", "2001:db8:1::2"),
            ("for=203.0.113.7, for=198.51.100.1;proto=https;by=10.0.0.2, for=10.0.0.2", "198.51.100.1"),
            ("by=\"a, for=203.0.113.7\";for=198.51.100.1", "198.51.100.1"),
            ("by=\"a\\\", for=203.0.113.7\";for=198.51.100.1", "198.51.100.1"),
            ("for=198.51.100.1, proto=https", "10.0.0.1"),
            ("for=198.51.100.1:_x.y", "198.51.100.1"),
            ("for=\"[::ffff:198.51.100.1]:_p\"", "198.51.100.1"),
            ("for=198.51.100.1:_", "10.0.0.1"),
            ("for=198.51.100.1:", "10.0.0.1"),
            ("for=\"[2001:db8:1::2\"", "10.0.0.1"),
            ("for=\"[198.51.100.1]\"", "10.0.0.1"),
            ("for=203.0.113.7, for=unknown", "10.0.0.1"),
            ("for=203.0.113.7, for=_hidden, for=10.0.0.2", "10.0.0.2"),
            ("for = 198.51.100.1 ; proto=https", "198.51.100.1"),
            (",, for=198.51.100.1 ,", "198.51.100.1"),
            ("for=\", for=198.51.100.1", "10.0.0.1"),
            ("for=\", for=\"[2001:db8:1::2]\"", "10.0.0.1"),
            ("for=_hidden", "10.0.0.1"),
            ("for=198.51.100.1, for=\"", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[("forwarded", value)]), expected, "{value}");
        }
        let lines = [("forwarded", "for=203.0.113.7, for=\""), ("forwarded", "for=198.51.100.1, for=10.0.0.2")];
        assert_eq!(client("10.0.0.1", &lines), "198.51.100.1", "the lines are one list");
    }

    #[test]
    fn headers_that_disagree_do_not_count() {
        let both = |listed, forwarded| client("10.0.0.1", &[(LISTED, listed), ("forwarded", forwarded)]);
        assert_eq!(both("198.51.100.1", "for=198.51.100.1"), "198.51.100.1");
        assert_eq!(both("198.51.100.1", "for=203.0.113.7"), "10.0.0.1");
        for unnamed in ["proto=https", "", "for=_hidden", "for=unknown"] {
            assert_eq!(both("198.51.100.1", unnamed), "198.51.100.1", "{unnamed}");
        }
        assert_eq!(both("unknown", "for=203.0.113.7"), "203.0.113.7");
    }

    #[test]
    fn a_network_has_no_host_bits() {
        for text in ["10.0.0.1", "::1", "10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32"] {
            assert!(text.parse::<ProxyNetwork>().is_ok(), "{text}");
        }
        for text in [
            "",
            "*",
            "localhost",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0-10.0.0.9",
            "::ffff:10.0.0.0/104",
            "[::1]",
            "10.0.0.1:80",
        ] {
            assert_eq!(text.parse::<ProxyNetwork>(), Err(MalformedNetwork), "{text}");
        }
    }
}
