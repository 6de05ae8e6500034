//! Takes a request from its head to its answer: route, method, endpoint, common headers. Does not know what an endpoint does.

use std::convert::Infallible;
use std::pin::pin;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::time::Instant;
use tracing::{Level, debug, error};

use crate::http::access_log::AccessEntry;
use crate::http::conversation::InFlight;
use crate::http::edge::Edge;
use crate::http::endpoints::{connection_details, events, health, metrics, openapi, relay, token, webhook};
use crate::http::partial_head::{self, PartialHead};
use crate::http::refusal::Refusal;
use crate::http::reply::{self, ErrorFormat, Reply};
use crate::http::reply_body::ReplyBody;
use crate::http::routes::{Endpoint, Listener, Peer, Route, find};
use crate::http::trace::{REQUEST_ID, RequestId, Trace};
use crate::http::{body, cors, framing};
use crate::worker::caught;

/// Answers `request`. Even a panic ends only this request. hyper moves this future, so what is large and rare in it is boxed.
#[expect(clippy::manual_async_fn, reason = "the future of an async fn would hold the arguments twice")]
pub(crate) fn answer(
    edge: &Edge,
    peer: Peer,
    mut in_flight: InFlight,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ReplyBody>, Infallible>> {
    async move {
        let begin = (edge.metrics.is_some() || edge.has_access_log || tracing::enabled!(Level::DEBUG)).then(Instant::now);
        let route = find(peer.listener, &edge.base_path, request.uri().path());
        let trace = trace(edge, peer, route, request.headers());
        in_flight.access = begin.filter(|_| edge.has_access_log).map(|begin| AccessEntry::new(begin, &request, &trace));
        let answered = match caught(pin!(dispatch(edge, peer.listener, route, &trace, &mut request))).await {
            Ok(answered) => answered,
            Err(_) => {
                error!(request = %trace.request, "a request panicked and was answered with 500");
                Err(Refusal::Panic)
            }
        };
        let mut reply = answered.unwrap_or_else(|refusal| refused(edge, route, &trace, &request, &refusal));
        if peer.listener == Listener::Public {
            edge.admit(request.headers(), &mut reply);
            if reply.status() == StatusCode::NO_CONTENT && cors::is_preflight(&request) {
                cors::grant(route.map(|route| route.methods), request.headers(), reply.headers_mut());
            }
        }
        if let Some(begin) = begin {
            observe(edge, &trace, &request, &reply, begin, &mut in_flight);
        }
        reply.headers_mut().insert(REQUEST_ID, trace.request.into_header());
        if !body::settle(&mut request, !reply.status().is_success()) || edge.stop.is_announced() {
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(finish(reply, in_flight, &request))
    }
}

/// Logs and counts an answer to a request that came at `begin`.
fn observe(edge: &Edge, trace: &Trace, request: &Request<Incoming>, reply: &Reply, begin: Instant, in_flight: &mut InFlight) {
    let (status, took) = (reply.status().as_u16(), begin.elapsed());
    let (method, path) = (request.method(), request.uri().path());
    debug!(request = %trace.request, client = %trace.client, %method, path, status, ?took, "answered");
    edge.metrics.as_ref().inspect(|metrics| metrics.answered(trace.endpoint, status, took));
    if let Some(access) = &mut in_flight.access {
        access.status = status;
    }
}

fn finish(mut reply: Reply, mut in_flight: InFlight, request: &Request<Incoming>) -> Response<ReplyBody> {
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
    let request = RequestId::of(headers).unwrap_or_else(|| RequestId::next(&edge.request_ids));
    let client = edge.proxies.client(peer.client, headers);
    Trace { request, client, peer: peer.client, endpoint: route.map_or("none", |route| route.endpoint.facts().label) }
}

/// Logs and counts a refusal, and gives the answer.
fn refused<B>(edge: &Edge, route: Option<&Route>, trace: &Trace, request: &Request<B>, refusal: &Refusal) -> Reply {
    let facts = refusal.facts();
    debug!(request = %trace.request, client = %trace.client, reason = %facts.reason(), "refused");
    let endpoint = route.map(|route| route.endpoint);
    let keys = edge.keyring.current();
    let is_path_right = endpoint == Some(Endpoint::Webhook);
    edge.webhook_warnings.warn(&keys.api_keys, &edge.base_path, trace, request, is_path_right, refusal);
    let endpoint = endpoint.map(Endpoint::facts);
    if let (Some(metrics), Some(counter)) = (&edge.metrics, endpoint.as_ref().and_then(|endpoint| endpoint.refusals)) {
        metrics.refused(counter, facts.label);
    }
    reply::error(facts, endpoint.map_or(ErrorFormat::OTHER, |endpoint| endpoint.errors))
}

/// The answer to a request that hyper did not read to the end of its head, which begins with `head`.
pub(crate) fn refuse(edge: &Edge, peer: Peer, head: &[u8], refusal: &Refusal) -> Reply {
    let PartialHead { request, has_request_line } = partial_head::parse(head);
    let route = find(peer.listener, &edge.base_path, request.uri().path());
    let trace = trace(edge, peer, route, request.headers());
    let mut reply = refused(edge, route, &trace, &request, refusal);
    edge.admit(request.headers(), &mut reply);
    if edge.has_access_log && has_request_line {
        let mut access = AccessEntry::new(Instant::now(), &request, &trace);
        access.status = reply.status().as_u16();
        access.add(reply.body().whole_length());
    }
    reply.headers_mut().insert(REQUEST_ID, trace.request.into_header());
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

async fn dispatch(
    edge: &Edge,
    listener: Listener,
    route: Option<&Route>,
    trace: &Trace,
    request: &mut Request<Incoming>,
) -> Result<Reply, Refusal> {
    framing::check(request, edge.limits.head_bytes)?;
    if listener == Listener::Public && cors::is_preflight(request) {
        return Ok(reply::no_content()); // even where the path does not exist, so that the page can read the error
    }
    let route = route.ok_or(Refusal::NoSuchPath)?;
    if !route.methods.contains(request.method()) {
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
        Endpoint::Relay => Box::pin(relay::status(edge, request)).await,
        Endpoint::RelayOwed => Box::pin(relay::owed(edge, trace, request)).await,
        Endpoint::RelaySteering(verb) => Box::pin(relay::steer(edge, trace, request, verb)).await,
        Endpoint::Health => Ok(health::alive()),
        Endpoint::Ready => health::ready(edge),
        Endpoint::ReadyForTokens => health::ready_for_tokens(edge),
        Endpoint::ReadyForWebhooks => health::ready_for_webhooks(edge),
        Endpoint::OpenApi => Ok(openapi::answer()),
        Endpoint::Metrics => metrics::answer(edge),
    }
}
