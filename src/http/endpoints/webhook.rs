//! Owns `POST /webhook`, where LiveKit Server reports: the token is judged before a byte of the body is read, and an authentic
//! delivery gets a 200 whatever its body says, once the inbox has it.

use std::fmt::Write;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap};
use tracing::{Level, info};

use crate::http::reply::{self, Refusal, Reply, RequestId};
use crate::http::{Edge, body};
use crate::inbox::Arrival;
use crate::livekit::webhook::Delivery;

/// 200 with an empty body.
pub(crate) async fn answer(edge: &Edge, id: RequestId, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    let now = edge.clock.now();
    let authenticated =
        edge.keyring.current().receiver.authenticate(authorization(request.headers())?, now).map_err(Refusal::Webhook)?;
    let body = body::read(request.body_mut(), edge.limits.webhook_body_bytes, edge.limits.body, &edge.budget).await?;
    let delivery = authenticated.accept(body).map_err(Refusal::Webhook)?;
    log(id, &delivery);
    if edge.inbox.keeps() {
        edge.inbox.append(Arrival::new(delivery, now)).await.map_err(Refusal::Inbox)?;
    }
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
fn log<B: AsRef<[u8]>>(id: RequestId, delivery: &Delivery<B>) {
    if !tracing::enabled!(Level::INFO) {
        return; // reading the event costs more than all the rest
    }
    match delivery.event() {
        Ok(event) => info!(
            request = %id,
            event = &*event.event,
            id = &*event.id,
            room = event.room_name().unwrap_or_default(),
            participant = event.participant.as_ref().map_or("", |participant| &participant.identity),
            key = delivery.key(),
            "delivery"
        ),
        Err(_) => info!(
            request = %id,
            bytes = delivery.body().len(),
            sha256 = hex(delivery.digest()),
            key = delivery.key(),
            "undecodable delivery: authentic, but no JSON object"
        ),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}"); // cannot fail
        hex
    })
}
