//! Signs and verifies compact JWS with HMAC-SHA256 ([RFC 7515], [RFC 7518, section 3.2]). There is no other algorithm here, so a
//! token cannot ask for one. Does not know what a payload means.
//!
//! [RFC 7515]: https://www.rfc-editor.org/rfc/rfc7515
//! [RFC 7518, section 3.2]: https://www.rfc-editor.org/rfc/rfc7518#section-3.2

mod base64url;
mod digest_base64;
mod mac;
mod payload;
mod unverified;

use std::fmt;

#[cfg(feature = "server")]
pub(crate) use base64url::decode;
use base64url::{encode, encoded};
pub(crate) use digest_base64::encode as encode_digest;
#[cfg(feature = "server")]
use mac::DIGEST_BYTES;
use mac::{BLOCK, Hmac, Mac};
pub(crate) use mac::{sha256, to_bytes};
pub use payload::Payload;
pub use unverified::Unverified;

/// `{"alg":"HS256","typ":"JWT"}` in base64url, and the dot after it: the only header that is written, and the one that most tokens
/// have.
pub(crate) const HEAD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.";

/// Characters of a token after the signing input: a dot and the MAC.
const MAC_PART: usize = 1 + digest_base64::CHARS;

/// A secret, ready to sign and verify.
///
/// It keeps only the keyed state of HMAC, never the secret, and wipes it when it is dropped.
#[derive(Clone)]
pub struct Key(Hmac);

impl Key {
    /// The key of `secret`; `None` if that is empty. RFC 7518 requires at least 32 bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Option<Self> {
        if secret.is_empty() { None } else { Some(Self(Hmac::new(secret))) }
    }

    /// The MAC of `message`.
    #[cfg(feature = "server")]
    pub(crate) fn mac(&self, message: &[u8]) -> [u8; DIGEST_BYTES] {
        to_bytes(self.0.words(message))
    }

    /// Whether `signature` is the MAC of `message`. Compares in constant time.
    #[cfg(feature = "server")]
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature: Result<[u8; DIGEST_BYTES], _> = signature.try_into();
        signature.is_ok_and(|signature| self.0.mac(message) == Mac::new(signature.into()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(<redacted>)")
    }
}

/// Keys are equal if they make the same MAC, which is compared in constant time.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.mac(b"") == other.0.mac(b"")
    }
}

impl Eq for Key {}

/// Signs payloads that all begin with the same bytes, which are encoded and hashed only once. It also verifies those payloads with less
/// work, whoever signed them.
#[derive(Clone)]
pub struct Signer {
    key: Key,
    /// The key after `hashed` bytes of `head`.
    begun: Hmac,
    hashed: usize,
    /// The encoded header, a dot, and as much of the payload's beginning as fills groups of three bytes.
    head: Vec<u8>,
    /// The last bytes of the payload's beginning, at most two, that are not in `head`.
    rest: Vec<u8>,
}

impl Signer {
    /// A signer of payloads that begin with `beginning`.
    #[must_use]
    pub fn new(key: &Key, beginning: &[u8]) -> Self {
        let (whole, rest) = beginning.as_chunks::<3>();
        let mut head = HEAD.as_bytes().to_vec();
        head.resize(HEAD.len().saturating_add(encoded(whole.as_flattened().len())), 0);
        encode(whole.as_flattened(), head.get_mut(HEAD.len()..).unwrap_or_default());
        let blocks = head.as_chunks::<BLOCK>().0;
        Self { key: key.clone(), begun: key.0.after(blocks), hashed: blocks.as_flattened().len(), rest: rest.to_vec(), head }
    }

    /// The key that signs.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// The token whose payload is the beginning and what `write` appends.
    pub fn sign(&self, write: impl FnOnce(&mut Payload)) -> String {
        let payload = self.payload(write);
        let mut token = Vec::with_capacity(self.length(&payload));
        self.append(&payload, &mut token);
        String::from_utf8(token).unwrap_or_default() // it is all ASCII
    }

