//! What LiveKit Server sends, and tokens for what it never sends. `fixtures` has the rest.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roomkey::{AccessToken, UnixTime};

use crate::fixtures::{self, HEADER, Recorded, SERVER_KEY, api_key, digest, forge};

/// A key that no server here knows.
pub(crate) const STRANGER: (&str, &str) = ("APIstranger", "a-secret-of-someone-else-0123456789abcdef");

/// A recorded delivery as it came over the wire, to the byte.
pub(crate) fn request_of(delivery: &Recorded) -> Vec<u8> {
    let head = fs::read(delivery.file("head")).unwrap();
    [head, delivery.body.clone()].concat()
}

/// One part of a token, decoded.
pub(crate) fn part(token: &str, index: usize) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()
}

/// A token of the server's key that says this and nothing else: a list of JSON members, or nothing.
pub(crate) fn forge_claims(members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    forge(HEADER, format!(r#"{{"iss":"{}"{comma}{members}}}"#, SERVER_KEY.0))
}

/// What LiveKit Server sends in `Authorization` with `body`, at the time of the fixtures.
pub(crate) fn authorization(body: impl AsRef<[u8]>) -> String {
    authorization_at(fixtures::now(), SERVER_KEY, body)
}

pub(crate) fn authorization_at(now: UnixTime, key: (&str, &str), body: impl AsRef<[u8]>) -> String {
    AccessToken::new().with_sha256(digest(body)).to_jwt(&api_key(key), now).unwrap()
}
