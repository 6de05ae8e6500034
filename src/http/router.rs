//! Owns the route table and a request's way through it: head, path, method, endpoint, and the answer's way out past CORS.
//! Does not know what an endpoint does.

use std::convert::Infallible;
use std::fmt;
use std::pin::pin;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, HeaderValue};
use hyper::{Method, Request, Response, Version};
use tokio::time::Instant;
use tracing::{Level, debug, error};

use crate::http::content::{Content, ReplyBody};
use crate::http::endpoints::{connection_details, events, health, metrics, openapi, token, webhook};
use crate::http::pulse::InFlight;
use crate::http::reply::{self, Form, Refusal, Reply, RequestId};
use crate::http::{Edge, body, cors, framing};
use crate::worker::caught;

/// What is served to everyone. A path begins with one slash; more in front of it count as one.
const PUBLIC: &[Route] = &[
    Route { path: "/token", methods: POST, endpoint: Endpoint::Token },
    Route { path: "/connection-details", methods: POST, endpoint: Endpoint::ConnectionDetails },
    Route { path: "/api/v2/sandbox/connection-details", methods: POST, endpoint: Endpoint::Sandbox },
    Route { path: "/webhook", methods: POST, endpoint: Endpoint::Webhook },
    Route { path: "/livekit/webhook", methods: POST, endpoint: Endpoint::Webhook },
    Route { path: "/events", methods: GET, endpoint: Endpoint::Events },
    Route { path: "/healthz", methods: GET, endpoint: Endpoint::Health },
    Route { path: "/readyz", methods: GET, endpoint: Endpoint::Ready },
    Route { path: "/openapi.json", methods: GET, endpoint: Endpoint::OpenApi },
];
/// What is served to those who watch, on a listener of its own.
const METRICS: &[Route] = &[Route { path: "/metrics", methods: GET, endpoint: Endpoint::Metrics }];

const GET: Methods = Methods(&[Method::GET, Method::HEAD, Method::OPTIONS]);
const POST: Methods = Methods(&[Method::POST, Method::OPTIONS]);

/// Which listener a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Public,
    Metrics,
}

impl Door {
    /// The name of what accepts its connections.
    pub(crate) fn listener(self) -> &'static str {
        match self {
            Self::Public => "listener",
            Self::Metrics => "metrics-listener",
        }
    }
}

/// A path, what may be done there, and what does it.
#[derive(Debug)]
struct Route {
    path: &'static str,
    methods: Methods,
    endpoint: Endpoint,
}

#[derive(Clone, Copy, Debug)]
enum Endpoint {
    Token,
    ConnectionDetails,
    Sandbox,
    Webhook,
    Events,
    Health,
    Ready,
    OpenApi,
    Metrics,
}

impl Endpoint {
    /// As metrics name it.
    fn label(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::ConnectionDetails => "connection_details",
            Self::Sandbox => "sandbox",
            Self::Webhook => "webhook",
            Self::Events => "events",
            Self::Health => "healthz",
            Self::Ready => "readyz",
            Self::OpenApi => "openapi",
            Self::Metrics => "metrics",
        }
    }

    /// How it refuses.
    fn form(self) -> Form {
        match self {
            Self::Token => reply::TUTORIAL,
            Self::ConnectionDetails | Self::Sandbox => reply::STANDARD,
            _ => reply::OTHER,
        }
    }
}

/// The methods that a path takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Methods(&'static [Method]);

