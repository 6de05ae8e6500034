//! JWK sets (RFC 7517) and what else holds the public keys of an issuer, and which key a token means. Does not know where the keys
//! come from.

use serde_json::value::RawValue;

use crate::caller::pem::{self, PemError};
use crate::caller::public_key::PublicKey;
use crate::caller::settings::Algorithm;
use crate::json::{self, Members};
use crate::jws;

/// The keys with which an issuer's tokens are verified: at least one.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Jwk>,
    /// A key in PEM has no `kid`, so that any is fine.
    ignores_kid: bool,
}

#[derive(Debug)]
struct Jwk {
    kid: Option<String>,
    /// The only algorithm that the key is for, if it says so.
    algorithm: Option<Algorithm>,
    key: PublicKey,
}

impl KeySet {
    /// The keys of the JWK set `json` that can verify tokens. All others are skipped (RFC 7517, section 5).
    pub(crate) fn from_jwks(json: &[u8]) -> Result<Self, KeySetError> {
        let set = Members::parse(json).or(Err(KeySetError::NotASet))?;
        let keys: Vec<&RawValue> = set.read("keys").filter(|_| !set.is_ambiguous("keys")).ok_or(KeySetError::NotASet)?;
        let keys: Vec<Jwk> = keys.into_iter().filter_map(|jwk| Jwk::parse(jwk.get().as_bytes())).collect();
        if keys.is_empty() { Err(KeySetError::NoKey) } else { Ok(Self { keys, ignores_kid: false }) }
    }

    /// The keys in a file: a JWK set, or one public key in PEM.
    pub(crate) fn from_file(content: &[u8]) -> Result<Self, KeySetError> {
        if content.trim_ascii_start().starts_with(b"{") {
            return Self::from_jwks(content);
        }
        let key = pem::public_key(content)?;
        Ok(Self { keys: vec![Jwk { kid: None, algorithm: None, key }], ignores_kid: true })
    }

    /// The only key that a token with `kid` and `algorithm` in its header can mean.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&PublicKey, KeyChoiceError> {
        let kid = kid.filter(|_| !self.ignores_kid);
        let is_meant = |jwk: &&Jwk| match kid {
            Some(kid) => jwk.kid.as_deref() == Some(kid),
            None => jwk.is_for(algorithm),
        };
        let mut meant = self.keys.iter().filter(is_meant);
        match (meant.next(), meant.next()) {
            (None, _) => Err(KeyChoiceError::Unknown),
            (Some(_), Some(_)) => Err(KeyChoiceError::Several),
            (Some(jwk), None) if jwk.is_for(algorithm) => Ok(&jwk.key),
            (Some(_), None) => Err(KeyChoiceError::OtherAlgorithm),
        }
    }
}

impl Jwk {
    /// `None` if the key is malformed, or cannot verify any signature that is known here.
    fn parse(json: &[u8]) -> Option<Self> {
        let jwk = json::unique(json).ok()?;
        let text = |name: &str| jwk.get(name)?.as_str();
        let optional = |name: &str| jwk.get(name).map_or(Some(None), |value| value.as_str().map(Some));
        let bytes = |name: &str| jws::decode(text(name)?).ok();
        let key = match (text("kty")?, text("crv")) {
            ("RSA", _) => PublicKey::rsa(&bytes("n")?, &bytes("e")?),
            ("EC", Some("P-256")) => PublicKey::p256(&bytes("x")?, &bytes("y")?),
            ("OKP", Some("Ed25519")) => PublicKey::ed25519(&bytes("x")?),
            _ => None,
        }?;
        let may_verify = match jwk.get("key_ops") {
            None => true,
            Some(operations) => operations.as_array()?.iter().any(|operation| operation == "verify"),
        };
        let is_for_signatures = optional("use")?.is_none_or(|usage| usage == "sig");
        let algorithm = optional("alg")?.map_or(Some(None), |name| Algorithm::named(name).map(Some))?;
        let agrees = algorithm.is_none_or(|algorithm| key.is_for(algorithm));
        let kid = optional("kid")?.map(str::to_owned);
        (may_verify && is_for_signatures && agrees).then_some(Self { kid, algorithm, key })
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        self.key.is_for(algorithm) && self.algorithm.is_none_or(|only| only == algorithm)
    }
}

/// Why there are no keys. The text follows the name of the file or server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum KeySetError {
    #[error("is not a JWK set, which is an object with a list called keys")]
    NotASet,
    #[error("has no key that can verify signatures: RSA of 2048 to 4096 bits, P-256 or Ed25519")]
    NoKey,
    #[error(transparent)]
    Pem(#[from] PemError),
}

/// Why there is no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum KeyChoiceError {
    #[error("no key of the issuer is meant by the token's kid and alg")]
    Unknown,
    #[error("several keys of the issuer could be meant: give each its own kid, and put it into the token's header")]
    Several,
    #[error("the key with the token's kid is for another algorithm than the token's alg")]
    OtherAlgorithm,
}
