//! Owns `POST /webhook`, where LiveKit Server reports: the token is judged before a byte of the body is read, and an authentic
//! delivery gets a 200 whatever its body says, once the inbox has it.

use std::fmt::Write;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap};
use tracing::{Level, info};

use crate::http::reply::{self, Refusal, Reply};
use crate::http::trace::{RequestId, Trace};
use crate::http::{Edge, body};
use crate::inbox::Arrival;

/// 200 with an empty body.
pub(crate) async fn answer(edge: &Edge, trace: &Trace, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    let now = edge.clock.now();
    let authenticated =
        edge.keyring.current().receiver.authenticate(authorization(request.headers())?, now).map_err(Refusal::Webhook)?;
    let body = body::read(request.body_mut(), edge.limits.webhook_body_bytes, edge.limits.body, &edge.webhook_budget).await?;
    let delivery = authenticated.accept(body).map_err(Refusal::Webhook)?;
    if !edge.inbox.keeps() && !tracing::enabled!(Level::INFO) {
        return Ok(reply::empty()); // reading the event costs more than all the rest
    }
    let arrival = Arrival::new(delivery, now);
    log(&trace.request, &arrival);
    Box::pin(edge.inbox.append(arrival)).await.map_err(Refusal::Inbox)?;
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

/// One line a delivery. It names parts of the event, for the whole holds secrets.
fn log(id: &RequestId, arrival: &Arrival) {
    if arrival.is_event() {
        info!(
            request = %id,
            event = arrival.event(),
            id = arrival.id(),
            room = arrival.room(),
            participant = arrival.participant(),
            key = arrival.key(),
            "delivery"
        );
    } else {
        info!(
            request = %id,
            bytes = arrival.body().len(),
            sha256 = hex(arrival.digest()),
            key = arrival.key(),
            "undecodable delivery: authentic, but no JSON object"
        );
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}"); // cannot fail
        hex
    })
}