impl Methods {
    /// As `Allow` lists them.
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(Method::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

/// The paths that are served, for people to read.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    PUBLIC.iter().map(|route| route.path)
}

/// Answers `request`. Whatever goes wrong in it, even a panic, ends this request alone.
///
/// hyper moves this future about for each request: what is large in it and rare lies on the heap.
pub(crate) async fn answer(
    edge: &Edge,
    door: Door,
    mut in_flight: InFlight,
    mut request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    let id = edge.next_request_id();
    let begin = (edge.metrics.is_some() || tracing::enabled!(Level::DEBUG)).then(Instant::now);
    let route = find(door, &edge.base_path, request.uri().path());
    let answered = match caught(pin!(dispatch(edge, route, id, &mut request))).await {
        Ok(answered) => answered,
        Err(_) => {
            error!(request = %id, "a request panicked and was answered with 500");
            Err(Refusal::Panic)
        }
    };
    let mut reply = answered.unwrap_or_else(|refusal| {
        debug!(request = %id, reason = %refusal.cause(), "refused");
        if let Some(metrics) = &edge.metrics {
            match route.map(|route| route.endpoint) {
                Some(Endpoint::Token | Endpoint::ConnectionDetails | Endpoint::Sandbox) => metrics.refused_token(refusal.label()),
                Some(Endpoint::Webhook) => metrics.refused_webhook(refusal.label()),
                _ => {}
            }
        }
        refusal.reply(id, form(route))
    });
    if door == Door::Public {
        edge.cors.admit(cors::origin(request.headers()), reply.headers_mut());
    }
    if let Some(begin) = begin {
        let (status, took) = (reply.status().as_u16(), begin.elapsed());
        debug!(request = %id, method = %request.method(), path = request.uri().path(), status, ?took, "answered");
        if let Some(metrics) = &edge.metrics {
            metrics.answered(route.map_or("none", |route| route.endpoint.label()), status, took);
        }
    }
    if !body::settle(&mut request, !reply.status().is_success()) {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        in_flight.ends_connection();
    }
    // hyper writes no chunks to older clients, and of the answer to a HEAD only the head.
    let is_chunked = request.version() == Version::HTTP_11 && request.method() == Method::GET;
    if is_chunked && matches!(reply.body(), Content::Stream(_)) {
        if reply.headers().contains_key(CONNECTION) {
            in_flight.ends_connection();
        }
        return Ok(reply.map(|content| ReplyBody::handed_over(content, in_flight)));
    }
    Ok(reply.map(|content| ReplyBody::new(content, in_flight)))
}

fn find(door: Door, base_path: &str, path: &str) -> Option<&'static Route> {
    let (routes, base_path) = if door == Door::Public { (PUBLIC, base_path) } else { (METRICS, "") };
    let path = path.trim_start_matches('/').strip_prefix(base_path.trim_start_matches('/'))?;
    if !base_path.is_empty() && !path.starts_with('/') {
        return None;
    }
    let path = path.trim_start_matches('/');
    routes.iter().find(|route| route.path.strip_prefix('/') == Some(path))
}

fn form(route: Option<&Route>) -> Form {
    route.map_or(reply::OTHER, |route| route.endpoint.form())
}

/// How a request is refused of which no more is known than that it begins with `head`.
pub(crate) fn form_of(edge: &Edge, door: Door, head: &[u8]) -> Form {
    let target = head.split(|byte| *byte == b' ').nth(1).and_then(|target| str::from_utf8(target).ok()).unwrap_or_default();
    form(find(door, &edge.base_path, target.split('?').next().unwrap_or_default()))
}

async fn dispatch(edge: &Edge, route: Option<&Route>, id: RequestId, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    framing::check(request, edge.limits.head_bytes)?;
    let route = route.ok_or(Refusal::NoSuchPath)?;
    if !route.methods.0.contains(request.method()) {
        return Err(Refusal::Method(route.methods));
    }
    if request.method() == Method::OPTIONS {
        let mut reply = reply::no_content(ALLOW, route.methods.header());
        edge.cors.preflight(route.methods, reply.headers_mut());
        return Ok(reply);
    }
    match route.endpoint {
        Endpoint::Token => token::answer(edge, request).await,
        Endpoint::ConnectionDetails => Box::pin(connection_details::answer(edge, request)).await,
        Endpoint::Sandbox => Box::pin(connection_details::answer_sandbox(edge, request)).await,
        Endpoint::Webhook => webhook::answer(edge, id, request).await,
        Endpoint::Events => Box::pin(events::answer(edge, request)).await,
        Endpoint::Health => Ok(health::alive()),
        Endpoint::Ready => health::ready(edge),
        Endpoint::OpenApi => Ok(openapi::answer()),
        Endpoint::Metrics => metrics::answer(edge),
    }
}
