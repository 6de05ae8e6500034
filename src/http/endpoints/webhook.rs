//! `POST /webhook`: takes LiveKit Server's deliveries. The token is verified before the body is read. An authentic delivery gets
//! 200 once the inbox has stored it, whatever its body says.

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap};
use tracing::{Level, info};

use crate::http::body;
use crate::http::budget::Share;
use crate::http::edge::Edge;
use crate::http::headers::only;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::http::trace::{RequestId, Trace};
use crate::inbox::Arrival;
use crate::livekit::event_summary::EventSummary;

/// 200 with an empty body.
pub(crate) async fn answer(edge: &Edge, trace: &Trace, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    let now = edge.clock.now();
    let authenticated =
        edge.keyring.current().receiver.authenticate(authorization(request.headers())?, now).map_err(Refusal::Webhook)?;
    let share = Share::of(&edge.webhook_budget, trace.client);
    let body = body::read(request.body_mut(), edge.limits.webhook_body_bytes, edge.limits.body, share).await?;
    let delivery = authenticated.accept(body).map_err(Refusal::Webhook)?;
    if edge.inbox.keeps() {
        let arrival = Arrival::new(delivery, now);
        log(&trace.request, &Logged::from(&arrival));
        Box::pin(edge.inbox.append(arrival)).await.map_err(Refusal::Inbox)?;
    } else if tracing::enabled!(Level::INFO) {
        // Reading the event costs more than all the rest, so it is read only to be logged, and only what is logged. A mistake in the
        // rest of an authentic body is not noticed.
        let (key, body, digest) = (delivery.key(), delivery.body(), delivery.digest());
        let whole;
        let event = match EventSummary::quick(body) {
            None => {
                whole = delivery.event().ok();
                whole.as_ref().map(EventSummary::from)
            }
            quick => quick,
        };
        log(&trace.request, &Logged { key, body, digest, event });
    }
    Ok(reply::empty())
}

/// The value of `Authorization`. A repeated header counts as a malformed token.
fn authorization(headers: &HeaderMap) -> Result<&str, Refusal> {
    match only(headers, AUTHORIZATION) {
        Ok(Some(value)) => Ok(value.to_str().unwrap_or_default()),
        Ok(None) => Err(Refusal::NoAuthorization),
        Err(_) => Ok(""),
    }
}

/// What is logged about a delivery. The whole event contains secrets.
struct Logged<'a> {
    key: &'a str,
    body: &'a [u8],
    digest: &'a [u8; 32],
    event: Option<EventSummary<'a>>,
}

impl<'a> From<&'a Arrival> for Logged<'a> {
    fn from(arrival: &'a Arrival) -> Self {
        let (event, id, room, participant) = (arrival.event(), arrival.id(), arrival.room(), arrival.participant());
        let event = arrival.is_event().then_some(EventSummary { event, id, room, participant });
        Self { key: arrival.key(), body: arrival.body(), digest: arrival.digest(), event }
    }
}

/// Logs one line for each delivery.
fn log(request: &RequestId, Logged { key, body, digest, event }: &Logged<'_>) {
    match event {
        Some(EventSummary { event, id, room, participant }) => {
            info!(%request, event, id, room, participant, key, "delivery");
        }
        None => {
            let (bytes, sha256) = (body.len(), hex(*digest));
            info!(%request, bytes, sha256, key, "undecodable delivery: authentic, but not a JSON object that can be an event");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
