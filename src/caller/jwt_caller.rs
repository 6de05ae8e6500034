//! Callers whose credential is a JWT: which tokens are theirs, and whether one holds. Does not know the other kinds of callers.

use std::sync::{Arc, Weak};

use serde_json::{Map, Value};

use crate::caller::Caller;
use crate::caller::api_token::TokenHash;
use crate::caller::expectations::Expectations;
use crate::caller::jwk::{KeyChoiceError, KeySet};
use crate::caller::jwt::{JwtError, JwtHeader, UnverifiedJwt, Validity};
use crate::caller::keys::IssuerKeys;
use crate::caller::sessions::Sessions;
use crate::caller::settings::{Algorithm, Issued};
use crate::clock::UnixTime;
use crate::jws;

/// An `oidc` or `jwt` caller.
#[derive(Debug)]
pub(crate) struct JwtCaller {
    pub(crate) expectations: Expectations,
    pub(crate) issued: Issued,
    pub(crate) keys: TokenKeys,
    pub(crate) sessions: Sessions,
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

/// What a JWT says whose signature has not been checked.
struct Checked {
    header: JwtHeader,
    subject: String,
    validity: Validity,
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

    /// The caller whose token has this hash, if it was verified before, and still holds at `now`.
    pub(crate) fn known(&self, token: &TokenHash, now: UnixTime) -> Option<Arc<Caller>> {
        let keys = match &self.keys {
            TokenKeys::Secret(_) | TokenKeys::Fixed(_) => Weak::new(),
            TokenKeys::Fetched(keys, _) => Arc::downgrade(&keys.current(now)?),
        };
        self.sessions.find(token, &keys, now)
    }

    /// The caller, if `jwt` holds at `now`. Its key may be one that is not there yet: see [`wait_for_key`](Self::wait_for_key).
    pub(crate) fn verify(&self, jwt: UnverifiedJwt<'_>, token: TokenHash, now: UnixTime) -> Result<Arc<Caller>, JwtError> {
        let Checked { header, subject, validity } = self.check(&jwt, now)?;
        let (message, signature) = (jwt.signing_input.as_bytes(), jwt.signature()?);
        let verified_by = match &self.keys {
            TokenKeys::Secret(_) if header.alg != "HS256" => return Err(JwtError::Algorithm),
            TokenKeys::Secret(key) => key.verifies(message, &signature).then(Weak::new),
            TokenKeys::Fixed(keys) => {
                let (kid, algorithm) = header.meant(&Algorithm::DEFAULT)?;
                keys.find(kid, algorithm)?.verifies(algorithm, message, &signature).then(Weak::new)
            }
            TokenKeys::Fetched(keys, allowed) => {
                Some(Arc::downgrade(&keys.verify(header.meant(allowed)?, message, &signature, now)?))
            }
        };
        let verified_by = verified_by.ok_or(JwtError::Signature)?;
        let (name, claims) = (Arc::clone(&self.expectations.name), jwt.claims.unwrap_or_default());
        let caller = Arc::new(Caller { name, subject: Some(subject), claims, ends: Some(validity.expiry) });
        self.sessions.keep((token, message.len()), verified_by, (&caller, validity));
        Ok(caller)
    }

    /// Whether waiting for a key can put this `error` right.
    pub(crate) fn may_wait(&self, error: &JwtError) -> bool {
        matches!(self.keys, TokenKeys::Fetched(..))
            && matches!(error, JwtError::NotReady | JwtError::Key(KeyChoiceError::Unknown))
    }

    /// Waits for the key of `jwt`, if it has to be fetched. A token that cannot hold costs no fetch.
    pub(crate) async fn wait_for_key(&self, jwt: &UnverifiedJwt<'_>, now: UnixTime) {
        if let TokenKeys::Fetched(keys, allowed) = &self.keys
            && let Ok(Checked { header, .. }) = self.check(jwt, now)
            && let Ok(meant) = header.meant(allowed)
            && jwt.signature().is_ok()
        {
            keys.wait_for(meant, now).await;
        }
    }

    /// What can be checked without a key.
    fn check(&self, jwt: &UnverifiedJwt<'_>, now: UnixTime) -> Result<Checked, JwtError> {
        let claims = jwt.claims.as_ref().ok_or(JwtError::Claims)?;
        let header = jwt.header()?;
        let validity = Validity::of(claims)?;
        validity.check(now)?;
        if !self.has_audience(claims) {
            return Err(JwtError::Audience);
        }
        Ok(Checked { header, subject: self.expectations.subject(claims)?, validity })
    }
}
