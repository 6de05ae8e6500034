//! The origins that the operator lists: one, or all below a domain. Does not know what a listed origin may do.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// Bytes of a domain name (RFC 1035, section 2.3.4).
const MAX_NAME_BYTES: usize = 253;
/// Schemes that pages do not have.
const SCHEMES_WITHOUT_PAGES: [&str; 4] = ["file", "ftp", "ws", "wss"];

/// An origin as a browser sends it in `Origin` (RFC 6454, section 6.1), or all of its subdomains.
///
/// ```
/// use roomkey::http::AllowedOrigin;
///
/// let origin: AllowedOrigin = "HTTPS://App.Example.com:443/".parse()?;
/// assert_eq!(origin.to_string(), "https://app.example.com");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedOrigin {
    /// With `://`.
    scheme: String,
    /// Whether it stands for all subdomains of the host.
    has_wildcard: bool,
    /// With the port, unless it is the default of the scheme.
    host: String,
}

impl AllowedOrigin {
    /// Whether the `Origin` of a request is this one or, with a wildcard, a subdomain of it.
    pub(crate) fn matches(&self, origin: &[u8]) -> bool {
        let host = origin.strip_prefix(self.scheme.as_bytes());
        if !self.has_wildcard {
            return host == Some(self.host.as_bytes());
        }
        let subdomain = host.and_then(|host| host.strip_suffix(self.host.as_bytes())?.strip_suffix(b"."));
        subdomain.is_some_and(|name| name.len() <= MAX_NAME_BYTES && name.split(|byte| *byte == b'.').all(is_label))
    }
}

fn is_label(label: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    !label.is_empty() && label.iter().all(is_allowed)
}

/// `null`, `https://app.example.com` or `https://*.example.com`. Upper case, the default port, a trailing slash and international
/// names become what a browser sends.
impl FromStr for AllowedOrigin {
    type Err = MalformedOrigin;

    fn from_str(text: &str) -> Result<Self, MalformedOrigin> {
        if text.eq_ignore_ascii_case("null") {
            return Ok(Self { scheme: String::new(), has_wildcard: false, host: "null".to_owned() });
        }
        let has_wildcard = text.contains("://*.");
        let url = parse_url(&text.to_lowercase().replacen("://*.", "://", 1)).ok_or(MalformedOrigin)?;
        let is_domain = matches!(url.host(), Some(Host::Domain(_)));
        // The parser would also remove a path such as `/.`.
        let (_, rest) = text.split_once("://").ok_or(MalformedOrigin)?;
        let is_bare = !rest.strip_suffix('/').unwrap_or(rest).contains(['/', '?', '#']);
        if !is_bare || SCHEMES_WITHOUT_PAGES.contains(&url.scheme()) || has_wildcard && !is_domain {
            return Err(MalformedOrigin);
        }
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self { scheme: format!("{}://", url.scheme()), has_wildcard, host })
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.scheme, if self.has_wildcard { "*." } else { "" }, self.host)
    }
}

/// A text is not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not an origin, such as https://app.example.com or https://*.example.com")]
#[non_exhaustive]
pub struct MalformedOrigin;

/// Parses an absolute URL with a valid host and without a user. Stricter than the parser, which repairs more than other programs
/// that read the URL.
pub(crate) fn parse_url(text: &str) -> Option<Url> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    if authority.is_empty()
        || authority.contains(['@', '%', '\\'])
        || text.contains(|each: char| each.is_whitespace() || each.is_control())
    {
        return None;
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_name = |name: &str| name.bytes().all(is_allowed) && !name.starts_with('.') && !name.contains("..");
    Url::parse(text).ok().filter(|url| match url.host() {
        Some(Host::Domain(name)) => is_name(name),
        other => other.is_some(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]

    use super::*;

    #[test]
    fn an_origin_becomes_what_a_browser_sends() {
        for (text, expected) in [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.Example.COM/", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://app.example.com:80/", "http://app.example.com"),
            ("http://app.example.com:443", "http://app.example.com:443"),
            ("https://app.example.com:08443", "https://app.example.com:8443"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://*.BÜCHER.example:443/", "https://*.xn--bcher-kva.example"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[0:0::1]", "http://[::1]"),
            ("http://127.0.0.1", "http://127.0.0.1"),
            ("Capacitor://localhost", "capacitor://localhost"),
            ("capacitor://localhost/", "capacitor://localhost"),
            ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
            ("Null", "null"),
            ("https://*.example.com:8443", "https://*.example.com:8443"),
        ] {
            assert_eq!(text.parse::<AllowedOrigin>().map(|origin| origin.to_string()), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_origin() {
        for text in [
            "",
            "*",
            "app.example.com",
            "https://",
            "https:///",
            "https:app.example.com",
            "//app.example.com",
            "https://*",
            "https://*.",
            "https://*example.com",
            "https://*..example.com",
            "https://.example.com",
            "https://a..example.com",
            "https://a.*.example.com",
            "https://*.*.example.com",
            "https://app.example.*",
            "*://app.example.com",
            "https://app.example.com:*",
            "https://*.127.0.0.1",
            "https://*.[::1]",
            "https://app.example.com/x",
            "https://app.example.com//",
            "https://app.example.com/.",
            "https://app.example.com/./",
            "https://app.example.com/..",
            "https://app.example.com/?",
            "https://app.example.com?x",
            "https://app.example.com#",
            "https://user@app.example.com",
            "https://user:password@app.example.com",
            "https://@app.example.com",
            "https://app.example.com:99999",
            "https://a b",
            "https://a\tb",
            "https://a,https://b",
            "https:\\\\app.example.com",
            "https://app.example.com\\",
            "https://<host>",
            "https://${HOST}",
            "wss://app.example.com",
            "file://",
            "https://a%2eb",
            "mailto:a",
            "nul",
        ] {
            assert_eq!(text.parse::<AllowedOrigin>(), Err(MalformedOrigin), "{text}");
        }
    }

    #[test]
    fn subdomains_at_any_depth() {
        let origin: AllowedOrigin = "https://*.example.com:8443".parse().unwrap();
        let matches = |text: &str| origin.matches(text.as_bytes());
        for text in ["https://a.example.com:8443", "https://a-1.b_2.example.com:8443", "https://xn--bcher-kva.example.com:8443"] {
            assert!(matches(text), "{text}");
        }
        let long = format!("https://{}.example.com:8443", "a".repeat(254));
        for text in [
            "https://example.com:8443",
            "https://.example.com:8443",
            "https://a.example.com",
            "https://a.example.com:8444",
            "http://a.example.com:8443",
            "https://aexample.com:8443",
            "https://a..example.com:8443",
            "https://A.example.com:8443",
            "https://evil.com/.example.com:8443",
            "https://evil.com:80.example.com:8443",
            "https://u@a.example.com:8443",
            "https://a.example.com:8443.evil.com",
            "https://a.example.com:8443/",
            "https://*.example.com:8443",
            "https://a.example.com:8443, https://b.example.com:8443",
            "null",
            "",
            &long,
        ] {
            assert!(!matches(text), "{text}");
        }
    }
}
