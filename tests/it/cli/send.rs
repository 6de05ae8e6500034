//! Tests of `webhook send` against the server: every event arrives, signed and in a shape that the library reads.

use std::collections::BTreeSet;
use std::net::TcpListener;

use roomkey::livekit::event::EVENTS;
use roomkey::{UnixTime, WebhookEvent};
use serde_json::Value;

use super::send_retry::Scripted;
use super::{assert_says, present};
use crate::fixtures::{SERVER_KEY, digest, payload, recorded};
use crate::harness::edge::{Server, Setup};
use crate::harness::program::Start;

/// A server in this process, with the system's clock and both keys.
fn server() -> Server {
    Setup::default().start_with_clock(UnixTime::now)
}

fn url(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.address)
}

fn send(url: &str, more: &[&str]) -> Start {
    Start::command_with_keys([&["webhook", "send", "--url", url], more].concat())
}

#[test]
fn the_server_accepts_every_event() {
    let server = server();
    for event in EVENTS {
        let told = send(&url(&server, "/webhook"), &["--event", event]).run();
        assert_eq!(told.stderr, "");
        assert_says(&told.done(), &["200 OK in ", " ms", event, "EV_"]);
    }
    for path in ["/livekit/webhook", "//webhook", "/webhook?a=b"] {
        send(&url(&server, path), &["--event", "room_started"]).run().done();
    }
}

#[test]
fn an_answer_that_is_not_2xx_is_status_1() {
    let server = server();
    let ended = send(&url(&server, "/nowhere"), &["--event", "room_started"]).run();
    assert_eq!(ended.status, 1);
    assert_says(&ended.stdout, &["404 Not Found in", "errorMessage"]);
    let stranger = Start::command(["webhook", "send", "--url", &url(&server, "/webhook"), "--event", "room_started"]).run();
    assert_eq!(stranger.status, 1);
    assert_says(&stranger.stdout, &["401 Unauthorized in"]);
    assert!(!stranger.stdout.contains("eyJ"), "no token is told");
}

#[test]
fn a_receiver_that_is_not_there_is_status_1() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/webhook?secret=hushhush", free.local_addr().unwrap());
    drop(free);
    let ended = send(&url, &["--event", "room_started"]).run();
    assert_eq!(ended.status, 1);
    assert_says(&ended.stdout, &["no connection", "room_started"]);
    assert!(!ended.stdout.contains("hushhush"));
    let ended = send(&url, &["--event", "room_started", "--json"]).run();
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&told["status"], &told["tries"]), (&Value::Null, &Value::from(1)));
    assert_says(told["error"].as_str().unwrap(), &["no connection"]);
}

#[test]
fn each_delivery_has_an_id_of_its_own() {
    let server = server();
    let lines = send(&url(&server, "/webhook"), &["--event", "track_published", "--count", "3", "--json"]).run().done();
    let told: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: BTreeSet<_> = told.iter().map(|each| each["id"].as_str().unwrap()).collect();
    assert_eq!((told.len(), ids.len()), (3, 3));
    for each in &told {
        assert_eq!((&each["event"], &each["status"], &each["tries"]), (&"track_published".into(), &200.into(), &1.into()));
        assert!(each["milliseconds"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn a_delivery_is_what_livekit_sends() {
    for event in EVENTS {
        let receiver = Scripted::answering(&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
        let before = present();
        let more = ["--event", event, "--room", "Raum \"1\"/ü", "--identity", "bob\n\\"];
        send(&receiver.url(), &more).run().done();
        let request = receiver.requests().remove(0);
        let head = request.head.to_ascii_lowercase();
        assert_says(&head, &["post /webhook http/1.1\r\n", "content-type: application/webhook+json\r\n", "host: 127.0.0.1:"]);
        assert_says(&head, &[&format!("content-length: {}\r\n", request.body.len()), "user-agent: roomkey/"]);

        let claims = payload(request.authorization());
        let names: BTreeSet<_> = claims.keys().map(String::as_str).collect();
        assert_eq!(names, BTreeSet::from(["exp", "iat", "iss", "nbf", "sha256"]), "no sub, no video");
        let iat = claims["iat"].as_u64().unwrap();
        assert!((before..before + 30).contains(&iat));
        assert_eq!((&claims["nbf"], claims["exp"].as_u64().unwrap()), (&claims["iat"], iat + 300));
        assert_eq!(claims["sha256"], digest(&request.body));
        assert_eq!(claims["iss"], SERVER_KEY.0);

        let read = WebhookEvent::parse(&request.body).unwrap();
        assert_eq!((&*read.event, read.room_name()), (event, Some("Raum \"1\"/ü")));
        assert_eq!(read.created_at.unwrap().as_secs(), iat);
        assert!(read.id.starts_with("EV_") && read.id.len() == 15, "{}", read.id);
        if let Some(participant) = &read.participant {
            assert_eq!(participant.identity, "bob\n\\");
        }
        assert!(!request.body.contains(&b'\n'), "one line, as protojson writes");
    }
}

/// The paths of all members in `value`, at every depth, and whether each is a string.
fn shape(path: &str, value: &Value, shape: &mut BTreeSet<(String, bool)>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| self::shape(&format!("{path}.{name}"), member, shape)),
        Value::Array(items) => items.iter().for_each(|item| self::shape(&format!("{path}[]"), item, shape)),
        value => {
            shape.insert((path.to_owned(), value.is_string()));
        }
    }
}

#[test]
fn samples_have_the_members_of_recorded_events() {
    let mut seen = BTreeSet::new();
    recorded().iter().for_each(|each| shape("", &Value::Object(each.json()), &mut seen));
    // A layer's quality is absent if it is LOW, as in most recorded events. In the samples it is HIGH.
    for event in EVENTS.iter().filter(|event| !event.starts_with("agent_job")) {
        let receiver = Scripted::answering(&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
        send(&receiver.url(), &["--event", event]).run().done();
        let mut own = BTreeSet::new();
        shape("", &serde_json::from_slice(&receiver.requests()[0].body).unwrap(), &mut own);
        let strange: Vec<_> = own.difference(&seen).collect();
        assert!(strange.is_empty(), "{event}: {strange:?}");
    }
}

#[test]
fn a_body_from_a_file_is_sent_unchanged() {
    let recorded = &recorded()[2];
    for body in [&recorded.body[..], b"", b"\xff\x00{not json\r\n\n", b"{}"] {
        let receiver = Scripted::answering(&["HTTP/1.1 204 No Content\r\n\r\n"]);
        send(&receiver.url(), &["--body", "b"]).file("b", body).run().done();
        let request = receiver.requests().remove(0);
        assert_eq!(request.body, body);
        assert_eq!(payload(request.authorization())["sha256"], digest(body));
    }
    let server = server();
    let told =
        send(&url(&server, "/webhook"), &["--body", "-", "--event", "room_started"]).stdin(recorded.body.clone()).run().done();
    assert_says(&told, &["200 OK", "track_published", "EV_qbR4EXYoZHSH"]);
    assert_says(&send(&url(&server, "/webhook"), &["--body", "nowhere"]).run().wrong(), &["cannot read nowhere"]);
}
