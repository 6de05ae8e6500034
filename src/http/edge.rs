//! Everything that the server needs to answer requests. Does not know how a request is answered.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use hyper::header::HeaderMap;

use crate::caller::observer::Observer;
use crate::clock::Clock;
use crate::http::budget::Budget;
use crate::http::cors::Cors;
use crate::http::endpoints::events::large_bodies::LargeBodies;
use crate::http::endpoints::sandbox_ids::SandboxIds;
use crate::http::keyring::Keyring;
use crate::http::limits::{Limits, READERS_A_MINUTE, WARNINGS_A_MINUTE};
use crate::http::metrics::Metrics;
use crate::http::once_a_minute::OnceAMinute;
use crate::http::policies::Policies;
use crate::http::policy_switch::PolicySwitch;
use crate::http::proxies::{ProxyNetwork, TrustedProxies};
use crate::http::proxy_protocol::ProxyProtocol;
use crate::http::reply::Reply;
use crate::http::routes;
use crate::http::stop::Stop;
use crate::http::webhook_warnings::WebhookWarnings;
use crate::inbox::Inbox;
use crate::livekit::key::ApiKeys;
use crate::policy::{self, Policy};
use crate::relay::handle::Relay;
use crate::worker::Workers;

/// A server that is ready to [`run`](crate::http::run).
#[derive(Debug)]
#[must_use]
pub struct Edge {
    pub(crate) keyring: Keyring,
    pub(crate) policies: Policies,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) inbox: Inbox,
    pub(crate) relay: Option<Relay>,
    pub(crate) tokens: Tokens,
    pub(crate) webhook_budget: Arc<Budget>,
    pub(crate) webhook_warnings: WebhookWarnings,
    pub(crate) large_bodies: LargeBodies,
    /// Why credentials did not hold lately.
    pub(crate) bad_credentials: OnceAMinute<WARNINGS_A_MINUTE>,
    /// The readers of pages that were logged lately.
    pub(crate) page_readers: OnceAMinute<READERS_A_MINUTE>,
    /// The beginning of all public paths.
    pub(crate) base_path: String,
    pub(crate) cors: Cors,
    pub(crate) proxies: TrustedProxies,
    /// Whether the connections of the public listener begin with a header of the PROXY protocol.
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    /// Whether each request is logged.
    pub(crate) has_access_log: bool,
    /// For the ids of requests that have none.
    pub(crate) request_ids: AtomicU32,
    pub(crate) metrics: Option<Metrics>,
    /// Those that must run for the server to be ready, in addition to the inbox's own and those of the tokens.
    pub(crate) workers: Workers,
    /// Each open connection of the public listener has a clone.
    pub(crate) open_connections: Arc<()>,
    pub(crate) stop: Arc<Stop>,
}

/// What the token endpoints need.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) policy: Policy,
    /// The URL that clients are told to connect to.
    pub(crate) livekit_url: String,
    pub(crate) sandbox_ids: SandboxIds,
    /// How many tokens each rule gave to each caller lately.
    pub(crate) limits: policy::limits::Limits,
    pub(crate) budget: Arc<Budget>,
    /// Those that keep the policy and the keys of issuers up to date.
    pub(crate) workers: Workers,
}

impl Edge {
    /// A server that signs tokens with the first of `keys` and accepts webhooks that are signed with any of them.
    pub fn new(keys: ApiKeys, policy: Policy, limits: Limits, clock: Clock) -> Self {
        let budget = Budget::shared_by_clients(limits.held_body_bytes, limits.client_held_body_bytes);
        let tokens = Tokens {
            policy,
            livekit_url: "ws://localhost:7880".to_owned(),
            sandbox_ids: SandboxIds::default(),
            limits: Default::default(),
            budget,
            workers: Workers::default(),
        };
        Self {
            keyring: Keyring::new(keys),
            policies: Policies::default(),
            inbox: Inbox::none(),
            relay: None,
            tokens,
            webhook_budget: Budget::new(limits.held_body_bytes),
            webhook_warnings: WebhookWarnings::default(),
            large_bodies: LargeBodies::default(),
            bad_credentials: OnceAMinute::default(),
            page_readers: OnceAMinute::default(),
            base_path: String::new(),
            cors: Cors::AnyOrigin,
            proxies: TrustedProxies::default(),
            proxy_protocol: None,
            has_access_log: false,
            // The ids of different runs should differ too.
            request_ids: AtomicU32::new(clock.now().subsec_nanos()),
            metrics: None,
            workers: Workers::default(),
            open_connections: Arc::default(),
            stop: Arc::default(),
            clock,
            limits,
        }
    }

