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

/// 200 with an empty body.
pub(crate) async fn answer(edge: &Edge, trace: &Trace, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    let now = edge.clock.now();
    let authenticated =
        edge.keyring.current().receiver.authenticate(authorization(request.headers())?, now).map_err(Refusal::Webhook)?;
    let share = Share::of(&edge.webhook_budget, trace.client);
    let body = body::read(request.body_mut(), edge.limits.webhook_body_bytes, edge.limits.body, share).await?;
    let delivery = authenticated.accept(body).map_err(Refusal::Webhook)?;
    if !edge.inbox.keeps() && !tracing::enabled!(Level::INFO) {
        return Ok(reply::empty()); // parsing the event costs more than all the rest
    }
    let arrival = Arrival::new(delivery, now);
    log(&trace.request, &arrival);
    Box::pin(edge.inbox.append(arrival)).await.map_err(Refusal::Inbox)?;
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

/// Logs one line for each delivery. It names only parts of the event, because the whole contains secrets.
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
            "undecodable delivery: authentic, but not a JSON object"
        );
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
