//! Owns what a request's head must be beyond what hyper sees to: its size, one host, one target that names a path here, and one
//! way to tell where the body ends (RFC 9112). Whoever passes no other judge can smuggle no request past this one.

use hyper::header::{HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::http::uri::Authority;
use hyper::{Request, Version};

use crate::http::reply::Refusal;

/// Judges `request`, whose head may have `limit` bytes.
pub(crate) fn check<B>(request: &Request<B>, limit: usize) -> Result<(), Refusal> {
    let uri = request.uri();
    // Authority-form (only for CONNECT) and asterisk-form name no path: section 3.2.
    if uri.scheme().is_none() && uri.authority().is_some() || !uri.path().starts_with('/') {
        return Err(Refusal::Framing("the request's target must be a path or an absolute URL"));
    }
    let target = uri.path_and_query().map_or(1, |target| target.as_str().len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len().saturating_add("http://".len()));
    let first_line = [request.method().as_str().len(), authority, target, "  HTTP/1.1\r\n\r\n".len()];
    // The head's size on the wire, but for optional white space.
    let mut bytes = first_line.into_iter().fold(0, usize::saturating_add);
    let mut hosts = 0_usize;
    let mut codings = 0_usize;
    for (name, value) in request.headers() {
        bytes = [name.as_str().len(), value.len(), ": \r\n".len()].into_iter().fold(bytes, usize::saturating_add);
        if name == HOST {
            hosts = hosts.saturating_add(1);
            if !is_host(value) {
                return Err(Refusal::Framing("the Host header must be a host and perhaps a port"));
            }
        } else if name == TRANSFER_ENCODING {
            codings = codings.saturating_add(1);
            if codings > 1 || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::Framing("Transfer-Encoding must be chunked, once, and nothing else"));
            }
        }
    }
    if bytes > limit {
        return Err(Refusal::HeadTooLarge);
    }
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err(Refusal::Framing("HTTP/1.1 wants one Host header"));
    }
    Ok(())
}

/// Section 3.2: empty where the target has no authority.
fn is_host(value: &HeaderValue) -> bool {
    value.is_empty() || Authority::try_from(value.as_bytes()).is_ok_and(|authority| !authority.as_str().contains('@'))
}
