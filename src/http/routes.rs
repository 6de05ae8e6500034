//! The route table: each path, the methods that it takes, and its endpoint. Does not know what an endpoint does.

use std::net::IpAddr;

use crate::http::headers::Methods;
use crate::http::metrics::RefusalCounter;
use crate::http::reply::ErrorFormat;
use crate::relay::steering::Verb;

/// The path that LiveKit Server is configured with.
pub(crate) const WEBHOOK: &str = "/webhook";

/// In a route's path, the part that is the name of a target.
const TARGET: &str = "{target}";

/// The public routes. In a request's path several leading slashes count as one, and a trailing slash is ignored.
const PUBLIC: &[Route] = &[
    Route { path: "/token", methods: Methods::Post, endpoint: Endpoint::Token },
    Route { path: "/connection-details", methods: Methods::Post, endpoint: Endpoint::ConnectionDetails },
    Route { path: "/api/v2/sandbox/connection-details", methods: Methods::Post, endpoint: Endpoint::Sandbox },
    Route { path: WEBHOOK, methods: Methods::Post, endpoint: Endpoint::Webhook },
    Route { path: "/livekit/webhook", methods: Methods::Post, endpoint: Endpoint::Webhook },
    Route { path: "/events", methods: Methods::Get, endpoint: Endpoint::Events },
    Route { path: "/relay", methods: Methods::Get, endpoint: Endpoint::Relay },
    Route { path: "/relay/{target}/owed", methods: Methods::Get, endpoint: Endpoint::RelayOwed },
    Route { path: "/relay/{target}/retry", methods: Methods::Post, endpoint: Endpoint::RelaySteering(Verb::Retry) },
    Route { path: "/relay/{target}/replay", methods: Methods::Post, endpoint: Endpoint::RelaySteering(Verb::Replay) },
    Route { path: "/relay/{target}/skip", methods: Methods::Post, endpoint: Endpoint::RelaySteering(Verb::Skip) },
    Route { path: "/relay/{target}/pause", methods: Methods::Post, endpoint: Endpoint::RelaySteering(Verb::Pause) },
    Route { path: "/relay/{target}/resume", methods: Methods::Post, endpoint: Endpoint::RelaySteering(Verb::Resume) },
    Route { path: "/healthz", methods: Methods::Get, endpoint: Endpoint::Health },
    Route { path: "/readyz", methods: Methods::Get, endpoint: Endpoint::Ready },
    Route { path: "/readyz/tokens", methods: Methods::Get, endpoint: Endpoint::ReadyForTokens },
    Route { path: "/readyz/webhooks", methods: Methods::Get, endpoint: Endpoint::ReadyForWebhooks },
    Route { path: "/openapi.json", methods: Methods::Get, endpoint: Endpoint::OpenApi },
];
/// The routes of the metrics listener. Probes that cannot send the header of the PROXY protocol come here too.
const METRICS: &[Route] = &[
    Route { path: "/metrics", methods: Methods::Get, endpoint: Endpoint::Metrics },
    Route { path: "/healthz", methods: Methods::Get, endpoint: Endpoint::Health },
    Route { path: "/readyz", methods: Methods::Get, endpoint: Endpoint::Ready },
    Route { path: "/readyz/tokens", methods: Methods::Get, endpoint: Endpoint::ReadyForTokens },
    Route { path: "/readyz/webhooks", methods: Methods::Get, endpoint: Endpoint::ReadyForWebhooks },
];

/// The listener that a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    Public,
    Metrics,
}

impl Listener {
    /// The name of the worker that accepts its connections.
    pub(crate) fn worker(self) -> &'static str {
        match self {
            Self::Public => "listener",
            Self::Metrics => "metrics-listener",
        }
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) listener: Listener,
    pub(crate) client: IpAddr,
}

#[derive(Debug)]
pub(crate) struct Route {
    path: &'static str,
    pub(crate) methods: Methods,
    pub(crate) endpoint: Endpoint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Token,
    ConnectionDetails,
    Sandbox,
    Webhook,
    Events,
    Relay,
    RelayOwed,
    RelaySteering(Verb),
    Health,
    Ready,
    ReadyForTokens,
    ReadyForWebhooks,
    OpenApi,
    Metrics,
}

