//! Owns the HTTP/1.1 edge on bare hyper: listener, connections and their patience, router, CORS, replies. Knows nothing of the
//! environment: everything comes in as an argument.

mod body;
mod boundaries;
mod budget;
mod connection;
mod content;
mod conversation;
mod cors;
mod endpoints;
mod fragment;
mod framing;
mod inbox_metrics;
mod keyring;
mod large;
mod limits;
mod listener;
mod lost;
mod metrics;
mod observed;
mod origin;
mod recent;
mod reply;
mod router;
mod stop;
mod streaming;
mod trace;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

pub use cors::Cors;
pub use keyring::Keyring;
pub use limits::Limits;
pub use listener::{Bind, bind, listen, run};
pub use metrics::Metrics;
pub(crate) use origin::parse_url;
pub use origin::{AllowedOrigin, MalformedOrigin};

use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::livekit::key::ApiKeys;
use crate::policy::Policy;
use crate::worker::Workers;
use budget::Budget;
use endpoints::connection_details::SandboxIds;
use endpoints::events::LargeBodies;
use limits::READERS_A_MINUTE;
use lost::Lost;
use recent::Recent;
use stop::Stop;
use trace::RequestId;

/// All that the edge needs to answer.
#[derive(Debug)]
pub struct Edge {
    keyring: Keyring,
    policy: Policy,
    clock: Clock,
    inbox: Inbox,
    limits: Limits,
    livekit_url: String,
    sandbox_ids: SandboxIds,
    cors: Cors,
    base_path: String,
    metrics: Option<Metrics>,
    token_budget: Arc<Budget>,
    webhook_budget: Arc<Budget>,
    large_bodies: LargeBodies,
    stop: Arc<Stop>,
    requests: AtomicU32,
    lost: Lost,
    readers: Recent,
    workers: Workers,
}

impl Edge {
    /// An edge that mints with the first of `keys` and takes webhooks of all of them. See [`keyring`](Self::keyring).
    #[must_use]
    pub fn new(keys: ApiKeys, policy: Policy, limits: Limits, clock: Clock) -> Self {
        Self {
            keyring: Keyring::new(keys),
            token_budget: Budget::new(limits.held_body_bytes),
            webhook_budget: Budget::new(limits.held_body_bytes),
            // Ids of different runs should differ too.
            requests: AtomicU32::new(clock.now().subsec_nanos()),
            livekit_url: "ws://localhost:7880".to_owned(),
            sandbox_ids: SandboxIds::default(),
            cors: Cors::AnyOrigin,
            base_path: String::new(),
            metrics: None,
            lost: Lost::default(),
            readers: Recent::new(READERS_A_MINUTE),
            stop: Arc::default(),
            policy,
            limits,
            clock,
            inbox: Inbox::none(),
            large_bodies: LargeBodies::default(),
            workers: Workers::default(),
        }
    }

    /// Sends clients to LiveKit Server at this URL; to one on their own machine otherwise.
    #[must_use]
    pub fn with_livekit_url(self, livekit_url: impl Into<String>) -> Self {
        Self { livekit_url: livekit_url.into(), ..self }
    }

    /// Wants one of these ids at the path of LiveKit Cloud's development token server; none of them otherwise.
    #[must_use]
    pub fn with_sandbox_ids<'a>(self, ids: impl IntoIterator<Item = &'a str>) -> Self {
        Self { sandbox_ids: SandboxIds::new(ids), ..self }
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

    /// The same edge, which keeps deliveries in `inbox`. Without one they are verified, logged and forgotten.
    #[must_use]
    pub fn with_inbox(self, inbox: Inbox) -> Self {
        Self { inbox, ..self }
    }

    /// The keys, to change them while the edge serves.
    #[must_use]
    pub fn keyring(&self) -> Keyring {
        self.keyring.clone()
    }

    /// The background work without which this is not ready, beside the inbox's own.
    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// The paths that are served.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        router::paths().map(|path| format!("{}{path}", self.base_path))
    }

    /// Short, and spread so that neighbours look different: a step by an odd number passes every value once.
    fn next_request_id(&self) -> RequestId {
        RequestId::new(self.requests.fetch_add(1, Relaxed).wrapping_mul(0x9E37_79B1))
    }

    /// The bytes of bodies and answers that are held now.
    fn held_bytes(&self) -> usize {
        self.token_budget.held().saturating_add(self.webhook_budget.held())
    }

    fn count_cut(&self, cause: &'static str) {
        self.metrics.as_ref().inspect(|metrics| metrics.cut(cause));
    }
}
