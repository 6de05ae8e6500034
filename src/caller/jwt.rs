//! JWTs of callers (RFC 7519): what their header and claims must be, whoever signed them. Does not know keys, nor the caller's name.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::caller::expectations::ClaimsError;
use crate::caller::jwk::KeyChoiceError;
use crate::caller::settings::Algorithm;
use crate::clock::UnixTime;
use crate::json::{self, Members};
use crate::jws;
use crate::livekit::token_verifier::LEEWAY;

/// Bytes of the longest token. A request's head has at most as many.
const MAX_BYTES: usize = 16 * 1024;
/// The types of tokens that are credentials (RFC 7519, section 5.1; RFC 9068, section 2.1), in any casing (RFC 7515, section 4.1.9).
const TYPES: [&str; 2] = ["JWT", "at+jwt"];

/// A JWT whose signature has not been checked.
pub(crate) struct UnverifiedJwt<'a> {
    /// Header and payload, which are signed.
    pub(crate) signing_input: &'a str,
    header: &'a str,
    payload: Vec<u8>,
    /// `None` if they are not an object with unique names.
    pub(crate) claims: Option<Map<String, Value>>,
    signature: &'a str,
}

/// What a header says that matters: nothing that it says of keys does, except which one is meant.
#[derive(Debug)]
pub(crate) struct JwtHeader {
    pub(crate) alg: Cow<'static, str>,
    pub(crate) kid: Option<String>,
}

impl JwtHeader {
    /// The key that verifies the token, and how, if that is `allowed`.
    pub(crate) fn meant(&self, allowed: &[Algorithm]) -> Result<(Option<&str>, Algorithm), JwtError> {
        let algorithm = Algorithm::named(&self.alg).filter(|algorithm| allowed.contains(algorithm));
        Ok((self.kid.as_deref(), algorithm.ok_or(JwtError::Algorithm)?))
    }
}

impl<'a> UnverifiedJwt<'a> {
    /// `None` if `token` is not three parts of which the second is base64url.
    pub(crate) fn parse(token: &'a str) -> Option<Self> {
        let (signing_input, signature) = token.rsplit_once('.').filter(|_| token.len() <= MAX_BYTES)?;
        let (header, payload) = signing_input.split_once('.').filter(|(_, payload)| !payload.contains('.'))?;
        let payload = jws::decode(payload).ok()?;
        let claims = json::unique(&payload).ok().and_then(object);
        Some(Self { signing_input, header, payload, claims, signature })
    }

    /// Whether it says that `issuer` issued it, even if its claims are refused later.
    pub(crate) fn is_from(&self, issuer: &str) -> bool {
        match &self.claims {
            Some(claims) => claims.get("iss").and_then(Value::as_str) == Some(issuer),
            None => Members::parse(&self.payload).is_ok_and(|members| members.text("iss").as_deref() == Some(issuer)),
        }
    }

    pub(crate) fn header(&self) -> Result<JwtHeader, JwtError> {
        if self.signing_input.starts_with(jws::HEAD) {
            return Ok(JwtHeader { alg: Cow::Borrowed("HS256"), kid: None }); // nearly all sessions have this one
        }
        read_header(self.header)
    }

    pub(crate) fn signature(&self) -> Result<Vec<u8>, JwtError> {
        jws::decode(self.signature).or(Err(JwtError::Encoding))
    }
}

/// Reads a header, and checks that nothing in it demands what is not done here.
pub(crate) fn read_header(base64url: &str) -> Result<JwtHeader, JwtError> {
    let header = jws::decode(base64url).or(Err(JwtError::Encoding))?;
    let mut header = json::unique(&header).ok().and_then(object).ok_or(JwtError::Header)?;
    // Whatever is critical is unknown here, and `b64` changes what is signed (RFC 7797).
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(JwtError::Critical);
    }
    let mut text = |name: &str| match header.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwtError::Header),
    };
    match text("typ")? {
        Some(other) if !TYPES.iter().any(|typ| typ.eq_ignore_ascii_case(&other)) => Err(JwtError::Type),
        _ => Ok(JwtHeader { alg: text("alg")?.ok_or(JwtError::Header)?.into(), kid: text("kid")? }),
    }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(object) = value { Some(object) } else { None }
}

/// When a token is valid (RFC 7519, sections 4.1.4 to 4.1.6).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    /// The later one of `nbf` and `iat`.
    from: Option<UnixTime>,
    pub(crate) expiry: UnixTime,
}

impl Validity {
    pub(crate) fn of(claims: &Map<String, Value>) -> Result<Self, JwtError> {
        let time = |name| claims.get(name).map(UnixTime::deserialize).transpose().or(Err(JwtError::Time));
        let expiry = time("exp")?.ok_or(JwtError::NoExpiry)?;
        Ok(Self { from: time("nbf")?.max(time("iat")?), expiry })
    }

    /// Checks that the token is valid at `now`, with the usual leeway.
    pub(crate) fn check(&self, now: UnixTime) -> Result<(), JwtError> {
        if now > self.expiry.saturating_add(LEEWAY) {
            Err(JwtError::Expired)
        } else if self.from.is_some_and(|from| from > now.saturating_add(LEEWAY)) {
            Err(JwtError::NotYetValid)
        } else {
            Ok(())
        }
    }
}

/// Why a JWT is not a credential. Only for the log: the client learns nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum JwtError {
    #[error("a part is not canonical base64url")]
    Encoding,
    #[error("the header is not an object with unique names and the right types")]
    Header,
    #[error("the header has crit or b64, which demand extensions that are unknown here")]
    Critical,
    #[error("typ is neither JWT nor at+jwt, so it is a token for something else")]
    Type,
    #[error("alg is not an algorithm that this caller's keys verify")]
    Algorithm,
    #[error("the claims are not an object with unique names")]
    Claims,
    #[error("exp, nbf or iat is not a number")]
    Time,
    #[error("there is no exp")]
    NoExpiry,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotYetValid,
    #[error("it is for another audience")]
    Audience,
    #[error("{0}")]
    Claimed(#[from] ClaimsError),
    #[error("{0}")]
    Key(#[from] KeyChoiceError),
    /// The caller's keys are not there yet, or not any more.
    #[error("the issuer's keys cannot be fetched")]
    NotReady,
    #[error("another key made the signature, or the token was changed")]
    Signature,
}
