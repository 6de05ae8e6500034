//! Reads what it can of a head that hyper refused, for the headers of the answer and for the log. Validates nothing.

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};

/// The readable parts of a head that is incomplete or malformed.
pub(crate) struct PartialHead {
    pub(crate) request: Request<()>,
    /// Whether the method and the target could be read.
    pub(crate) has_request_line: bool,
}

/// Reads `head` as far as possible.
pub(crate) fn parse(head: &[u8]) -> PartialHead {
    let mut request = Request::new(());
    let mut lines =
        head.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n")).map(<[u8]>::trim_ascii);
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    let (method, target) = (words.next().map(Method::from_bytes), words.next().map(Uri::try_from));
    let has_request_line = matches!((&method, &target), (Some(Ok(_)), Some(Ok(_))));
    if let Some(Ok(method)) = method {
        *request.method_mut() = method;
    }
    if let Some(Ok(target)) = target {
        *request.uri_mut() = target;
    }
    for line in lines.take_while(|line| !line.is_empty()) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii())) {
            let _ = request.headers_mut().try_append(name, value); // a head has fewer lines than the map can hold
        }
    }
    PartialHead { request, has_request_line }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::{PartialHead, parse};

    #[test]
    fn what_can_be_read_of_a_head() {
        let PartialHead { request, has_request_line } = parse(
            b"POST /webhook?x HTTP/1.1\r\nno header\r\nb\xe4d: x\r\nOrigin:  https://a.example \r\nX: \0\r\nX-Request-Id: cut o",
        );
        assert_eq!((request.method().as_str(), request.uri().path(), has_request_line), ("POST", "/webhook", true));
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.headers()["origin"], "https://a.example");
        for head in ["", "\r\n", "\n\n\n", "a", "POST", "P()ST  \r\n", "\0\u{ff} :::\r\n:\r\n: :\r\n\r\na: b\r\n"] {
            let PartialHead { request, has_request_line } = parse(head.as_bytes());
            assert_eq!((request.uri().path(), request.headers().len(), has_request_line), ("/", 0, false), "{head:?}");
        }
    }
}
