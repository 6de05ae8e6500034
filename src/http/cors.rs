//! CORS (<https://fetch.spec.whatwg.org/#http-cors-protocol>): which pages may read the answers. Does not know what they say.

use std::net::Ipv6Addr;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, VARY,
};
use hyper::{HeaderMap, Method, Request};
use url::Host;

use crate::http::headers::{Methods, only};
use crate::http::limits::PREFLIGHT_HEADERS;
use crate::http::origin::{AllowedOrigin, parse_url};

const ANY: HeaderValue = HeaderValue::from_static("*");
/// How long a browser may remember a preflight: a day, in seconds. Browsers apply their own maximum.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");
/// The headers that the answer to a preflight depends on.
const PREFLIGHT_VARY: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
/// The request headers that the endpoints read.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, last-event-id, x-sandbox-id");

/// The origins whose pages may read the answers.
#[derive(Clone, Debug, Default)]
pub enum Cors {
    /// All of them.
    #[default]
    AnyOrigin,
    /// Only these.
    Origins(Vec<AllowedOrigin>),
}

impl Cors {
    /// Adds the headers that let the page that sent `request` read the answer, and with `use_credentials` send the user's cookies to
    /// get it.
    pub(crate) fn admit(&self, request: &HeaderMap, use_credentials: impl FnOnce() -> bool, headers: &mut HeaderMap) {
        match self {
            Self::AnyOrigin => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
            }
            Self::Origins(_) => {
                headers.append(VARY, HeaderValue::from_static("Origin"));
                if let Some(origin) = request.get(ORIGIN).filter(|origin| self.lists(origin)) {
                    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                    if self.lists_site(origin) && use_credentials() {
                        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
                    }
                }
            }
        }
    }

    fn lists(&self, origin: &HeaderValue) -> bool {
        matches!(self, Self::Origins(listed) if listed.iter().any(|each| each.matches(origin.as_bytes())))
    }

    /// Whether `origin` is a listed site. `null` is none, because every page can be made to send it.
    pub(crate) fn lists_site(&self, origin: &HeaderValue) -> bool {
        origin != "null" && self.lists(origin)
    }

    /// Whether the request comes from a listed page, from one on the reader's own machine, or from no page at all.
    pub(crate) fn trusts(&self, headers: &HeaderMap) -> bool {
        only(headers, ORIGIN).is_ok_and(|origin| origin.is_none_or(|origin| self.lists(origin) || is_loopback(origin.as_bytes())))
    }
}

/// Whether `request` only asks whether a page may send another request.
pub(crate) fn is_preflight<B>(request: &Request<B>) -> bool {
    let has = |name| request.headers().contains_key(name);
    request.method() == Method::OPTIONS && has(ORIGIN) && has(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Lets a page that may read the answer send the request that it `asked` for. `methods` are those of the path. If the path does not
/// exist, the requested method is allowed too, so that the page can read the error.
pub(crate) fn grant(methods: Option<Methods>, asked: &HeaderMap, headers: &mut HeaderMap) {
    headers.insert(VARY, PREFLIGHT_VARY);
    if !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        return;
    }
    let is_method = |value: &&HeaderValue| Method::from_bytes(value.as_bytes()).is_ok();
    let asked_method = || asked.get(ACCESS_CONTROL_REQUEST_METHOD).filter(is_method).cloned();
    if let Some(methods) = methods.map(Methods::header).or_else(asked_method) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    if let Some(names) = asked_names(asked) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
}

/// Adds the usual CORS headers to the answer to an `OPTIONS` that is not a preflight.
pub(crate) fn describe(methods: Methods, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.header());
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
}

/// The header names that a preflight asks for. Invalid names are left out, and so is `*`, because it would mean all headers.
fn asked_names(asked: &HeaderMap) -> Option<HeaderValue> {
    let (most, bytes) = PREFLIGHT_HEADERS;
    let lists = asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter().map(HeaderValue::as_bytes);
    let names = lists.flat_map(|list| list.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let names = names.filter(|name| *name != b"*" && HeaderName::from_bytes(name).is_ok());
    let mut list = Vec::new();
    for name in names.take(most) {
        if list.len().saturating_add(name.len()) > bytes {
            break;
        }
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(name);
    }
    if list.is_empty() { None } else { HeaderValue::from_bytes(&list).ok() }
}

/// Whether a page of `origin` comes from the reader's own machine (<https://w3c.github.io/webappsec-secure-contexts/#is-origin-trustworthy>).
fn is_loopback(origin: &[u8]) -> bool {
    let is_bare = |origin: &&str| origin.is_ascii() && !origin.ends_with(':') && origin.matches(['/', '?', '#']).count() == 2;
    let Some(url) = str::from_utf8(origin).ok().filter(is_bare).and_then(parse_url) else { return false };
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address == Ipv6Addr::LOCALHOST,
        None => false,
    };
    is_local && matches!(url.scheme(), "http" | "https")
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_origins() {
        for origin in [
            "http://localhost",
            "https://localhost",
            "http://localhost:3000",
            "HTTP://LocalHost:65535",
            "http://app.localhost:8080",
            "https://a.b-c.localhost",
            "http://127.0.0.1:6080",
            "http://127.255.1.2",
            "http://[::1]",
            "https://[::1]:443",
        ] {
            assert!(is_loopback(origin.as_bytes()), "{origin}");
        }
        for origin in [
            "",
            "null",
            "*",
            "localhost",
            "localhost:3000",
            "//localhost",
            "file://localhost",
            "ws://localhost",
            "https://example.com",
            "http://localhost.example.com",
            "http://notlocalhost",
            "http://.localhost",
            "http://a..localhost",
            "http://example.com/.localhost",
            "http://example.com#.localhost",
            "http://example.com@localhost",
            "http://localhost@example.com",
            "http://localhost:3000@example.com",
            "http://localhost:",
            "http://localhost:+80",
            "http://localhost:65536",
            "http://localhost:80:80",
            "http://localhost/",
            "http://localhost http://localhost",
            "http://localhost, http://localhost",
            "http://localhost.",
            "http://127.0.0.1.example.com",
            "http://128.0.0.1",
            "http://0.0.0.0",
            "http://10.0.0.1",
            "http://[::]",
            "http://[::2]",
            "http://[::1",
            "http://::1",
            "http://[::1]x",
            "http://[::1]x:80",
            "http://[localhost]",
            "http://lo\u{212a}alhost",
        ] {
            assert!(!is_loopback(origin.as_bytes()), "{origin}");
        }
    }
}
