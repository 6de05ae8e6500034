//! Owns the HTTP/1.1 edge on bare hyper: listener, connections and their patience, router, CORS, replies. Knows nothing of the
//! environment: everything comes in as an argument.

mod body;
mod connection;
mod cors;
mod endpoints;
mod limits;
mod listener;
mod pulse;
mod reply;
mod router;
mod stop;

use std::sync::Arc;

pub use cors::Cors;
pub use limits::Limits;
pub use listener::{Bind, bind, run};

use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::livekit::key::ApiKeys;
use crate::livekit::token_verifier::TokenVerifier;
use crate::livekit::webhook::WebhookReceiver;
use crate::policy::Policy;

/// All that the edge needs to answer.
#[derive(Debug)]
pub struct Edge {
    keys: ApiKeys,
    receiver: WebhookReceiver,
    policy: Policy,
    cors: Cors,
    limits: Limits,
    clock: Clock,
    inbox: Inbox,
    budget: Arc<body::Budget>,
}

impl Edge {
    /// An edge that mints with the first of `keys` and takes webhooks of all of them.
    #[must_use]
    pub fn new(keys: ApiKeys, policy: Policy, cors: Cors, limits: Limits, clock: Clock) -> Self {
        Self {
            receiver: WebhookReceiver::new(TokenVerifier::new(keys.clone())),
            budget: body::Budget::new(limits.held_body_bytes),
            keys,
            policy,
            cors,
            limits,
            clock,
            inbox: Inbox::none(),
        }
    }

    /// The same edge, which keeps deliveries in `inbox`. Without one they are verified, logged and forgotten.
    #[must_use]
    pub fn with_inbox(mut self, inbox: Inbox) -> Self {
        self.inbox = inbox;
        self
    }

    /// The paths that are served.
    pub fn paths(&self) -> impl Iterator<Item = &'static str> {
        router::paths()
    }
}
