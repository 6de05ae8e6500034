//! Headers of common forms. Does not know any path or endpoint.

use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// A header appears more than once.
#[derive(Debug)]
pub(crate) struct Repeated;

/// The only value of the header `name`, if there is one.
pub(crate) fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&HeaderValue>, Repeated> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Repeated),
    }
}

/// The parts of the header `name`, which is a list and may appear several times (RFC 9110, section 5.6.1).
pub(crate) fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// The media type in a `Content-Type`, without parameters.
pub(crate) fn media_type(content_type: &HeaderValue) -> &str {
    content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// The methods that a path takes. Each takes `OPTIONS` too.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Methods {
    /// `GET` and `HEAD`.
    Get,
    Post,
}

impl Methods {
    /// As `Allow` and error messages list them.
    pub(crate) fn list(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD, OPTIONS",
            Self::Post => "POST, OPTIONS",
        }
    }

    pub(crate) fn contains(self, method: &Method) -> bool {
        match (self, method) {
            (_, &Method::OPTIONS) => true,
            (Self::Get, method) => [Method::GET, Method::HEAD].contains(method),
            (Self::Post, method) => method == Method::POST,
        }
    }

    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.list())
    }
}
