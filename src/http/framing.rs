//! Checks a request's head more strictly than hyper, against request smuggling (RFC 9112). Does not know which paths exist.

use hyper::header::{HOST, TRANSFER_ENCODING};
use hyper::{Request, Version};

use crate::http::headers::only;
use crate::http::refusal::Refusal;

/// Refuses `request` if its head is malformed, ambiguous, or longer than `limit` bytes.
pub(crate) fn check<B>(request: &Request<B>, limit: usize) -> Result<(), Refusal> {
    let uri = request.uri();
    // Authority-form (only for CONNECT) and asterisk-form name no path: section 3.2.
    if uri.scheme().is_none() && uri.authority().is_some() || !uri.path().starts_with('/') {
        return Err(Refusal::Framing("the request's target must be a path or an absolute URL"));
    }
    let headers = request.headers();
    match only(headers, HOST) {
        Ok(Some(host)) if is_host(host.as_bytes()) => {}
        Ok(Some(_)) => return Err(Refusal::Framing("the Host header must be a host, with or without a port")),
        Ok(None) if request.version() != Version::HTTP_11 => {}
        _ => return Err(Refusal::Framing("an HTTP/1.1 request must have exactly one Host header")),
    }
    match only(headers, TRANSFER_ENCODING) {
        Ok(None) => {}
        Ok(Some(coding)) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {}
        _ => return Err(Refusal::Framing("Transfer-Encoding must be exactly chunked, and appear only once")),
    }
    // The head's size on the wire, without optional white space.
    let target = uri.path_and_query().map_or(1, |target| target.as_str().len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len().saturating_add("http://".len()));
    let first_line = [request.method().as_str().len(), authority, target, "  HTTP/1.1\r\n\r\n".len()];
    let lines = headers.iter().flat_map(|(name, value)| [name.as_str().len(), value.len(), ": \r\n".len()]);
    if first_line.into_iter().chain(lines).sum::<usize>() > limit { Err(Refusal::HeadTooLarge) } else { Ok(()) }
}

/// Section 3.2: a name, or an address in brackets (RFC 3986, section 3.2.2), and perhaps a port. Empty if the target has no
/// authority.
fn is_host(value: &[u8]) -> bool {
    let is_mark = |byte: &u8| matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\''..=b',' | b';' | b'=');
    let is_name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || is_mark(byte);
    let length = |bytes: &[u8]| bytes.iter().take_while(|byte| is_name_byte(byte) || **byte == b':').count();
    let (host, port) = match value.strip_prefix(b"[") {
        Some(address) => {
            let (address, port) = address.split_at(length(address));
            let Some(port) = port.strip_prefix(b"]") else { return false };
            (address, port)
        }
        None => value.split_at(value.iter().take_while(|byte| is_name_byte(byte)).count()),
    };
    match (host, port) {
        (_, []) => !host.is_empty() || value.is_empty(),
        (_, [b':', port @ ..]) => !host.is_empty() && port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn hosts() {
        for host in [
            "",
            "a",
            "localhost:6080",
            "example.com.",
            "127.0.0.1:80",
            "a:",
            "[::1]",
            "[::1]:80",
            "[::ffff:1.2.3.4]:",
            "x%41",
            "a_b",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            ":", ":80", "a:b", "a:80:80", "a b", "user@a", "a/b", "a?b", "a#b", "[", "[]", "[::1", "::1", "[::1]x", "[::1]:x",
            "]", "a,b c", "a\\b", "\u{fc}", "a\t",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
