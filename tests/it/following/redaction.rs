//! Owns the tests of what one who may read a room's events does not see in them.

use serde_json::Value;

use super::support::{ALL, DAILY, Server};
use crate::fixtures::recorded;

/// An event of the room `daily` in which `secrets` stands for each place where a secret can be.
fn body(id: &str, secret: impl Fn(&str) -> String) -> String {
    let s = |name: &str| format!("\"{name}\" :\t{}", secret(name));
    let deep = format!("{}{{{}}}{}", r#"{"x":[ "#.repeat(5_000), s("streamKey"), "]}".repeat(5_000));
    format!(
        concat!(
            r#" {{"event":"ingress_started" , "id":"{id}","room":{{"name":"daily",{a},"metadata":"{{\"turnPassword\":\"text\"}}"}},"#,
            r#""ingressInfo":{{ {b},"roomName":"daily","é\u00e9":"\ud83d\ude00" }},{c},"list":[{{{d}}},{{{e},"n":-1.50E+3}}],"#,
            r#""streamkey":"shown","turnPasswords":"shown","x-streamKey":"shown","value":"turnPassword","deep":{deep}}} "#,
        ),
        id = id,
        a = s("turnPassword"),
        b = s("streamKey"),
        c = s("turn_password"),
        d = s("stream_key"),
        e = s(r"stream\u004Bey"),
        deep = deep,
    )
}

const REDACTED: &str = "\"[redacted]\"";

#[tokio::test(flavor = "multi_thread")]
async fn every_secret_at_any_depth_and_nothing_else() {
    let server = Server::start().await;
    let values = [
        "\"top secret\"",
        "\"top \\\"secret\\\\\"",
        "[\"top secret\",{\"a\":\"}\"}]",
        "{\"a\":{\"top secret\":[]}}",
        "12.5",
        "null",
    ];
    for (id, value) in values.iter().enumerate() {
        server.append(body(&id.to_string(), |_| (*value).to_owned())).await;
    }
    let page = String::from_utf8(server.get_as(DAILY, "/events").await.body.to_vec()).unwrap();
    let mut events = server.events_as(DAILY, "/events").await;
    for (id, value) in values.iter().enumerate() {
        let expected = body(&id.to_string(), |_| REDACTED.to_owned());
        assert!(page.contains(&format!("\"event\":{expected}}}")), "{value}");
        assert!(events.next().await.unwrap().data.unwrap() == expected, "{value}");
    }
    assert!(!page.contains("top secret"));
    // One who may read all sees all, of that room too.
    let page = String::from_utf8(server.get_as(ALL, "/events?room=daily").await.body.to_vec()).unwrap();
    for (id, value) in values.iter().enumerate() {
        assert!(page.contains(&body(&id.to_string(), |_| (*value).to_owned())), "{value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secrets_of_a_real_livekit() {
    let server = Server::start().await;
    let mut secrets = Vec::new();
    let mut rooms = Vec::new();
    for delivery in recorded() {
        let json = delivery.json();
        let secret = |part: &str, name: &str| json.get(part)?.get(name)?.as_str().map(str::to_owned);
        secrets.extend([secret("room", "turnPassword"), secret("ingressInfo", "streamKey")].into_iter().flatten());
        rooms.extend([secret("room", "name"), secret("ingressInfo", "roomName")].into_iter().flatten());
    }
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for delivery in recorded() {
        if !seen.contains(&delivery.body) {
            server.append(&delivery.body).await;
            seen.push(delivery.body);
        }
    }
    secrets.retain(|secret| !secret.is_empty());
    assert!(!secrets.is_empty() && !rooms.is_empty(), "the recording has some");
    let mut shown = 0;
    for room in rooms {
        let answer = server.get_as(&format!(r#"{{"roomAdmin":true,"room":{}}}"#, Value::from(room)), "/events?limit=1000").await;
        let page = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(!secrets.iter().any(|secret| page.contains(secret)));
        let Value::Array(events) = answer.json()["events"].take() else { panic!("{page}") };
        shown += events.len();
    }
    assert!(shown > 0);
    let page = String::from_utf8(server.get("/events?limit=1000").await.body.to_vec()).unwrap();
    assert!(secrets.iter().all(|secret| page.contains(secret)));
}
