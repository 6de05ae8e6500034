//! Mints access tokens for participants, which always have a room and an identity; `any_claims` mints all others. Does not decide who
//! gets which token.

mod any_claims;

use std::fmt;
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
    /// Kept apart because most tokens have none, so that a token is small to move. Never the default.
    more: Option<Box<More>>,
}

/// What a token may have besides the names.
#[derive(Clone, Default, PartialEq)]
struct More {
    /// Without the room and the right to join it.
    grants: VideoGrants,
    /// Without the names and `video`.
    claims: Claims,
}

impl ParticipantToken {
    /// A token for `identity` to join `room`.
    #[must_use]
    #[inline]
    pub fn new(room: RoomName, identity: Identity) -> Self {
        Self { room, identity, name: None, ttl: DEFAULT_TTL, more: None }
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
        self.with(|more| more.grants = VideoGrants { room_join: false, room: String::new(), ..grants })
    }

    /// The participant's metadata.
    ///
    /// # Errors
    /// If it is longer than [`MAX_METADATA_BYTES`].
    pub fn with_metadata(self, metadata: impl Into<String>) -> Result<Self, AccessTokenError> {
        self.with(|more| more.claims.metadata = metadata.into()).within_limits()
    }

    /// The participant's attributes.
    ///
    /// # Errors
    /// If they are longer than [`MAX_ATTRIBUTES_BYTES`].
    pub fn with_attributes<K: Into<String>, V: Into<String>>(
        self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, AccessTokenError> {
        self.with(|more| more.claims.set_attributes(attributes)).within_limits()
    }

    /// How LiveKit sets up the room if this participant creates it by joining.
    #[must_use]
    pub fn with_room_config(self, room_config: RoomConfiguration) -> Self {
        self.with(|more| more.claims.room_config = Some(room_config))
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

    fn with(mut self, set: impl FnOnce(&mut More)) -> Self {
        let mut more = self.more.take().unwrap_or_default();
        set(&mut more);
        self.more = (*more != More::default()).then_some(more);
        self
    }

    fn within_limits(self) -> Result<Self, AccessTokenError> {
        self.more.as_ref().map_or(Ok(()), |more| check_limits(&more.claims))?;
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
                if let Some(more) = &self.more {
                    more.grants.write_members(&mut ObjectWriter::begin(out));
                }
                out.append(b"}");
            });
            if let Some(more) = &self.more {
                more.claims.write_members(object);
            }
        });
    }
}

/// Shows the claims, as far as [`Claims`] shows them.
impl fmt::Debug for ParticipantToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let More { grants, claims } = self.more.as_deref().cloned().unwrap_or_default();
        let video = VideoGrants { room_join: true, room: self.room.clone().into(), ..grants };
        let claims = Claims { sub: self.identity.clone().into(), video: Some(video), ..claims };
        f.debug_struct("ParticipantToken").field("claims", &claims).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}
