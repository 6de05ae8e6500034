//! Decides who may have which token. A client says which room it wants to join and who it is, but never what it may do there. Does
//! not know the request that asked for a token.

pub(crate) mod asked;
pub(crate) mod check;
mod compare;
mod content;
pub(crate) mod denial;
pub(crate) mod file;
mod implication;
pub(crate) mod limits;
mod overlap;
mod pattern;
mod permission;
mod placeholder;
mod policy_rules;
#[cfg(test)]
mod properties;
mod random_name;
mod rate;
pub(crate) mod rule;
pub(crate) mod rules;
mod template;
pub(crate) mod values;

use std::io;
use std::time::Duration;

use crate::livekit::access_token::{DEFAULT_TTL, Identity, NameError, ParticipantName, ParticipantToken, RoomName};
use crate::livekit::room_config::RoomConfiguration;
pub use policy_rules::{NoToken, PolicyCaller, PolicyMistakes, PolicyRules};
pub(crate) use random_name::random_name;

/// Random letters in a generated name: 80 bits.
const RANDOM_LETTERS: usize = 16;

/// What the operator of the server allows.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long a token is valid.
    pub ttl: Duration,
    /// Whether a client may start recordings of its room.
    pub allow_client_egress: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { ttl: DEFAULT_TTL, allow_client_egress: false }
    }
}

/// What a client of LiveKit's standard endpoint asks for.
#[derive(Clone, Debug, Default)]
pub struct TokenRequest {
    /// The room to join. If there is none, a name is generated.
    pub room: Option<RoomName>,
    /// The client's identity. If there is none, one is generated.
    pub identity: Option<Identity>,
    /// The client's display name.
    pub name: Option<ParticipantName>,
    /// The configuration of the room, if this client creates it.
    pub room_config: Option<RoomConfiguration>,
}

impl Policy {
    /// The token of OpenVidu's tutorials: to join `room`, with the identity as display name.
    #[must_use]
    pub fn tutorial_token(&self, room: RoomName, identity: Identity) -> ParticipantToken {
        let name = ParticipantName::from(identity.clone());
        ParticipantToken::new(room, identity).with_name(name).with_ttl(self.ttl)
    }

    /// The token of LiveKit's standard endpoint: to join the requested room.
    ///
    /// # Errors
    /// If the request needs what the operator does not allow, or the system has no randomness to generate a name.
    pub fn standard_token(&self, request: TokenRequest) -> Result<ParticipantToken, PolicyError> {
        let room_config = request.room_config.filter(|config| !config.is_empty());
        if !self.allow_client_egress && room_config.as_ref().is_some_and(RoomConfiguration::has_egress) {
            return Err(PolicyError::ClientEgress);
        }
        let room = request.room.map_or_else(|| generate("room-", RoomName::new), Ok)?;
        let identity = request.identity.map_or_else(|| generate("user-", Identity::new), Ok)?;
        let mut token = ParticipantToken::new(room, identity).with_ttl(self.ttl);
        if let Some(name) = request.name {
            token = token.with_name(name);
        }
        if let Some(config) = room_config {
            token = token.with_room_config(config);
        }
        Ok(token)
    }
}

/// Letters for `{random}`.
pub(crate) fn random_letters() -> Result<String, getrandom::Error> {
    random_name("", RANDOM_LETTERS)
}

fn generate<T>(prefix: &str, new: fn(String) -> Result<T, NameError>) -> Result<T, PolicyError> {
    let name = random_name(prefix, RANDOM_LETTERS).map_err(|error| PolicyError::NoRandomness(error.into()))?;
    new(name).map_err(|error| PolicyError::NoRandomness(io::Error::other(error))) // never: the name is neither empty nor too long
}

/// Why a client gets no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The request starts a recording, and [`Policy::allow_client_egress`] is not set.
    #[error("a client must not start recordings of its room")]
    ClientEgress,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    NoRandomness(#[source] io::Error),
}
