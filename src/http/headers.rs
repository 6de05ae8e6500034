//! Reads headers that must appear only once. Does not know what they mean.

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
