//! Owns the HTTP/1.1 edge on bare hyper: listener, connections and their patience, router, CORS, replies. Knows nothing of the
//! environment: everything comes in as an argument.

mod body;
mod connection;
mod cors;
mod endpoints;
mod framing;
mod limits;
mod listener;
mod metrics;
mod pulse;
mod reply;
mod router;
mod stop;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

pub use cors::Cors;
pub use limits::Limits;
pub use listener::{Bind, bind, listen, run};
pub use metrics::Metrics;

use crate::clock::Clock;
use crate::livekit::key::ApiKeys;
use crate::livekit::token_verifier::TokenVerifier;
use crate::livekit::webhook::WebhookReceiver;
use crate::policy::Policy;
use reply::RequestId;
use stop::Stop;

/// All that the edge needs to answer.
#[derive(Debug)]
pub struct Edge {
    keys: ApiKeys,
    receiver: WebhookReceiver,
    policy: Policy,
    clock: Clock,
    limits: Limits,
    cors: Cors,
    base_path: String,
    metrics: Option<Metrics>,
    budget: Arc<body::Budget>,
    stop: Stop,
    requests: AtomicU32,
}

impl Edge {
    /// An edge that mints with the first of `keys` and takes webhooks of all of them.
    #[must_use]
    pub fn new(keys: ApiKeys, policy: Policy, limits: Limits, clock: Clock) -> Self {
        Self {
            receiver: WebhookReceiver::new(TokenVerifier::new(keys.clone())),
            budget: body::Budget::new(limits.held_body_bytes),
            // Ids of different runs should differ too.
            requests: AtomicU32::new(clock.now().subsec_nanos()),
            cors: Cors::AnyOrigin,
            base_path: String::new(),
            metrics: None,
            stop: Stop::default(),
            keys,
            policy,
            limits,
            clock,
        }
    }

    /// Lets only pages of these origins read the answers; all of them otherwise.
    #[must_use]
    pub fn with_cors(self, cors: Cors) -> Self {
        Self { cors, ..self }
    }

    /// Serves everything below `base_path`, such as `/x`, and nothing elsewhere.
    #[must_use]
    pub fn with_base_path(self, base_path: impl Into<String>) -> Self {
        Self { base_path: base_path.into(), ..self }
    }

    /// Counts.
    #[must_use]
    pub fn with_metrics(self, metrics: Option<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// The paths that are served.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        router::paths().map(|path| format!("{}{path}", self.base_path))
    }

    /// Short, and spread so that neighbours look different: a step by an odd number passes every value once.
    fn next_request_id(&self) -> RequestId {
        RequestId(self.requests.fetch_add(1, Relaxed).wrapping_mul(0x9E37_79B1))
    }

    fn count_cut(&self, cause: &'static str) {
        self.metrics.as_ref().inspect(|metrics| metrics.cut(cause));
    }
}
