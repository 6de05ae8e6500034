//! The credentials in a request's headers. Does not know whose they are.

use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};

use crate::livekit::key::ApiKeys;

const SCHEME: &[u8] = b"Bearer";

/// What a request brings, as far as it can prove who is calling.
pub(crate) struct Credentials<'a> {
    pub(crate) headers: &'a HeaderMap,
    /// Whether the page that sends the request may use its cookies. If not, they count as not sent.
    pub(crate) may_use_cookies: bool,
    /// Whether a trusted proxy set the headers of `proxy` callers.
    pub(crate) is_from_trusted_proxy: bool,
    /// The room that the request asks for, as far as it is known.
    pub(crate) room: Option<&'a str>,
    /// LiveKit's keys. What they sign is for LiveKit, and never a caller's credential.
    pub(crate) livekit_keys: &'a ApiKeys,
    /// The headers that tell the application about the request. Called only if it is asked.
    pub(crate) passed_on: &'a (dyn Fn() -> HeaderMap + Sync),
}

impl<'a> Credentials<'a> {
    /// The token in `Authorization: Bearer` (RFC 6750, section 2.1), if there is one.
    pub(crate) fn bearer(&self) -> Result<Option<Bearer<'a>>, BearerError> {
        let Some(header) = self.authorization()? else { return Ok(None) };
        let token = header.as_bytes().split_at_checked(SCHEME.len()).and_then(|(scheme, rest)| match rest {
            [b' ', rest @ ..] if scheme.eq_ignore_ascii_case(SCHEME) => visible(without_blanks(rest)),
            _ => None,
        });
        token.map(|token| Some(Bearer { header, token })).ok_or(BearerError::NotBearer)
    }

    fn authorization(&self) -> Result<Option<&'a HeaderValue>, BearerError> {
        let mut headers = self.headers.get_all(AUTHORIZATION).iter();
        match (headers.next(), headers.next()) {
            (_, Some(_)) => Err(BearerError::Several),
            (header, None) => Ok(header),
        }
    }

    /// The cookies that `names` lists, as a `Cookie` header has them; `None` if there is none, or if cookies do not count.
    pub(crate) fn cookies(&self, names: &[String]) -> Option<HeaderValue> {
        let cookies = cookies_named(self.headers, names).filter(|_| self.may_use_cookies).collect::<Vec<_>>().join(&b"; "[..]);
        HeaderValue::from_bytes(&cookies).ok().filter(|_| !cookies.is_empty())
    }

    /// The value of a header that a proxy set, without blanks around it; `None` unless there is exactly one, and not empty.
    pub(crate) fn only(&self, name: &HeaderName) -> Option<&'a [u8]> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().filter(|_| values.next().is_none())?.as_bytes().trim_ascii();
        if value.is_empty() { None } else { Some(value) }
    }
}

/// The cookies in `headers` that `names` lists, each as `name=value` (RFC 6265, section 4.2.1), in their order.
pub(crate) fn cookies_named<'a>(headers: &'a HeaderMap, names: &'a [String]) -> impl Iterator<Item = &'a [u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).filter(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default().trim_ascii_end();
        parts.next().is_some() && names.iter().any(|each| each.as_bytes() == name)
    })
}

fn without_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

/// The text, unless it is empty or has a character that is not visible.
pub(super) fn visible(text: &[u8]) -> Option<&[u8]> {
    // Without a way out of the loop, it looks at many bytes at a time.
    let is_visible = text.iter().fold(!text.is_empty(), |all, byte| all & byte.is_ascii_graphic());
    is_visible.then_some(text)
}

/// A bearer token, and the header that it came in.
#[derive(Clone, Copy)]
pub(crate) struct Bearer<'a> {
    pub(crate) header: &'a HeaderValue,
    /// Only visible ASCII.
    token: &'a [u8],
}

impl<'a> Bearer<'a> {
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.token
    }

    pub(crate) fn text(&self) -> &'a str {
        str::from_utf8(self.token).unwrap_or_default()
    }
}

/// Why an `Authorization` header is not a bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BearerError {
    #[error("there is more than one Authorization header")]
    Several,
    #[error("Authorization is not Bearer and a token")]
    NotBearer,
}
