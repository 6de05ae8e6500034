//! What a request says, and who can verify it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Method;

use super::sending::{NOW, attempt, settings};
use crate::clock::UnixTime;
use crate::jws;
use crate::livekit::key::ApiKey;
use crate::livekit::token_verifier::TokenVerifier;
use crate::livekit::webhook::WebhookReceiver;
use crate::relay::sender::request::{Attempt, RequestWriter};
use crate::relay::settings::TargetSettings;

struct Written {
    headers: hyper::HeaderMap,
    body: Bytes,
}

impl Written {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("none", |value| value.to_str().unwrap())
    }
}

async fn written(settings: &TargetSettings, attempt: &Attempt) -> Written {
    let request = RequestWriter::new(settings).write(attempt, NOW).unwrap();
    assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::POST, "/livekit?site=1"));
    let (parts, body) = request.into_parts();
    Written { headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

#[tokio::test]
async fn the_headers_say_what_the_event_is() {
    let mut attempt = attempt("EV_1", r#"{"event":"room_started", "id":"EV_1"}"#);
    let settings = settings("http://localhost:1/livekit?site=1");
    let request = written(&settings, &attempt).await;
    assert_eq!(request.body, attempt.entry.body, "to the byte");
    for (name, value) in [
        ("host", "localhost:1"),
        ("content-type", "application/webhook+json"),
        ("user-agent", concat!("roomkey/", env!("CARGO_PKG_VERSION"))),
        ("webhook-id", "EV_1"),
        ("roomkey-cursor", "0001a2b3c4d50000"),
        ("roomkey-received", "2027-01-15T08:00:00.123Z"),
        ("roomkey-attempt", "1"),
        ("roomkey-late", "none"),
        ("roomkey-replay", "none"),
        ("webhook-timestamp", "none"),
        ("webhook-signature", "none"),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
    (attempt.attempt, attempt.is_late, attempt.is_replay) = (7, true, true);
    let request = written(&settings, &attempt).await;
    assert_eq!(["attempt", "late", "replay"].map(|name| request.header(&format!("roomkey-{name}"))), ["7", "1", "1"]);
}

/// Whether a receiver with the target's key takes the request at `time`.
fn verifies(request: &Written, key: &ApiKey, time: UnixTime) -> bool {
    let receiver = WebhookReceiver::new(TokenVerifier::new(key.clone()));
    receiver.receive(request.header("authorization"), &request.body, time).is_ok()
}

#[tokio::test]
async fn a_receiver_with_the_key_verifies_it_for_five_minutes() {
    let settings = settings("http://localhost:1/livekit?site=1");
    let request = written(&settings, &attempt("EV_1", "{}")).await;
    assert!(verifies(&request, &settings.key, NOW));
    assert!(verifies(&request, &settings.key, NOW.saturating_add(Duration::from_secs(299))));
    assert!(!verifies(&request, &settings.key, NOW.saturating_add(Duration::from_secs(600))));
    let other = ApiKey::new("APIrelay", "another-secret-of-at-least-32-bytes").unwrap();
    assert!(!verifies(&request, &other, NOW));
    let changed = Written { body: Bytes::from_static(b"{ }"), headers: request.headers };
    assert!(!verifies(&changed, &settings.key, NOW));
}

#[tokio::test]
async fn standard_webhooks_headers() {
    let mut settings = settings("http://localhost:1/livekit?site=1");
    settings.standard_webhooks_key = jws::Key::new(b"a-standard-webhooks-secret");
    let request = written(&settings, &attempt("EV_1", "{}")).await;
    assert_eq!(request.header("webhook-timestamp"), "1800000000");
    // printf 'EV_1.1800000000.{}' | openssl dgst -sha256 -hmac a-standard-webhooks-secret -binary | base64
    assert_eq!(request.header("webhook-signature"), "v1,1PrQyKszHtaswapOGeOhD4Xx5e2rFYssHJczcDgQG8A=");
}

#[tokio::test]
async fn an_id_that_a_header_cannot_have_is_replaced_by_the_hash_of_what_is_sent() {
    const HASH: &str = "sha256-44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"; // of {}
    let settings = settings("http://localhost:1/livekit?site=1");
    let (long, longest) = ("x".repeat(256), "x".repeat(255));
    for id in ["", "a b", "ä", "a\r\nb: c", "\u{7f}", &long] {
        assert_eq!(written(&settings, &attempt(id, "{}")).await.header("webhook-id"), HASH, "{id:?}");
    }
    for id in ["EV_1", "~!{}\"", &longest] {
        assert_eq!(written(&settings, &attempt(id, "{}")).await.header("webhook-id"), id);
    }
}

#[tokio::test]
async fn a_redacted_body_is_what_is_signed() {
    let mut settings = settings("http://localhost:1/livekit?site=1");
    settings.options.redacts = true;
    let secret = attempt("EV_1", r#"{"ingressInfo":{"streamKey":"hush"}}"#);
    let request = written(&settings, &secret).await;
    assert_eq!(request.body, r#"{"ingressInfo":{"streamKey":"[redacted]"}}"#);
    assert!(verifies(&request, &settings.key, NOW));
}