    /// Tells clients to connect to LiveKit Server at this URL. The default is one on their own machine.
    pub fn with_livekit_url(mut self, livekit_url: impl Into<String>) -> Self {
        self.tokens.livekit_url = livekit_url.into();
        self
    }

    /// Requires one of these ids at the path of LiveKit Cloud's development token server. By default no id is required.
    pub fn with_sandbox_ids<'a>(mut self, ids: impl IntoIterator<Item = &'a str>) -> Self {
        self.tokens.sandbox_ids = SandboxIds::new(ids);
        self
    }

    /// Sets which pages may read the answers. By default all may.
    pub fn with_cors(self, cors: Cors) -> Self {
        Self { cors, ..self }
    }

    /// Believes what these proxies say about their clients' addresses. By default no proxy is believed.
    pub fn with_trusted_proxies(self, proxies: impl IntoIterator<Item = ProxyNetwork>) -> Self {
        Self { proxies: TrustedProxies::new(proxies.into_iter().collect()), ..self }
    }

    /// Requires that each connection begins with a header of the PROXY protocol, which names the client. Only a load balancer may
    /// reach the server then. The metrics listener takes no such header.
    pub fn with_proxy_protocol(self, is_required: bool) -> Self {
        Self { proxy_protocol: is_required.then(ProxyProtocol::default), ..self }
    }

    /// Logs each request, once it is answered, at level info.
    pub fn with_access_log(self, has_access_log: bool) -> Self {
        Self { has_access_log, ..self }
    }

    /// Serves all public paths below `base_path`, such as `/x`, and nothing elsewhere.
    pub fn with_base_path(mut self, base_path: impl Into<String>) -> Self {
        self.base_path = base_path.into();
        self
    }

    /// Counts requests in `metrics`.
    pub fn with_metrics(self, metrics: Option<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// Stores deliveries in `inbox`. By default they are verified, logged and dropped.
    pub fn with_inbox(self, inbox: Inbox) -> Self {
        Self { inbox, ..self }
    }

    /// Shows and steers `relay`, which forwards the events of the inbox. By default there is none.
    pub(crate) fn with_relay(self, relay: Option<Relay>) -> Self {
        Self { relay, ..self }
    }

    /// The keys, which can be replaced while the server runs.
    pub fn keyring(&self) -> Keyring {
        self.keyring.clone()
    }

    /// Puts policies into force, also while the server runs.
    pub(crate) fn policy_switch(&self) -> PolicySwitch {
        let callers = self.metrics.as_ref().map(|metrics| metrics.callers.clone());
        PolicySwitch {
            policies: self.policies.clone(),
            clock: self.clock.clone(),
            keyring: self.keyring(),
            observer: callers.map_or_else(|| Arc::new(()) as Arc<dyn Observer>, |callers| Arc::new(callers)),
            workers: self.tokens.workers.clone(),
        }
    }

    /// The public paths.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        routes::paths().map(|path| format!("{}{path}", self.base_path))
    }

    /// Lets the page that sent the request with these headers read the answer, if it may.
    pub(crate) fn admit(&self, headers: &HeaderMap, reply: &mut Reply) {
        self.cors.admit(headers, || self.policies.use_sessions(), reply.headers_mut());
    }

    pub(crate) fn count_cut(&self, cause: &'static str) {
        self.metrics.as_ref().inspect(|metrics| metrics.cut(cause));
    }
}
