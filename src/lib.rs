//! Access tokens and verified webhooks for LiveKit.
pub mod clock;
mod json;
pub mod jws;
pub mod livekit;

pub use clock::UnixTime;
pub use livekit::access_token::{
    AccessToken, AccessTokenError, Identity, NameError, ParticipantName, ParticipantToken, RoomName,
};
pub use livekit::claims::Claims;
pub use livekit::event::WebhookEvent;
pub use livekit::grants::{
    AgentEndpointGrants, AgentGrants, AgentThreadGrants, InferenceGrants, ObservabilityGrants, ParticipantKind, SIPGrants,
    TrackSource, VideoGrants,
};
pub use livekit::key::{ApiKey, ApiKeys, KeyError};
pub use livekit::room_config::{RoomConfiguration, RoomConfigurationError};
pub use livekit::token_verifier::{TokenError, TokenVerifier};
pub use livekit::webhook::{Authenticated, Delivery, WebhookError, WebhookReceiver};
