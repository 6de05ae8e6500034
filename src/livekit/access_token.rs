//! Mints access tokens for participants, which always have a room and an identity; `any_claims` mints all others. Does not decide who
//! gets which token.

mod any_claims;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixTime;
use crate::json::{Buffer, ObjectWriter, Written, name};
use crate::jws::Payload;
use crate::livekit::claims::{Claims, write_after_iss};
use crate::livekit::grants::VideoGrants;
use crate::livekit::key::ApiKey;
use crate::livekit::room_config::RoomConfiguration;

pub use crate::livekit::names::{Identity, MAX_NAME_BYTES, NameError, ParticipantName, RoomName};
use any_claims::check_limits;
pub use any_claims::{AccessToken, AccessTokenError, DEFAULT_TTL, MAX_ATTRIBUTES_BYTES, MAX_METADATA_BYTES};

/// A token that lets one participant join one room. It always has both, so minting it cannot fail.
///
/// ```
/// use roomkey::{ApiKey, Identity, ParticipantName, ParticipantToken, RoomName, UnixTime, VideoGrants};
///
/// let key = ApiKey::new("devkey", "secret")?;
/// let jwt = ParticipantToken::new(RoomName::new("daily")?, Identity::new("alice")?)
///     .with_name(ParticipantName::new("Alice")?)
///     .with_grants(VideoGrants { can_publish: Some(false), ..VideoGrants::default() })
///     .to_jwt(&key, UnixTime::now());
/// # assert_eq!(jwt.split('.').count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct ParticipantToken {
    room: RoomName,
    identity: Identity,
    name: Option<ParticipantName>,
    ttl: Duration,
    grants: PreparedGrants,
    /// The claims besides the names and `video`. They are kept apart because most tokens have none, so that a token is small to move.
    /// Never the default.
    claims: Option<Box<Claims>>,
}

/// What a participant may do besides joining, and its JSON, because many tokens have the same. `None` for the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PreparedGrants(Option<Arc<(VideoGrants, Vec<u8>)>>);

impl PreparedGrants {
    /// All of `grants` but the room and the right to join it.
    pub(crate) fn new(grants: VideoGrants) -> Self {
        let grants = VideoGrants { room_join: false, room: String::new(), ..grants };
        if grants == VideoGrants::default() {
            return Self(None);
        }
        let mut members = Vec::new();
        grants.write_members(&mut ObjectWriter::begin(&mut members));
        Self(Some(Arc::new((grants, members))))
    }

    fn grants(&self) -> VideoGrants {
        self.0.as_deref().map(|(grants, _)| grants.clone()).unwrap_or_default()
    }

    /// The members, each after its comma.
    #[inline]
    fn members(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], |(_, members)| members)
    }
}

impl ParticipantToken {
    /// A token for `identity` to join `room`.
    #[must_use]
    #[inline]
    pub fn new(room: RoomName, identity: Identity) -> Self {
        Self { room, identity, name: None, ttl: DEFAULT_TTL, grants: PreparedGrants::default(), claims: None }
    }

    /// The name that the others see.
    #[must_use]
    #[inline]
    pub fn with_name(self, name: ParticipantName) -> Self {
        Self { name: Some(name), ..self }
    }

    /// What the participant may do besides joining. The room and the right to join it do not change.
    #[must_use]
    pub fn with_grants(self, grants: VideoGrants) -> Self {
        self.with_prepared_grants(PreparedGrants::new(grants))
    }

    /// As [`with_grants`](Self::with_grants), with less work for each token.
    #[inline]
    pub(crate) fn with_prepared_grants(self, grants: PreparedGrants) -> Self {
        Self { grants, ..self }
    }

    /// The participant's metadata.
    ///
    /// # Errors
    /// If it is longer than [`MAX_METADATA_BYTES`].
    pub fn with_metadata(self, metadata: impl Into<String>) -> Result<Self, AccessTokenError> {
        self.with(|claims| claims.metadata = metadata.into()).within_limits()
    }

    /// The participant's attributes.
    ///
    /// # Errors
    /// If they are longer than [`MAX_ATTRIBUTES_BYTES`].
    pub fn with_attributes<K: Into<String>, V: Into<String>>(
        self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, AccessTokenError> {
        self.with(|claims| claims.set_attributes(attributes)).within_limits()
    }

    /// How LiveKit sets up the room if this participant creates it by joining.
    #[must_use]
    pub fn with_room_config(self, room_config: RoomConfiguration) -> Self {
        self.with(|claims| claims.room_config = Some(room_config))
    }

    /// How long the token is valid, in whole seconds. The default is [`DEFAULT_TTL`].
    #[must_use]
    #[inline]
    pub fn with_ttl(self, ttl: Duration) -> Self {
        Self { ttl, ..self }
    }

    /// The token, signed with `key` and valid from `now`.
    #[must_use]
    pub fn to_jwt(&self, key: &ApiKey, now: UnixTime) -> String {
        key.signer().sign(|payload| self.write_claims(payload, now))
    }

    /// The room that the bearer may join.
    #[cfg(feature = "server")]
    pub(crate) fn room(&self) -> &str {
        self.room.as_str()
    }

    /// The bearer's identity.
    #[cfg(feature = "server")]
    pub(crate) fn identity(&self) -> &str {
        self.identity.as_str()
    }

    /// Appends the token to `json` as a string. It needs no escapes.
    #[cfg(feature = "server")]
    pub(crate) fn write_json(&self, json: &mut Vec<u8>, key: &ApiKey, now: UnixTime) {
        json.push(b'"');
        key.signer().sign_into(json, |payload| self.write_claims(payload, now));
        json.push(b'"');
    }

    fn with(mut self, set: impl FnOnce(&mut Claims)) -> Self {
        let mut claims = self.claims.take().unwrap_or_default();
        set(&mut claims);
        self.claims = (*claims != Claims::default()).then_some(claims);
        self
    }

    fn within_limits(self) -> Result<Self, AccessTokenError> {
        self.claims.as_deref().map_or(Ok(()), check_limits)?;
        Ok(self)
    }

    /// Appends all claims but `iss`, which the signer begins with.
    #[inline]
    fn write_claims(&self, payload: &mut Payload, now: UnixTime) {
        write_after_iss(payload, now, now.saturating_add(self.ttl), |object| {
            object.non_zero(name!("sub"), &self.identity);
            object.non_zero(name!("name"), &self.name);
            object.member(r#","video":{"roomJoin":true,"room":"#, |out| {
                self.room.write(out);
                out.append(self.grants.members());
                out.append(b"}");
            });
            if let Some(claims) = &self.claims {
                claims.write_members(object);
            }
        });
    }
}

/// Shows the claims, as far as [`Claims`] shows them.
impl fmt::Debug for ParticipantToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claims = self.claims.as_deref().cloned().unwrap_or_default();
        let video = VideoGrants { room_join: true, room: self.room.clone().into(), ..self.grants.grants() };
        let claims = Claims { sub: self.identity.clone().into(), video: Some(video), ..claims };
        f.debug_struct("ParticipantToken").field("claims", &claims).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}
