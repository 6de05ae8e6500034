//! Owns CORS (<https://fetch.spec.whatwg.org/#http-cors-protocol>): which pages of other origins may read the answers.

use hyper::HeaderMap;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, HeaderValue,
    ORIGIN, VARY,
};

use crate::http::router::Methods;

const ANY: HeaderValue = HeaderValue::from_static("*");
/// For how long a browser may remember a preflight: a day, in seconds. Browsers cut it to what they like.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");
/// The request headers that pages may set.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, last-event-id, x-sandbox-id");

/// The origins whose pages may read the answers.
#[derive(Clone, Debug, Default)]
pub enum Cors {
    /// All of them.
    #[default]
    AnyOrigin,
    /// These alone, each as a browser writes it: `https://app.example.com`.
    Origins(Vec<HeaderValue>),
}

impl Cors {
    /// Adds to `headers` what lets a page of `origin` read the answer.
    pub(crate) fn admit(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        match self {
            Self::AnyOrigin => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
            }
            Self::Origins(allowed) => {
                headers.append(VARY, HeaderValue::from_static("Origin"));
                if let Some(origin) = origin.filter(|origin| allowed.contains(origin)) {
                    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                }
            }
        }
    }

    /// Adds to `headers` what a preflight asks for.
    pub(crate) fn preflight(&self, methods: Methods, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.header());
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
}

/// The origin of the page that asks.
pub(crate) fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(ORIGIN)
}
