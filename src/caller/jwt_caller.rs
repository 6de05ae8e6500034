//! Callers whose credential is a JWT: which tokens are theirs, and whether one holds. Does not know the other kinds of callers.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::caller::Caller;
use crate::caller::expectations::Expectations;
use crate::caller::jwk::KeySet;
use crate::caller::jwt::{JwtError, UnverifiedJwt, expiry};
use crate::caller::keys::IssuerKeys;
use crate::caller::settings::{Algorithm, Issued};
use crate::clock::UnixTime;
use crate::jws;

/// An `oidc` or `jwt` caller.
#[derive(Debug)]
pub(crate) struct JwtCaller {
    pub(crate) expectations: Expectations,
    pub(crate) issued: Issued,
    pub(crate) keys: TokenKeys,
}

/// What verifies a caller's tokens.
#[derive(Debug)]
pub(crate) enum TokenKeys {
    /// A secret, for HS256 alone.
    Secret(jws::Key),
    /// Public keys from a file.
    Fixed(KeySet),
    /// The issuer's public keys, and the algorithms that they may verify.
    Fetched(Arc<IssuerKeys>, Vec<Algorithm>),
}

impl JwtCaller {
    /// Whether a token with these claims is for this caller, and not for another one of the same issuer. Without an audience,
    /// `require` decides in its place.
    pub(crate) fn expects(&self, claims: &Map<String, Value>) -> bool {
        self.has_audience(claims) && (!self.issued.audience.is_empty() || self.expectations.require.mismatch(claims).is_none())
    }

    fn has_audience(&self, claims: &Map<String, Value>) -> bool {
        let Issued { audience, audience_claim, .. } = &self.issued;
        let is_ours = |value: &Value| value.as_str().is_some_and(|text| audience.iter().any(|each| each == text));
        audience.is_empty()
            || match audience_claim.find(claims) {
                Some(Value::Array(list)) => list.iter().any(is_ours),
                Some(value) => is_ours(value),
                None => false,
            }
    }

    /// The caller, if `jwt` holds at `now`. What is cheap is checked first, so that a token that cannot hold costs no fetch.
    pub(crate) async fn verify(&self, jwt: &mut UnverifiedJwt<'_>, now: UnixTime) -> Result<Caller, JwtError> {
        let claims = jwt.claims.take().ok_or(JwtError::Claims)?;
        let header = jwt.header()?;
        let ends = expiry(&claims, now)?;
        if !self.has_audience(&claims) {
            return Err(JwtError::Audience);
        }
        let caller = self.expectations.caller(claims, Some(ends))?;
        let (message, signature) = (jwt.signing_input.as_bytes(), jwt.signature()?);
        let public = |allowed: &[Algorithm]| {
            Algorithm::named(&header.alg).filter(|algorithm| allowed.contains(algorithm)).ok_or(JwtError::Algorithm)
        };
        let is_signed = match &self.keys {
            TokenKeys::Secret(_) if header.alg != "HS256" => return Err(JwtError::Algorithm),
            TokenKeys::Secret(key) => key.verifies(message, &signature),
            TokenKeys::Fixed(keys) => {
                let algorithm = public(&Algorithm::DEFAULT)?;
                keys.find(header.kid.as_deref(), algorithm)?.verifies(algorithm, message, &signature)
            }
            TokenKeys::Fetched(keys, allowed) => {
                let meant = (header.kid.as_deref(), public(allowed)?);
                Box::pin(keys.verify(meant, message, &signature, now)).await?; // for the same reason as in `Callers::identify`
                true
            }
        };
        if is_signed { Ok(caller) } else { Err(JwtError::Signature) }
    }
}
