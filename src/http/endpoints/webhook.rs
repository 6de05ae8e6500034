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
use crate::json::{self, Scan, Scanner};
use crate::livekit::event::WebhookEvent;

/// Most events are shorter.
const USUAL_BYTES: usize = 16 * 1024;

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
        // Reading the event costs more than all the rest, so it is read only to be logged, and only what is logged.
        let (key, body, digest) = (delivery.key(), delivery.body(), delivery.digest());
        let log = |event| log(&trace.request, &Logged { key, body, digest, event });
        match usual(body) {
            None => log(delivery.event().ok().as_ref().map(event_for_log)),
            usual => log(usual),
        }
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

/// What is logged about a delivery.
struct Logged<'a> {
    key: &'a str,
    body: &'a [u8],
    digest: &'a [u8; 32],
    event: Option<EventForLog<'a>>,
}

/// The parts of an event that are logged. The whole contains secrets.
#[derive(Debug, Default, PartialEq)]
struct EventForLog<'a> {
    event: &'a str,
    id: &'a str,
    room: &'a str,
    participant: &'a str,
}

/// Reads most events quickly. Does not notice a mistake in what is not logged.
impl<'a> Scan<'a> for EventForLog<'a> {
    fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        let mut event = Self::default();
        scanner.object(|scanner, name| {
            match name {
                "event" => event.event = scanner.string()?,
                "id" => event.id = scanner.string()?,
                "room" => event.room = member("name", scanner)?,
                "participant" => event.participant = member("identity", scanner)?,
                "egressInfo" | "ingressInfo" | "job" => return None, // the room may be named there
                _ => scanner.skip_valid()?,
            }
            Some(())
        })?;
        Some(event)
    }
}

/// The string `wanted` in the next object; empty if it is not there.
fn member<'a>(wanted: &str, scanner: &mut Scanner<'a>) -> Option<&'a str> {
    let mut found = "";
    scanner.object(|scanner, name| {
        if name == wanted {
            found = scanner.string()?;
            return Some(());
        }
        scanner.skip_valid()
    })?;
    Some(found)
}

/// The event in a body of usual size. Reading an event as a whole has bounds, whatever its size.
fn usual(body: &[u8]) -> Option<EventForLog<'_>> {
    if body.len() > USUAL_BYTES { None } else { json::scan(str::from_utf8(body).ok()?) }
}

impl<'a> From<&'a Arrival> for Logged<'a> {
    fn from(arrival: &'a Arrival) -> Self {
        let (event, id, room, participant) = (arrival.event(), arrival.id(), arrival.room(), arrival.participant());
        let event = arrival.is_event().then_some(EventForLog { event, id, room, participant });
        Self { key: arrival.key(), body: arrival.body(), digest: arrival.digest(), event }
    }
}

fn event_for_log<'a>(event: &'a WebhookEvent<'a>) -> EventForLog<'a> {
    let participant = event.participant.as_ref().map_or("", |participant| &participant.identity);
    EventForLog { event: &event.event, id: &event.id, room: event.room_name().unwrap_or_default(), participant }
}

/// Logs one line for each delivery.
fn log(request: &RequestId, Logged { key, body, digest, event }: &Logged<'_>) {
    match event {
        Some(EventForLog { event, id, room, participant }) => {
            info!(%request, event, id, room, participant, key, "delivery");
        }
        None => {
            let (bytes, sha256) = (body.len(), hex(*digest));
            info!(%request, bytes, sha256, key, "undecodable delivery: authentic, but not a JSON object");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_quickly_for_the_log_is_read_alike_as_an_event() {
        let bodies = [
            include_str!("../../../fixtures/deliveries/004-track_published.body"),
            r#"{"event":"a","x":[[{}],"]",{"}":"\\\"}"}],"room":{"x":{},"name":"r"},"participant":{"identity":"p"},"id":"EV_1"}"#,
        ];
        for body in bodies {
            let (mut quickly, mut alike) = (0, 0);
            for body in json::mutations(body) {
                let Some(usual) = usual(body.as_bytes()) else { continue };
                quickly += 1;
                if let Ok(event) = WebhookEvent::parse(body.as_bytes()) {
                    assert_eq!(event_for_log(&event), usual, "{body}");
                    alike += 1;
                }
            }
            assert!(alike > 500 && quickly > alike, "{alike} of {quickly}");
            assert!(usual(body.as_bytes()).is_some(), "{body}");
        }
    }
}