/// What the router needs to know about an endpoint.
pub(crate) struct EndpointFacts {
    /// Its name in metrics and in the log.
    pub(crate) label: &'static str,
    pub(crate) errors: ErrorFormat,
    /// What its refusals count as in the metrics.
    pub(crate) refusals: Option<RefusalCounter>,
}

impl Endpoint {
    pub(crate) fn facts(self) -> EndpointFacts {
        let facts = |label, errors, refusals| EndpointFacts { label, errors, refusals };
        let tokens = Some(RefusalCounter::Tokens);
        match self {
            Self::Token => facts("token", ErrorFormat::TUTORIAL, tokens),
            Self::ConnectionDetails => facts("connection_details", ErrorFormat::STANDARD, tokens),
            Self::Sandbox => facts("sandbox", ErrorFormat::STANDARD, tokens),
            Self::Webhook => facts("webhook", ErrorFormat::OTHER, Some(RefusalCounter::Webhooks)),
            Self::Events => facts("events", ErrorFormat::OTHER, None),
            Self::Relay => facts("relay", ErrorFormat::OTHER, None),
            Self::RelayOwed => facts("relay_owed", ErrorFormat::OTHER, None),
            Self::RelaySteering(Verb::Retry) => facts("relay_retry", ErrorFormat::OTHER, None),
            Self::RelaySteering(Verb::Replay) => facts("relay_replay", ErrorFormat::OTHER, None),
            Self::RelaySteering(Verb::Skip) => facts("relay_skip", ErrorFormat::OTHER, None),
            Self::RelaySteering(Verb::Pause) => facts("relay_pause", ErrorFormat::OTHER, None),
            Self::RelaySteering(Verb::Resume) => facts("relay_resume", ErrorFormat::OTHER, None),
            Self::Health => facts("healthz", ErrorFormat::OTHER, None),
            Self::Ready => facts("readyz", ErrorFormat::OTHER, None),
            Self::ReadyForTokens => facts("readyz_tokens", ErrorFormat::OTHER, None),
            Self::ReadyForWebhooks => facts("readyz_webhooks", ErrorFormat::OTHER, None),
            Self::OpenApi => facts("openapi", ErrorFormat::OTHER, None),
            Self::Metrics => facts("metrics", ErrorFormat::OTHER, None),
        }
    }
}

pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    PUBLIC.iter().map(|route| route.path)
}

/// The route of `path`, which begins with `base_path` on the public listener.
pub(crate) fn find(listener: Listener, base_path: &str, path: &str) -> Option<&'static Route> {
    let (routes, base_path) = if listener == Listener::Public { (PUBLIC, base_path) } else { (METRICS, "") };
    let path = path.trim_start_matches('/').strip_prefix(base_path.trim_start_matches('/'))?;
    if !base_path.is_empty() && !path.starts_with('/') {
        return None;
    }
    let path = path.trim_start_matches('/');
    let path = path.strip_suffix('/').unwrap_or(path);
    let find = |matches: fn(&str, &str) -> bool| {
        routes.iter().find(|route| route.path.strip_prefix('/').is_some_and(|pattern| matches(pattern, path)))
    };
    find(|pattern, path| pattern == path).or_else(|| find(has_target)) // the search for a target takes longer
}

/// Whether `path` is one of the paths of `pattern`, which differ in the name of their target.
fn has_target(pattern: &str, path: &str) -> bool {
    let Some((before, after)) = pattern.split_once(TARGET) else { return false };
    let target = path.strip_prefix(before).and_then(|path| path.strip_suffix(after));
    target.is_some_and(|target| !target.is_empty() && !target.contains('/'))
}

/// The name of the target in a `path` whose route has one: the last part but one.
pub(crate) fn target(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path).rsplit('/').nth(1).unwrap_or_default()
}
