//! Reads what it can of a head that hyper refused, for the headers of the answer and for the log. Validates nothing.

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};

/// The readable parts of a `head` that is incomplete or malformed.
pub(crate) fn parse(head: &[u8]) -> Request<()> {
    let mut request = Request::new(());
    let mut lines =
        head.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n")).map(<[u8]>::trim_ascii);
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    if let Some(Ok(method)) = words.next().map(Method::from_bytes) {
        *request.method_mut() = method;
    }
    if let Some(Ok(target)) = words.next().map(Uri::try_from) {
        *request.uri_mut() = target;
    }
    for line in lines.take_while(|line| !line.is_empty()) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii())) {
            let _ = request.headers_mut().try_append(name, value); // a head has fewer lines than the map can hold
        }
    }
    request
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::parse;

    #[test]
    fn what_can_be_read_of_a_head() {
        let request = parse(
            b"POST /webhook?x HTTP/1.1\r\nno header\r\nb\xe4d: x\r\nOrigin:  https://a.example \r\nX: \0\r\nX-Request-Id: cut o",
        );
        assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/webhook"));
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.headers()["origin"], "https://a.example");
        for head in ["", "\r\n", "\n\n\n", "a", "POST", "P()ST  \r\n", "\0\u{ff} :::\r\n:\r\n: :\r\n\r\na: b\r\n"] {
            let request = parse(head.as_bytes());
            assert_eq!((request.uri().path(), request.headers().len()), ("/", 0), "{head:?}");
        }
    }
}
