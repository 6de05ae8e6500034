//! Owns who may have which token. A client says where it wants to go and who it is, and never what it may do there. Knows
//! nothing of the request that carried this.

mod random_name;

use std::fmt;
use std::time::Duration;

use crate::livekit::access_token::{DEFAULT_TTL, Identity, NameError, ParticipantName, ParticipantToken, RoomName};
use crate::livekit::room_config::RoomConfiguration;
pub(crate) use random_name::random_name;

/// Random letters in a name that is made up: 80 bits.
const LETTERS: usize = 16;

/// What the deployer grants.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long a token holds.
    pub ttl: Duration,
    /// Whether a client may have its room recorded.
    pub allow_client_egress: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { ttl: DEFAULT_TTL, allow_client_egress: false }
    }
}

/// What a client of LiveKit's standard endpoint says about its room and itself.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The room to join; one of its own otherwise.
    pub room: Option<RoomName>,
    /// Who the client is; someone new otherwise.
    pub identity: Option<Identity>,
    /// How it is shown.
    pub name: Option<ParticipantName>,
    /// How the room is set up where its joining creates it.
    pub room_config: Option<RoomConfiguration>,
}

impl Policy {
    /// The token of OpenVidu's tutorials: to join `room`, the display name being the identity.
    #[must_use]
    pub fn tutorial_token(&self, room: RoomName, identity: Identity) -> ParticipantToken {
        let name = ParticipantName::from(identity.clone());
        ParticipantToken::new(room, identity).with_name(name).with_ttl(self.ttl)
    }

    /// The token of LiveKit's standard endpoint: to join the room that is wished for. A room or an identity that is not named
    /// is made up, a name is not.
    ///
    /// # Errors
    /// Where the wish would cost the deployer more than he allows, or there is no randomness to make up a name.
    pub fn standard_token(&self, wish: Wish) -> Result<ParticipantToken, PolicyError> {
        let room_config = wish.room_config.filter(|config| !config.is_empty());
        if !self.allow_client_egress && room_config.as_ref().is_some_and(RoomConfiguration::has_egress) {
            return Err(PolicyError::ClientEgress);
        }
        let room = wish.room.map_or_else(|| made_up("room-", RoomName::new), Ok)?;
        let identity = wish.identity.map_or_else(|| made_up("user-", Identity::new), Ok)?;
        let mut token = ParticipantToken::new(room, identity).with_ttl(self.ttl);
        if let Some(name) = wish.name {
            token = token.with_name(name);
        }
        if let Some(config) = room_config {
            token = token.with_room_config(config);
        }
        Ok(token)
    }
}

fn made_up<T>(prefix: &str, new: fn(String) -> Result<T, NameError>) -> Result<T, PolicyError> {
    let name = random_name(prefix, LETTERS).map_err(PolicyError::NoRandomness)?;
    new(name).or(Err(PolicyError::NoRandomness(getrandom::Error::UNEXPECTED))) // neither empty nor too long
}

/// Why a wish is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// It has the room recorded, and [`Policy::allow_client_egress`] is not set.
    ClientEgress,
    /// The system has no randomness.
    NoRandomness(getrandom::Error),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientEgress => f.write_str("a client may not have its room recorded"),
            Self::NoRandomness(_) => f.write_str("the system has no randomness"),
        }
    }
}

impl std::error::Error for PolicyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoRandomness(error) => Some(error),
            Self::ClientEgress => None,
        }
    }
}
