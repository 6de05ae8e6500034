//! Verifies tokens: whether one of our keys signed it, and whether it is valid now. Does not check what it grants.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::json;
use crate::jws;
use crate::livekit::claims::Claims;
use crate::livekit::key::{ApiKey, ApiKeys, KeyError};
use crate::livekit::registered_claims::Registered;

/// How far clocks may differ, in both directions (livekit/protocol `auth/verifier.go` takes go-jose's default leeway).
pub const LEEWAY: Duration = Duration::from_secs(60);

/// Verifies access tokens against a set of keys.
///
/// ```
/// use roomkey::{ApiKey, Identity, ParticipantToken, RoomName, TokenVerifier, UnixTime};
///
/// let key = ApiKey::new("devkey", "secret")?;
/// let now = UnixTime::now();
/// let jwt = ParticipantToken::new(RoomName::new("daily")?, Identity::new("alice")?).to_jwt(&key, now);
///
/// let claims = TokenVerifier::new(key).verify(&jwt, now)?;
/// assert_eq!(claims.identity(), "alice");
/// assert!(claims.video.is_some_and(|video| video.room_join && video.room == "daily"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenVerifier {
    keys: ApiKeys,
}

impl TokenVerifier {
    /// A verifier that trusts `keys`.
    #[must_use]
    pub fn new(keys: impl Into<ApiKeys>) -> Self {
        Self { keys: keys.into() }
    }

    /// A verifier that trusts the one key `api_key` with `api_secret`.
    ///
    /// # Errors
    /// As [`ApiKey::new`].
    pub fn with_api_key(api_key: &str, api_secret: &str) -> Result<Self, KeyError> {
        Ok(Self::new(ApiKey::new(api_key, api_secret)?))
    }

    /// The claims of `token`, a bare compact JWS that is valid at `now`.
    ///
    /// # Errors
    /// If it is not an HS256 JWS of one of the keys, is not valid at `now` with a [`LEEWAY`] of 60 s, has no `exp`, has two members
    /// of one name, or a claim of a type that LiveKit does not take.
    pub fn verify(&self, token: &str, now: UnixTime) -> Result<Claims, TokenError> {
        self.verify_by_key(token, now).map(|(_, claims)| claims)
    }

    /// The key that signed `token`, and its claims.
    pub(crate) fn verify_by_key(&self, token: &str, now: UnixTime) -> Result<(&ApiKey, Claims), TokenError> {
        let token = jws::Unverified::parse(token)?;
        let payload = str::from_utf8(token.payload()).or(Err(TokenError::Claims))?;
        if let Some(claims) = json::scan(payload) {
            return self.check(&token, &Registered::of(&claims), now).map(|key| (key, claims));
        }
        let registered = serde_json::from_str(payload).or(Err(TokenError::Claims))?;
        let key = self.check(&token, &registered, now)?;
        serde_json::from_str(payload).map(|claims| (key, claims)).or(Err(TokenError::Claims))
    }

    /// Verifies `token`, and calls `then` with the key and the registered claims. Other claims are not read.
    pub(crate) fn authenticate<T>(
        &self,
        token: &str,
        now: UnixTime,
        then: impl FnOnce(&ApiKey, Registered<'_>) -> T,
    ) -> Result<T, TokenError> {
        let token = jws::Unverified::parse(token)?;
        let claims = json::scan_or_read(token.payload()).or(Err(TokenError::Claims))?;
        let key = self.check(&token, &claims, now)?;
        Ok(then(key, claims))
    }

    /// The key that signed `token`, if it is valid at `now`.
    fn check(&self, token: &jws::Unverified<'_>, claims: &Registered<'_>, now: UnixTime) -> Result<&ApiKey, TokenError> {
        let name = claims.iss.as_deref().unwrap_or_default();
        let key = self.keys.find(name).ok_or_else(|| TokenError::UnknownKey { name: name.to_owned() })?;
        token.verify_by(key.signer())?;
        check_times(claims, now)?;
        Ok(key)
    }
}

/// The name of the key that `token` claims to be signed with. It is unverified, so use it only in the log.
#[cfg(feature = "server")]
pub(crate) fn claimed_key(token: &str) -> Option<String> {
    let token = jws::Unverified::parse(token).ok()?;
    let claims: Registered<'_> = json::scan_or_read(token.payload()).ok()?;
    claims.iss.map(std::borrow::Cow::into_owned)
}

/// RFC 7519, sections 4.1.4 to 4.1.6.
fn check_times(claims: &Registered<'_>, now: UnixTime) -> Result<(), TokenError> {
    let expiry = claims.exp.ok_or(TokenError::NoExpiry)?;
    if now > expiry.saturating_add(LEEWAY) {
        return Err(TokenError::Expired { since: expiry });
    }
    match [claims.nbf, claims.iat].into_iter().flatten().max() {
        Some(from) if from > now.saturating_add(LEEWAY) => Err(TokenError::NotYetValid { until: from }),
        _ => Ok(()),
    }
}

/// Why a token is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is not an HS256 JWS, or its signature was not made with the key that it names.
    #[error("{0}")]
    Jws(#[from] jws::Error),
    /// Its payload is not a JSON object with unique names, or a claim has a wrong type.
    #[error("the claims are not a JSON object with unique names and the right types")]
    Claims,
    /// Its `iss` is none of the keys.
    #[error("the API key {name:?} is not known here")]
    UnknownKey {
        /// The `iss`; empty if there is none.
        name: String,
    },
    /// It has no `exp`.
    #[error("the token has no expiry")]
    NoExpiry,
    /// It has expired.
    #[error("the token expired at {}", since.as_secs())]
    Expired {
        /// Its `exp`.
        since: UnixTime,
    },
    /// It is not valid yet.
    #[error("the token is not valid before {}", until.as_secs())]
    NotYetValid {
        /// Its `nbf` or `iat`, whichever is later.
        until: UnixTime,
    },
}
