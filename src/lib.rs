//! roomkey is what stands between an application and [LiveKit](https://livekit.io): it mints access tokens and verifies
//! webhooks, without the LiveKit SDK. The crate is both a server (the feature `server`, on by default) and a library
//! (`default-features = false`): no I/O, no async, and no clock of its own.
//!
//! # In ten lines
//! ```
//! use roomkey::{ApiKey, Identity, ParticipantToken, RoomName, TokenVerifier, UnixTime, WebhookReceiver};
//!
//! let key = ApiKey::new("APImyKey", "a-secret-of-at-least-32-bytes-0123")?;
//! let now = UnixTime::now();
//!
//! // A token for alice to join the room daily.
//! let jwt = ParticipantToken::new(RoomName::new("daily")?, Identity::new("alice")?).to_jwt(&key, now);
//!
//! // A webhook: the header Authorization and the body vouch for each other.
//! let receiver = WebhookReceiver::new(TokenVerifier::new(key));
//! assert!(receiver.receive(&jwt, b"{}", now).is_err()); // a participant's token is no webhook's
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Code map
//! A floor imports only floors below it.
//!
//! | floor | place | owns | knows nothing of |
//! |---|---|---|---|
//! | 1 | `jws`, `clock`, `json` | HS256 compact JWS; the time; objects member by member | LiveKit, HTTP |
//! | 2 | `livekit` | keys, claims, grants, access token, room configuration, webhook receiver, event | HTTP, storage, settings |
//! | 3 | `policy`, `inbox`, `worker` | who may have which token; the durable, deduplicated record of verified deliveries; the restart of background work | HTTP requests |
//! | 4 | `http` | listener, limits, router, CORS, replies, one file an endpoint | the environment |
//! | 5 | `config`, `cli` | flags, environment, wiring | - |
//!
//! Three journeys, each one way:
//!
//! ```text
//! a token:    listener -> connection -> router -> endpoint -> policy -> access token -> JWS -> reply
//! a webhook:  listener -> connection -> router -> endpoint -> receiver (token, then body) -> inbox (commit) -> reply
//! a follower: listener -> connection -> router -> endpoint (token) -> inbox (read, wait, read) -> chunks
//! ```

pub mod clock;
mod json;
pub mod jws;
pub mod livekit;

#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
mod config;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod inbox;
#[cfg(feature = "server")]
pub mod policy;
#[cfg(feature = "server")]
mod worker;

pub use clock::UnixTime;
pub use livekit::access_token::{
    AccessToken, AccessTokenError, Identity, NameError, ParticipantName, ParticipantToken, RoomName,
};
pub use livekit::claims::Claims;
pub use livekit::danger::Danger;
pub use livekit::event::WebhookEvent;
pub use livekit::event_details::EventDetails;
pub use livekit::grants::{
    AgentEndpointGrants, AgentGrants, AgentThreadGrants, InferenceGrants, ObservabilityGrants, ParticipantKind, SIPGrants,
    TrackSource, VideoGrants,
};
pub use livekit::inspection::Inspection;
pub use livekit::key::{ApiKey, ApiKeys, KeyError};
pub use livekit::room_config::{RoomConfiguration, RoomConfigurationError};
pub use livekit::token_verifier::{TokenError, TokenVerifier};
pub use livekit::webhook::{Authenticated, Delivery, WebhookError, WebhookReceiver};

/// Lets the README's examples be tested as the documentation's are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
