//! Owns the origins that are let in, one or all below a domain: how a browser writes them, and which requests' origins they
//! are. Does not know what that allows.

use std::fmt;
use std::str::FromStr;

use hyper::header::HeaderValue;
use url::{Host, Url};

/// Bytes of a domain name (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;
/// Schemes that no page has.
const NOT_OF_PAGES: [&str; 4] = ["file", "ftp", "ws", "wss"];

/// An origin, as a browser writes it in `Origin` (RFC 6454, section 6.1), or all of the subdomains of one.
///
/// ```
/// use roomkey::http::AllowedOrigin;
///
/// let origin: AllowedOrigin = "HTTPS://App.Example.com:443/".parse()?;
/// assert_eq!(origin.to_string(), "https://app.example.com");
/// let origin: AllowedOrigin = "https://*.example.com".parse()?;
/// assert!(origin.is_of(&"https://a.b.example.com".parse()?) && !origin.is_of(&"https://example.com".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedOrigin {
    /// With `://`.
    scheme: String,
    /// Stands between the two, with a dot after it.
    has_subdomain: bool,
    /// With the port, unless it is the scheme's own.
    host: String,
}

impl AllowedOrigin {
    /// Whether a request's `origin` is this one, or one of those.
    #[must_use]
    pub fn is_of(&self, origin: &HeaderValue) -> bool {
        let host = origin.as_bytes().strip_prefix(self.scheme.as_bytes());
        if !self.has_subdomain {
            return host == Some(self.host.as_bytes());
        }
        let subdomain = host.and_then(|host| host.strip_suffix(self.host.as_bytes())?.strip_suffix(b"."));
        subdomain.is_some_and(|name| name.len() <= MAX_NAME && name.split(|byte| *byte == b'.').all(is_label))
    }
}

fn is_label(label: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    !label.is_empty() && label.iter().all(is_letter)
}

/// `null`, `https://app.example.com` or `https://*.example.com`. Upper case, a port that is the scheme's own, a slash at the end
/// and international names become what a browser sends.
impl FromStr for AllowedOrigin {
    type Err = MalformedOrigin;

    fn from_str(text: &str) -> Result<Self, MalformedOrigin> {
        if text.eq_ignore_ascii_case("null") {
            return Ok(Self { scheme: String::new(), has_subdomain: false, host: "null".to_owned() });
        }
        let has_subdomain = text.contains("://*.");
        let url = parse_url(&text.to_lowercase().replacen("://*.", "://", 1)).ok_or(MalformedOrigin)?;
        let is_domain = matches!(url.host(), Some(Host::Domain(_)));
        // The parser would take away more than one slash, such as a dot behind it.
        let (_, rest) = text.split_once("://").ok_or(MalformedOrigin)?;
        let is_bare = !rest.strip_suffix('/').unwrap_or(rest).contains(['/', '?', '#']);
        if !is_bare || NOT_OF_PAGES.contains(&url.scheme()) || has_subdomain && !is_domain {
            return Err(MalformedOrigin);
        }
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self { scheme: format!("{}://", url.scheme()), has_subdomain, host })
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.scheme, if self.has_subdomain { "*." } else { "" }, self.host)
    }
}

/// A text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MalformedOrigin;

impl fmt::Display for MalformedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no origin, such as https://app.example.com or https://*.example.com")
    }
}

impl std::error::Error for MalformedOrigin {}

/// The URL that `text` is: absolute, with a host that can be one, and without a user. The parser itself would mend more than
/// what other readers of the URL do.
pub(crate) fn parse_url(text: &str) -> Option<Url> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    if authority.is_empty()
        || authority.contains(['@', '%', '\\'])
        || text.contains(|each: char| each.is_whitespace() || each.is_control())
    {
        return None;
    }
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_name = |name: &str| name.bytes().all(is_letter) && !name.starts_with('.') && !name.contains("..");
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
    fn what_is_no_origin() {
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
        let is_of = |text: &str| origin.is_of(&text.parse().unwrap());
        for text in ["https://a.example.com:8443", "https://a-1.b_2.example.com:8443", "https://xn--bcher-kva.example.com:8443"] {
            assert!(is_of(text), "{text}");
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
            assert!(!is_of(text), "{text}");
        }
    }
}
