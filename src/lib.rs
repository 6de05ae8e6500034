//! roomkey mints access tokens for [LiveKit](https://livekit.io) and verifies its webhooks, without the LiveKit SDK. The crate is
//! both a server (the feature `server`, on by default) and a library without I/O, async or a clock of its own
//! (`default-features = false`). The [`guide`] explains how to use both.
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
//! // A webhook is verified from its Authorization header and its body.
//! let receiver = WebhookReceiver::new(TokenVerifier::new(key));
//! assert!(receiver.receive(&jwt, b"{}", now).is_err()); // this token signs no body
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Code map
//! A floor imports only its own floor and those below.
//!
//! | floor | place | what it is for | what it does not know |
//! |---|---|---|---|
//! | 1 | `jws`, `clock`, `json` | HS256 compact JWS; the time; objects member by member | LiveKit, HTTP |
//! | 2 | `livekit` | keys, claims, grants, access token, room configuration, webhook receiver, event | HTTP, storage, settings |
//! | 3 | `policy`, `inbox`, `worker` | who may have which token; the durable, deduplicated record of verified deliveries; restarting background work | HTTP requests |
//! | 3 | `caller`, `client`, `relay` | how a caller proves itself; the one HTTP client; forwarding events to the application | rules, HTTP requests to the server |
//! | 4 | `http` | listener, limits, router, CORS, replies, one file for each endpoint | the environment |
//! | 5 | `config`, `cli` | flags, environment, commands, wiring | |
//!
//! Four journeys, each one way:
//!
//! ```text
//! a token:    listener -> connection -> router -> endpoint -> caller -> policy -> access token -> JWS -> reply
//! a webhook:  listener -> connection -> router -> endpoint -> receiver (token, then body) -> inbox (commit) -> reply
//! a follower: listener -> connection -> router -> endpoint (token) -> inbox (read, wait, read) -> chunks
//! the relay:  inbox (read, wait, read) -> lanes -> HTTP client -> the application
//! ```

pub mod clock;
mod json;
pub mod jws;
pub mod livekit;

#[cfg(feature = "server")]
mod caller;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
mod client;
#[cfg(feature = "server")]
mod config;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod inbox;
#[cfg(feature = "server")]
pub mod policy;
#[cfg(feature = "server")]
mod relay;
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

/// One page of the guide. Its file defines its links for GitHub; the definitions here come first, so rustdoc uses these.
macro_rules! page {
    ($name:ident, $file:literal) => {
        #[doc = "[changelog]: crate::guide::changelog"]
        #[doc = "[cli]: crate::guide::cli"]
        #[doc = "[figures]: crate::guide::figures"]
        #[doc = "[following]: crate::guide::inbox#following"]
        #[doc = "[inbox]: crate::guide::inbox"]
        #[doc = "[keys]: crate::guide::keys"]
        #[doc = "[limits]: crate::guide::http_api#limits"]
        #[doc = "[log]: crate::guide::settings#the-log"]
        #[doc = "[metrics]: crate::guide::settings#metrics"]
        #[doc = "[moving]: crate::guide::inbox#back-up-restore-move"]
        #[doc = "[operating]: crate::guide::operating"]
        #[doc = "[policy]: crate::guide::policy"]
        #[doc = "[probes]: crate::guide::operating#which-probe-belongs-where"]
        #[doc = "[production]: crate::guide::settings#for-production"]
        #[doc = "[relay]: crate::guide::relay"]
        #[doc = "[replicas]: crate::guide::inbox#replicas"]
        #[doc = "[sentinel]: crate::guide::inbox#sentinel"]
        #[doc = "[settings]: crate::guide::settings"]
        #[doc = "[sqlite]: crate::guide::inbox#sqlite"]
        #[doc = "[starting]: crate::guide::settings#starting"]
        #[doc = "[steering]: crate::guide::http_api#relay"]
        #[doc = "[who]: crate::guide::security#threat-model"]
        #[doc = include_str!($file)]
        pub mod $name {}
    };
}

/// The guide: how to use, run and embed roomkey.
pub mod guide {
    page!(http_api, "guide/http-api.md");
    page!(inbox, "guide/inbox.md");
    page!(relay, "guide/relay.md");
    page!(settings, "guide/settings.md");
    page!(operating, "guide/operating.md");
    page!(policy, "guide/policy.md");
    page!(keys, "guide/keys.md");
    page!(cli, "guide/cli.md");
    page!(library, "guide/library.md");
    page!(figures, "guide/figures.md");
    page!(security, "guide/security.md");
    page!(changelog, "guide/changelog.md");
}

/// Runs the README's examples as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
