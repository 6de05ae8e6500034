//! Owns who may have which token. A client says where it wants to go and who it is, and never what it may do there. Knows
//! nothing of the request that carried this.

use std::time::Duration;

use crate::livekit::access_token::{Identity, ParticipantName, ParticipantToken, RoomName};

/// What the deployer grants.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long a token holds.
    pub ttl: Duration,
}

impl Policy {
    /// The token of OpenVidu's tutorials: to join `room`, the display name being the identity.
    #[must_use]
    pub fn tutorial_token(&self, room: RoomName, identity: Identity) -> ParticipantToken {
        let name = ParticipantName::from(identity.clone());
        ParticipantToken::new(room, identity).with_name(name).with_ttl(self.ttl)
    }
}
