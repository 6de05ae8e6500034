//! Reads tokens: their form, their header, and their MAC. Does not know whose keys there are.

use std::fmt;

use base64::Engine;

use crate::json::{Members, Unambiguous};
use crate::jws::base64url::BASE64URL;
use crate::jws::mac::Mac;
use crate::jws::{Error, HEAD, Key, Signer, digest_base64, to_bytes};

/// A token with the right form and header, whose signature has not been checked.
pub struct Unverified<'a> {
    signing_input: &'a str,
    payload: Vec<u8>,
    mac: Mac,
}

impl<'a> Unverified<'a> {
    /// Checks the form and the header.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not three non-empty parts of base64url; any other error except [`Error::Signature`].
    pub fn parse(token: &'a str) -> Result<Self, Error> {
        Self::read(token).map_err(|error| if has_form(token) { error } else { Error::Malformed })
    }

    fn read(token: &'a str) -> Result<Self, Error> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or(Error::Malformed)?;
        let payload = match signing_input.strip_prefix(HEAD) {
            Some(payload) => payload,
            None => {
                let (header, payload) = signing_input.split_once('.').ok_or(Error::Malformed)?;
                check_header(&BASE64URL.decode(header).or(Err(Error::Encoding))?)?;
                payload
            }
        };
        if payload.is_empty() {
            return Err(Error::Malformed); // the only part that may decode although it is empty
        }
        let mut bytes = Vec::with_capacity(payload.len());
        BASE64URL.decode_vec(payload, &mut bytes).or(Err(Error::Encoding))?;
        let mac = signature.as_bytes().try_into().ok().and_then(digest_base64::decode).ok_or(Error::Encoding)?;
        Ok(Self { signing_input, payload: bytes, mac: Mac::new(to_bytes(mac).into()) })
    }

    /// The payload, which anyone may have written. Use it only to choose a key.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload, if `key` signed it. Compares in constant time.
    ///
    /// # Errors
    /// [`Error::Signature`] if another key signed it, or the token was changed.
    pub fn verify(&self, key: &Key) -> Result<&[u8], Error> {
        self.has(&key.0.mac(self.signing_input.as_bytes()))
    }

    /// Like [`verify`](Self::verify), with the key of `signer`.
    pub(crate) fn verify_by(&self, signer: &Signer) -> Result<&[u8], Error> {
        self.has(&signer.mac(self.signing_input.as_bytes()))
    }

    fn has(&self, mac: &Mac) -> Result<&[u8], Error> {
        if *mac == self.mac { Ok(&self.payload) } else { Err(Error::Signature) }
    }
}

impl fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unverified(<redacted>)")
    }
}

/// Whether `token` is three non-empty parts in the alphabet of base64url (RFC 7515, section 7.1).
fn has_form(token: &str) -> bool {
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_well_formed = |part: &str| !part.is_empty() && part.bytes().all(is_base64url);
    token.split('.').count() == 3 && token.split('.').all(is_well_formed)
}

/// Refuses every header that does not ask for HS256, or that has critical parameters
/// ([RFC 7515, section 4.1.11](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11)).
fn check_header(header: &[u8]) -> Result<(), Error> {
    serde_json::from_slice::<Unambiguous>(header).or(Err(Error::Header))?;
    let header = Members::parse(header).or(Err(Error::Header))?;
    if header.value("crit").is_some() {
        return Err(Error::Critical);
    }
    if header.text("alg").as_deref() == Some("HS256") { Ok(()) } else { Err(Error::Algorithm) }
}
