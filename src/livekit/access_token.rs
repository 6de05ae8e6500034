//! Mints access tokens for participants, which always have a room and an identity; `any_claims` mints all others. Does not decide who
//! gets which token.

mod any_claims;

use std::time::Duration;

use crate::clock::UnixTime;
use crate::livekit::grants::VideoGrants;
use crate::livekit::key::ApiKey;
use crate::livekit::room_config::RoomConfiguration;

pub use crate::livekit::names::{Identity, MAX_NAME_BYTES, NameError, ParticipantName, RoomName};
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
#[derive(Clone, Debug, PartialEq)]
pub struct ParticipantToken(AccessToken);

impl ParticipantToken {
    /// A token for `identity` to join `room`.
    #[must_use]
    pub fn new(room: RoomName, identity: Identity) -> Self {
        let grants = VideoGrants { room_join: true, room: room.into(), ..VideoGrants::default() };
        Self(AccessToken::new().with_identity(identity).with_grants(grants))
    }

    /// The name that the others see.
    #[must_use]
    pub fn with_name(self, name: ParticipantName) -> Self {
        Self(self.0.with_name(name))
    }

    /// What the participant may do besides joining. The room and the right to join it do not change.
    #[must_use]
    pub fn with_grants(mut self, grants: VideoGrants) -> Self {
        let room = self.0.claims.video.take().map(|video| video.room).unwrap_or_default();
        Self(self.0.with_grants(VideoGrants { room_join: true, room, ..grants }))
    }

    /// The participant's metadata.
    ///
    /// # Errors
    /// If it is longer than [`MAX_METADATA_BYTES`].
    pub fn with_metadata(self, metadata: impl Into<String>) -> Result<Self, AccessTokenError> {
        let token = self.0.with_metadata(metadata);
        token.check_limits().map(|()| Self(token))
    }

    /// The participant's attributes.
    ///
    /// # Errors
    /// If they are longer than [`MAX_ATTRIBUTES_BYTES`].
    pub fn with_attributes<K: Into<String>, V: Into<String>>(
        self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, AccessTokenError> {
        let token = self.0.with_attributes(attributes);
        token.check_limits().map(|()| Self(token))
    }

    /// How LiveKit sets up the room if this participant creates it by joining.
    #[must_use]
    pub fn with_room_config(self, room_config: RoomConfiguration) -> Self {
        Self(self.0.with_room_config(room_config))
    }

    /// How long the token is valid, in whole seconds. The default is [`DEFAULT_TTL`].
    #[must_use]
    pub fn with_ttl(self, ttl: Duration) -> Self {
        Self(self.0.with_ttl(ttl))
    }

    /// The token, signed with `key` and valid from `now`.
    #[must_use]
    pub fn to_jwt(&self, key: &ApiKey, now: UnixTime) -> String {
        self.0.sign(key, now)
    }

    /// The room that the bearer may join.
    #[cfg(feature = "server")]
    pub(crate) fn room(&self) -> &str {
        self.0.claims.video.as_ref().map_or("", |video| &video.room)
    }

    /// The bearer's identity.
    #[cfg(feature = "server")]
    pub(crate) fn identity(&self) -> &str {
        &self.0.claims.sub
    }

    /// Appends the token to `json` as a string. It needs no escapes.
    #[cfg(feature = "server")]
    pub(crate) fn write_json(&self, json: &mut Vec<u8>, key: &ApiKey, now: UnixTime) {
        json.push(b'"');
        self.0.sign_into(json, key, now);
        json.push(b'"');
    }
}
