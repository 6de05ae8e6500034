//! Owns the route table and a request's way through it: head, path, method, endpoint, and the answer's way out past CORS.
//! Does not know what an endpoint does.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::pin::pin;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::time::Instant;
use tracing::{Level, debug, error};

use crate::http::content::ReplyBody;
use crate::http::conversation::InFlight;
use crate::http::endpoints::{connection_details, events, health, metrics, openapi, token, webhook};
use crate::http::lost::Refused;
use crate::http::reply::{self, Form, Refusal, Reply};
use crate::http::trace::{REQUEST_ID, RequestId, Trace};
use crate::http::{Edge, body, cors, fragment, framing};
use crate::worker::caught;

/// Where LiveKit Server is told to report.
pub(crate) const WEBHOOK: &str = "/webhook";

/// What is served to everyone. A path begins with one slash; more in front of it count as one, and one at its end as none.
const PUBLIC: &[Route] = &[
    Route { path: "/token", methods: POST, endpoint: Endpoint::Token },
    Route { path: "/connection-details", methods: POST, endpoint: Endpoint::ConnectionDetails },
    Route { path: "/api/v2/sandbox/connection-details", methods: POST, endpoint: Endpoint::Sandbox },
    Route { path: WEBHOOK, methods: POST, endpoint: Endpoint::Webhook },
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

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) door: Door,
    pub(crate) client: IpAddr,
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

