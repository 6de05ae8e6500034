//! Owns `POST /webhook`, where LiveKit Server reports: the token is judged before a byte of the body is read, and an authentic
//! delivery gets a 200 whatever its body says, once the inbox has it.

use std::fmt::Write;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap};
use tracing::{Level, debug, enabled, info, warn};

use crate::http::reply::{self, Refusal, Reply};
use crate::http::{Edge, body};
use crate::inbox::Arrival;
use crate::livekit::event::WebhookEvent;
use crate::livekit::webhook::WebhookError;

/// 200 with an empty body.
pub(crate) async fn answer(edge: &Edge, request: Request<Incoming>) -> Result<Reply, Refusal> {
    let now = edge.clock.now();
    let authenticated = edge.receiver.authenticate(authorization(request.headers())?, now).map_err(refused)?;
    let body = body::read(request.into_body(), edge.limits.webhook_body_bytes, edge.limits.body, &edge.budget).await?;
    let arrival = Arrival::new(authenticated.accept(body).map_err(refused)?, now);
    log(&arrival);
    edge.inbox.append(arrival).await.map_err(Refusal::Inbox)?;
    Ok(reply::empty())
}

/// The one value of `Authorization`. Two of them are as one that is no token.
fn authorization(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::NoAuthorization)?;
    match values.next() {
        None => Ok(value.to_str().unwrap_or_default()),
        Some(_) => Ok(""),
    }
}

fn refused(error: WebhookError) -> Refusal {
    debug!(reason = %error, "webhook refused");
    Refusal::Webhook(error)
}

/// One line a delivery. It names parts of the event, for the whole holds secrets; only where it is written are they read.
fn log(arrival: &Arrival) {
    if !arrival.is_event() {
        warn!(
            bytes = arrival.body().len(),
            sha256 = hex(arrival.digest()),
            key = arrival.key(),
            "undecodable delivery: authentic, but no JSON object"
        );
    } else if enabled!(Level::INFO) {
        let event = WebhookEvent::parse(arrival.body());
        let participant = event.as_ref().ok().and_then(|event| event.participant.as_ref());
        info!(
            event = arrival.event(),
            id = arrival.id(),
            room = arrival.room(),
            participant = participant.map_or("", |participant| &participant.identity),
            key = arrival.key(),
            "delivery"
        );
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}"); // cannot fail
        hex
    })
}