    /// Appends to `out` the token that [`sign`](Self::sign) returns.
    #[cfg(feature = "server")]
    pub(crate) fn sign_into(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Payload)) {
        let payload = self.payload(write);
        out.reserve(self.length(&payload));
        self.append(&payload, out);
    }

    #[inline]
    fn payload(&self, write: impl FnOnce(&mut Payload)) -> Payload {
        let mut payload = Payload::new();
        payload.extend_from_slice(&self.rest);
        write(&mut payload);
        payload
    }

    /// How many characters the token of `payload` has.
    fn length(&self, payload: &Payload) -> usize {
        self.head.len().saturating_add(encoded(payload.as_bytes().len())).saturating_add(MAC_PART)
    }

    fn append(&self, payload: &Payload, out: &mut Vec<u8>) {
        let hashed = out.len().saturating_add(self.hashed);
        out.extend_from_slice(&self.head);
        let (start, end) = (out.len(), out.len().saturating_add(encoded(payload.as_bytes().len())));
        out.resize(end.saturating_add(MAC_PART), 0);
        encode(payload.as_bytes(), out.get_mut(start..).unwrap_or_default());
        let mac = self.begun.words_in_place(out.get_mut(hashed..).unwrap_or_default(), end.saturating_sub(hashed));
        if let Some([dot, characters @ ..]) = out.last_chunk_mut::<MAC_PART>() {
            (*dot, *characters) = (b'.', encode_digest::<b'-', b'_'>(mac));
        }
    }

    /// The MAC of `signing_input`.
    fn mac(&self, signing_input: &[u8]) -> Mac {
        let rest = self.head.get(..self.hashed).and_then(|hashed| signing_input.strip_prefix(hashed));
        rest.map_or_else(|| self.key.0.mac(signing_input), |rest| self.begun.mac(rest))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(<redacted>)")
    }
}

/// Why a token is not a JWS that its key made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not three non-empty parts of base64url, joined by dots.
    #[error("not three non-empty parts of base64url")]
    Malformed,
    /// A part is not base64url as it would be written: its length or its last bits are wrong, or the signature is not 32 bytes long.
    #[error("a part is not canonical base64url")]
    Encoding,
    /// The header is not a JSON object, or names a parameter twice.
    #[error("the header is not a JSON object with unique names")]
    Header,
    /// The header's `alg` is not exactly `HS256`.
    #[error("the algorithm is not HS256")]
    Algorithm,
    /// The header has `crit`, which demands extensions that this reader does not have.
    #[error("the header has critical parameters")]
    Critical,
    /// Another secret made the signature, or the token was changed.
    #[error("the signature was made with another secret or the token was changed")]
    Signature,
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use base64::Engine;

    use super::*;
    use crate::jws::base64url::BASE64URL;

    #[test]
    fn the_header_constant_says_what_it_should() {
        assert_eq!(BASE64URL.decode(HEAD.trim_end_matches('.')).unwrap(), br#"{"alg":"HS256","typ":"JWT"}"#);
    }

    #[test]
    fn a_signer_agrees_with_itself_whatever_the_beginning() {
        let key = Key::new(b"secret").unwrap();
        let payload = [b'x'; 200];
        let whole = Signer::new(&key, b"").sign(|out| out.extend_from_slice(&payload));
        for at in 0..payload.len() {
            let (beginning, end) = payload.split_at(at);
            assert_eq!(Signer::new(&key, beginning).sign(|out| out.extend_from_slice(end)), whole, "at {at}");
        }
        assert_eq!(Unverified::parse(&whole).unwrap().verify(&key).unwrap(), payload);
    }

    #[test]
    fn a_payload_of_any_length_is_signed_as_it_is_verified() {
        let key = Key::new(b"secret").unwrap();
        let payload = [b'x'; 500];
        for length in 1..payload.len() {
            let token = Signer::new(&key, b"").sign(|out| out.extend_from_slice(&payload[..length]));
            assert_eq!(token.capacity(), token.len(), "{length} bytes");
            assert_eq!(Unverified::parse(&token).unwrap().verify(&key).unwrap(), &payload[..length]);
        }
    }

    #[test]
    fn keys_are_equal_by_their_secret() {
        assert_eq!(Key::new(b"a"), Key::new(b"a"));
        assert_ne!(Key::new(b"a"), Key::new(b"b"));
        assert_eq!(Key::new(b""), None);
    }
}