impl Route {
    fn takes_webhooks(&self) -> bool {
        matches!(self.endpoint, Endpoint::Webhook)
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
    peer: Peer,
    in_flight: InFlight,
    mut request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    let begin = (edge.metrics.is_some() || tracing::enabled!(Level::DEBUG)).then(Instant::now);
    let route = find(peer.door, &edge.base_path, request.uri().path());
    let trace = trace(edge, peer, route, request.headers());
    let answered = match caught(pin!(dispatch(edge, peer.door, route, &trace, &mut request))).await {
        Ok(answered) => answered,
        Err(_) => {
            error!(request = %trace.request, "a request panicked and was answered with 500");
            Err(Refusal::Panic)
        }
    };
    let mut reply = answered.unwrap_or_else(|refusal| {
        let is_door = route.is_some_and(Route::takes_webhooks);
        refused(edge, route, &trace, Refused::webhook(&request, is_door).as_ref(), &refusal)
    });
    if peer.door == Door::Public {
        edge.cors.admit(cors::origin(request.headers()), reply.headers_mut());
        if reply.status() == StatusCode::NO_CONTENT && cors::is_preflight(&request) {
            cors::grant(route.map(|route| route.methods), request.headers(), reply.headers_mut());
        }
    }
    if let Some(begin) = begin {
        let (status, took) = (reply.status().as_u16(), begin.elapsed());
        debug!(request = %trace.request, method = %request.method(), path = request.uri().path(), status, ?took, "answered");
        if let Some(metrics) = &edge.metrics {
            metrics.answered(trace.endpoint, status, took);
        }
    }
    reply.headers_mut().insert(REQUEST_ID, trace.request.into_header());
    if !body::settle(&mut request, !reply.status().is_success()) || edge.stop.is_announced() {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(sent(reply, in_flight, &request))
}

/// `reply` as hyper takes it.
fn sent(mut reply: Reply, mut in_flight: InFlight, request: &Request<Incoming>) -> Response<ReplyBody> {
    let is_older = request.version() == Version::HTTP_10;
    if reply.headers().contains_key(CONNECTION) {
        in_flight.ends_connection();
        if is_older {
            *reply.version_mut() = Version::HTTP_10; // otherwise hyper writes keep-alive if the client asked for it
        }
    }
    reply.map(|content| ReplyBody::new(content, in_flight, request.method() == Method::HEAD, !is_older))
}

fn trace(edge: &Edge, peer: Peer, route: Option<&Route>, headers: &HeaderMap) -> Trace {
    let request = RequestId::of(headers).unwrap_or_else(|| edge.next_request_id());
    Trace { request, client: peer.client, endpoint: route.map_or("none", |route| route.endpoint.label()) }
}

/// Tells of a refusal whoever has to know, and gives the answer.
fn refused(edge: &Edge, route: Option<&Route>, trace: &Trace, webhook: Option<&Refused<'_>>, refusal: &Refusal) -> Reply {
    debug!(request = %trace.request, reason = %refusal.cause(), "refused");
    if let Some(webhook) = webhook {
        edge.lost.warn(edge, trace, webhook, refusal);
    }
    if let Some(metrics) = &edge.metrics {
        match route.map(|route| route.endpoint) {
            Some(Endpoint::Token | Endpoint::ConnectionDetails | Endpoint::Sandbox) => metrics.refused_token(refusal.label()),
            Some(Endpoint::Webhook) => metrics.refused_webhook(refusal.label()),
            _ => {}
        }
    }
    refusal.reply(form(route))
}

/// The answer to what is refused without hyper, of which no more is known than that it begins with `head`.
pub(crate) fn refuse(edge: &Edge, peer: Peer, head: &[u8], refusal: &Refusal) -> Reply {
    let request = fragment::read(head);
    let route = find(peer.door, &edge.base_path, request.uri().path());
    let trace = trace(edge, peer, route, request.headers());
    let webhook = Refused::webhook(&request, route.is_some_and(Route::takes_webhooks));
    let mut reply = refused(edge, route, &trace, webhook.as_ref(), refusal);
    edge.cors.admit(cors::origin(request.headers()), reply.headers_mut());
    reply.headers_mut().insert(REQUEST_ID, trace.request.into_header());
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

fn find(door: Door, base_path: &str, path: &str) -> Option<&'static Route> {
    let (routes, base_path) = if door == Door::Public { (PUBLIC, base_path) } else { (METRICS, "") };
    let path = path.trim_start_matches('/').strip_prefix(base_path.trim_start_matches('/'))?;
    if !base_path.is_empty() && !path.starts_with('/') {
        return None;
    }
    let path = path.trim_start_matches('/');
    let path = path.strip_suffix('/').unwrap_or(path);
    routes.iter().find(|route| route.path.strip_prefix('/') == Some(path))
}

fn form(route: Option<&Route>) -> Form {
    route.map_or(reply::OTHER, |route| route.endpoint.form())
}

async fn dispatch(
    edge: &Edge,
    door: Door,
    route: Option<&Route>,
    trace: &Trace,
    request: &mut Request<Incoming>,
) -> Result<Reply, Refusal> {
    framing::check(request, edge.limits.head_bytes)?;
    if door == Door::Public && cors::is_preflight(request) {
        return Ok(reply::no_content()); // a page reads the real answer, errors too
    }
    let route = route.ok_or(Refusal::NoSuchPath)?;
    if !route.methods.0.contains(request.method()) {
        return Err(Refusal::Method(route.methods));
    }
    if request.method() == Method::OPTIONS {
        let mut reply = reply::no_content();
        reply.headers_mut().insert(ALLOW, route.methods.header());
        cors::describe(route.methods, reply.headers_mut());
        return Ok(reply);
    }
    match route.endpoint {
        Endpoint::Token => token::answer(edge, trace, request).await,
        Endpoint::ConnectionDetails => Box::pin(connection_details::answer(edge, trace, request)).await,
        Endpoint::Sandbox => Box::pin(connection_details::answer_sandbox(edge, trace, request)).await,
        Endpoint::Webhook => webhook::answer(edge, trace, request).await,
        Endpoint::Events => Box::pin(events::answer(edge, trace, request)).await,
        Endpoint::Health => Ok(health::alive()),
        Endpoint::Ready => health::ready(edge),
        Endpoint::OpenApi => Ok(openapi::answer()),
        Endpoint::Metrics => metrics::answer(edge),
    }
}
