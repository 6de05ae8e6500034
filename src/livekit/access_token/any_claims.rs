//! Mints access tokens with any claims and grants, within LiveKit's limits. Does not make sure that a token for a participant has a
//! room and an identity until it is minted.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::UnixTime;
use crate::json;
use crate::jws;
use crate::livekit::claims::{Claims, claims, write_after_iss};
use crate::livekit::grants::{
    AgentEndpointGrants, AgentGrants, AgentThreadGrants, InferenceGrants, ObservabilityGrants, ParticipantKind, SIPGrants,
    VideoGrants,
};
use crate::livekit::key::ApiKey;
use crate::livekit::names::MAX_NAME_BYTES;
use crate::livekit::room_config::RoomConfiguration;

/// The default lifetime of a token, as in LiveKit's SDKs.
pub const DEFAULT_TTL: Duration = Duration::from_secs(6 * 60 * 60);
/// The most bytes of a participant's metadata (livekit `pkg/config/config.go`).
pub const MAX_METADATA_BYTES: usize = 512 * 1024;
/// The most bytes of all keys and values of a participant's attributes (likewise).
pub const MAX_ATTRIBUTES_BYTES: usize = 64 * 1024;

/// An access token with any claims and grants, for services, agents and tools. For participants,
/// [`ParticipantToken`](crate::ParticipantToken) is safer.
///
/// ```
/// use roomkey::{AccessToken, ApiKey, SIPGrants, UnixTime, VideoGrants};
///
/// let jwt = AccessToken::new()
///     .with_identity("dialer")
///     .with_grants(VideoGrants { room_list: true, ..VideoGrants::default() })
///     .with_sip_grants(SIPGrants { call: true, ..SIPGrants::default() })
///     .to_jwt(&ApiKey::new("devkey", "secret")?, UnixTime::now())?;
/// # assert_eq!(jwt.split('.').count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct AccessToken {
    claims: Claims,
    /// None of them has the name of one in `claims`.
    further: Map<String, Value>,
    ttl: Duration,
}

/// Leaves out further claims, because they may hold anything.
impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("claims", &self.claims).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

impl Default for AccessToken {
    fn default() -> Self {
        Self { claims: Claims::default(), further: Map::new(), ttl: DEFAULT_TTL }
    }
}

/// Declares the setters of the claims that have one in the list.
macro_rules! setters {
    ($(
        $(#[doc = $about:expr])* $(#[serde($($serde:tt)*)])?
        $claim:ident = $name:literal: $type:ty $(, $setter:ident($given:ty))?;
    )*) => {
        impl AccessToken {
            $(setter! { $(#[doc = $about])* $claim $(, $setter($given))? })*
        }
    };
}

macro_rules! setter {
    ($(#[$about:meta])* $claim:ident) => {};
    ($(#[$about:meta])* $claim:ident, $setter:ident($given:ty)) => {
        $(#[$about])*
        #[must_use]
        pub fn $setter(mut self, $claim: $given) -> Self {
            self.claims.$claim = $claim.into();
            self
        }
    };
}
claims!(setters);

impl AccessToken {
    /// A token that grants nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bearer's attributes.
    #[must_use]
    pub fn with_attributes<K: Into<String>, V: Into<String>>(mut self, attributes: impl IntoIterator<Item = (K, V)>) -> Self {
        self.claims.set_attributes(attributes);
        self
    }

    /// How long the token is valid, in whole seconds. The default is [`DEFAULT_TTL`].
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Every claim that `claims` has. The key's name and the times are the token's own.
    #[cfg(feature = "server")]
    pub(crate) fn with_claims(mut self, claims: Claims) -> Self {
        self.claims.extend(Claims { iss: String::new(), exp: None, nbf: None, iat: None, ..claims });
        self
    }

    /// Claims that LiveKit does not know, for other readers of the token. They are written unchanged.
    ///
    /// # Errors
    /// If one has the name of a claim that LiveKit knows: those have setters.
    pub fn with_further_claims(mut self, claims: Map<String, Value>) -> Result<Self, AccessTokenError> {
        match claims.keys().find(|name| Claims::is_known(name)) {
            Some(name) => Err(AccessTokenError::KnownClaim { name: name.clone() }),
            None => {
                self.further = claims;
                Ok(self)
            }
        }
    }

    /// The token, signed with `key` and valid from `now`.
    ///
    /// # Errors
    /// If it lets its bearer join but lacks the room or the identity, or has a `sha256` too, or if something exceeds LiveKit's
    /// limits.
    pub fn to_jwt(&self, key: &ApiKey, now: UnixTime) -> Result<String, AccessTokenError> {
        let claims = &self.claims;
        if let Some(VideoGrants { room_join: true, room, .. }) = &claims.video {
            if room.is_empty() {
                return Err(AccessTokenError::NoRoom);
            }
            if claims.sub.is_empty() {
                return Err(AccessTokenError::NoIdentity);
            }
            if !claims.sha256.is_empty() {
                return Err(AccessTokenError::DigestForParticipant);
            }
        }
        check_limits(claims)?;
        Ok(self.sign(key, now))
    }

    fn sign(&self, key: &ApiKey, now: UnixTime) -> String {
        key.signer().sign(|payload| self.write_claims(payload, now))
    }

    /// Appends all claims but `iss`, which the signer begins with.
    fn write_claims(&self, payload: &mut jws::Payload, now: UnixTime) {
        write_after_iss(payload, now, now.saturating_add(self.ttl), |object| {
            self.claims.write_members(object);
            for (name, value) in &self.further {
                object.any(name, |out| json::write(out, value));
            }
        });
    }
}

/// Whether all `claims` are as short as LiveKit requires.
pub(super) fn check_limits(claims: &Claims) -> Result<(), AccessTokenError> {
    let room = claims.video.as_ref().map_or(0, |video| video.room.len());
    let attributes = claims.attributes.iter().map(|(key, value)| key.len().saturating_add(value.len())).sum();
    for (what, bytes, limit) in [
        ("room", room, MAX_NAME_BYTES),
        ("identity", claims.sub.len(), MAX_NAME_BYTES),
        ("name", claims.name.len(), MAX_NAME_BYTES),
        ("metadata", claims.metadata.len(), MAX_METADATA_BYTES),
        ("attributes", attributes, MAX_ATTRIBUTES_BYTES),
    ] {
        if bytes > limit {
            return Err(AccessTokenError::TooLong { what, limit });
        }
    }
    Ok(())
}

/// Why an access token cannot be minted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessTokenError {
    /// It lets its bearer join, but names no room, so it would be valid for all of them.
    #[error("a token to join needs a room")]
    NoRoom,
    /// It lets its bearer join, but has no identity.
    #[error("a token to join needs an identity")]
    NoIdentity,
    /// It lets its bearer join, and has the digest of a webhook's body too.
    #[error("a token to join must not have the sha256 of a webhook")]
    DigestForParticipant,
    /// A further claim has the name of one that LiveKit knows.
    #[error("LiveKit defines the claim {name}: it cannot be a further claim")]
    KnownClaim {
        /// Its name.
        name: String,
    },
    /// Something is longer than LiveKit takes.
    #[error("{what} must be at most {limit} bytes")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
}
