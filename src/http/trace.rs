//! What every log line about a request says: its id, its client and its endpoint. Does not know how the request ends.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use tracing::info;

use crate::caller::Caller;
use crate::http::headers::only;
use crate::livekit::access_token::ParticipantToken;
use crate::livekit::key::ApiKey;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Characters of an id that a client or a proxy may set.
const MAX_ID_CHARS: usize = 64;
/// Characters of a caller's subject in a log line.
const SUBJECT_CHARS: usize = 64;

/// The common fields of the log lines about one request.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) request: RequestId,
    pub(crate) client: IpAddr,
    /// The other end of the connection: the client, or a proxy.
    pub(crate) peer: IpAddr,
    /// Its name in metrics.
    pub(crate) endpoint: &'static str,
}

impl Trace {
    /// Logs a token that is handed out, and with a policy to whom and by which rule.
    pub(crate) fn token(&self, token: &ParticipantToken, by: Option<(&Caller, &str)>, key: &ApiKey) {
        info!(
            endpoint = self.endpoint,
            room = token.room(),
            identity = token.identity(),
            key = key.name(),
            caller = by.map(|(caller, _)| &*caller.name),
            subject = by.and_then(|(caller, _)| subject_for_log(caller.subject.as_deref())),
            rule = by.map(|(_, rule)| rule),
            client = %InOnePiece(self.client),
            request = %self.request,
            "token"
        );
    }

    /// Logs that `caller` does not get what it asks for.
    pub(crate) fn denied(&self, caller: &Caller, room: Option<&str>, reason: impl fmt::Display) {
        info!(
            endpoint = self.endpoint,
            caller = &*caller.name,
            subject = subject_for_log(caller.subject.as_deref()),
            room,
            %reason,
            client = %self.client,
            request = %self.request,
            "denied"
        );
    }
}

/// Displays an address as its own `Display` does, but writes it in one piece, which takes the log less time.
pub(crate) struct InOnePiece(pub(crate) IpAddr);

impl fmt::Display for InOnePiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IpAddr::V4(address) = self.0 else { return self.0.fmt(f) };
        let mut text = String::with_capacity("255.255.255.255.".len());
        for octet in address.octets() {
            let digits = [(octet / 100, 100), (octet / 10 % 10, 10), (octet % 10, 0)];
            let shown = digits.into_iter().filter(|(_, least)| octet >= *least);
            text.extend(shown.map(|(digit, _)| char::from(digit.wrapping_add(b'0'))));
            text.push('.');
        }
        text.pop();
        f.write_str(&text)
    }
}

/// The beginning of the caller's subject, which may be long.
pub(crate) fn subject_for_log(subject: Option<&str>) -> Option<&str> {
    let subject = subject?;
    subject.char_indices().nth(SUBJECT_CHARS).map_or(Some(subject), |(end, _)| subject.get(..end))
}

/// Identifies a request in the log and in its answer.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The one in `headers`. It is copied, because a slice of the head would keep all of it in memory.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let id = only(headers, REQUEST_ID).ok()??.as_bytes();
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let is_id = (1..=MAX_ID_CHARS).contains(&id.len()) && id.iter().all(is_plain);
        if is_id { HeaderValue::from_bytes(id).ok().map(Self) } else { None }
    }

    /// A short id that looks different from the one before: the step is odd, so that every value of `counter` comes once.
    pub(crate) fn next(counter: &AtomicU32) -> Self {
        let number = counter.fetch_add(1, Relaxed).wrapping_mul(0x9E37_79B1);
        // As `{number:08x}`, which takes longer.
        let [a, b, c, d] = number.to_be_bytes();
        let digits = [a >> 4, a, b >> 4, b, c >> 4, c, d >> 4, d].map(|byte| match byte % 16 {
            digit @ ..10 => digit.wrapping_add(b'0'),
            digit => digit.wrapping_add(b'a' - 10),
        });
        Self(HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("")))
    }

    pub(crate) fn into_header(self) -> HeaderValue {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_one_piece_look_as_always() {
        let of_octet = (0..=255).flat_map(|octet| [IpAddr::from([octet, 0, 10, 255]), IpAddr::from([192, octet, 1, octet])]);
        for address in of_octet.chain(["::1", "2001:db8::7"].into_iter().filter_map(|address| address.parse().ok())) {
            assert_eq!(InOnePiece(address).to_string(), address.to_string());
        }
    }
}
