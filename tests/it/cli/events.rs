//! Tests of `events` against the real server: what it prints, and each reason for a refusal.

use std::net::TcpListener;

use roomkey::{AccessToken, UnixTime};
use serde_json::{Value, json};

use super::send_retry::Scripted;
use super::{assert_says, present};
use crate::fixtures::{SERVER_KEY, api_key, digest, payload, recorded};
use crate::harness::client::{Client, post};
use crate::harness::program::{Program, Start};

/// The server, with the keys of the recordings, reachable only from this machine.
pub(super) fn server() -> Start {
    let (name, secret) = SERVER_KEY;
    Start::new().env("SERVER_BIND", "127.0.0.1").env("LIVEKIT_API_KEY", name).env("LIVEKIT_API_SECRET", secret)
}

/// `events` of the server at `url`.
pub(super) fn events(url: &str, more: &[&str]) -> Start {
    Start::command_with_keys([&["events", "--url", url], more].concat())
}

pub(super) fn url(server: &Program) -> String {
    format!("http://{}", server.address())
}

/// Delivers `body` as LiveKit would.
pub(super) fn deliver(client: &mut Client, body: impl AsRef<[u8]>) {
    let token = AccessToken::new().with_sha256(digest(&body)).to_jwt(&api_key(SERVER_KEY), UnixTime::now()).unwrap();
    assert_eq!(client.ask(post("/webhook", &[("Authorization", &token)], body)).status, 200);
}

/// A body like LiveKit's.
pub(super) fn event(id: &str, name: &str, room: &str) -> String {
    let event = json!({"event": name, "id": id, "room": {"name": room}, "participant": {"identity": "al ice"}});
    event.to_string()
}

/// The entries in lines of JSON.
fn entries(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(lines: &str) -> Vec<String> {
    entries(lines).iter().map(|entry| entry["event"]["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn recorded_events_are_printed_unchanged_and_in_order() {
    let server = server().serve();
    let mut bodies = Vec::new();
    for delivery in recorded() {
        if !bodies.contains(&delivery.body) {
            deliver(&mut server.connect(), &delivery.body);
            bodies.push(delivery.body);
        }
    }
    let ended = events(&url(&server), &["--json"]).run();
    assert_eq!(ended.stderr, "");
    let lines = ended.done();
    assert_eq!(lines.lines().count(), bodies.len());
    for (line, body) in lines.lines().zip(bodies) {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry.as_object().unwrap().keys().collect::<Vec<_>>(), ["cursor", "event", "receivedAt"]);
        assert!(line.ends_with(&format!(",\"event\":{}}}", String::from_utf8(body).unwrap())), "{line}");
    }
}

#[test]
fn a_body_of_many_lines_is_printed_on_one_with_the_same_values() {
    let server = server().serve();
    let mut client = server.connect();
    deliver(&mut client, "{\n  \"event\" : \"a\",\r\n  \"n\": [1.50E+3,\r12345678901234567890]\n}\n");
    deliver(&mut client, "no\r\nJSON");
    let lines = events(&url(&server), &["--json"]).run().done();
    assert_says(&lines, &[r#""event":{   "event" : "a",    "n": [1.50E+3, 12345678901234567890] } }"#]);
    assert_eq!((entries(&lines).len(), &entries(&lines)[1]["event"]), (2, &json!("no\r\nJSON")));
}

#[test]
fn in_words_each_event_is_one_harmless_line() {
    let server = server().serve();
    let mut client = server.connect();
    deliver(&mut client, event("1", "participant_joined", "daily"));
    deliver(&mut client, event("2", "evil\u{1b}[2J\n", "\u{1b}]0;title\u{7}\r\n\u{9b}31m\u{202e}"));
    deliver(&mut client, r#"{"event":"room_started","room":{"name":"daily"}}"#);
    deliver(&mut client, r#"{"id":"4"}"#);
    let words = events(&url(&server), &[]).run().done();
    assert!(!words.chars().any(|letter| letter.is_control() && letter != '\n' || letter == '\u{202e}'), "{words:?}");
    let told = entries(&events(&url(&server), &["--json"]).run().done());
    let expected = [
        r#"participant_joined room="daily" participant="al ice""#,
        r#""evil\u{1b}[2J\n" room="\u{1b}]0;title\u{7}\r\n\u{9b}31m\u{202e}" participant="al ice""#,
        r#"room_started room="daily""#,
        r#""""#,
    ];
    assert_eq!(words.lines().count(), expected.len(), "{words}");
    for ((line, entry), expected) in words.lines().zip(told).zip(expected) {
        let (at, cursor) = (entry["receivedAt"].as_str().unwrap(), entry["cursor"].as_str().unwrap());
        assert_eq!(line, format!("{at} {expected} cursor={cursor}"));
    }
}

#[test]
fn filters_and_a_cursor_select_events() {
    let server = server().serve();
    let mut client = server.connect();
    let names = ["room_started", "participant_joined", "new & unknown"];
    for id in 0..12 {
        deliver(&mut client, event(&id.to_string(), names[id % 3], ["daily", "-a b&c=ü"][id % 2]));
    }
    let told = |more: &[&str]| ids(&events(&url(&server), &[&["--json"], more].concat()).run().done());
    assert_eq!(told(&["--room", "-a b&c=ü"]), ["1", "3", "5", "7", "9", "11"]);
    assert_eq!(told(&["--event", "new & unknown"]), ["2", "5", "8", "11"]);
    assert_eq!(told(&["--event", "room_started", "--event", "new & unknown", "--room", "daily"]), ["0", "2", "6", "8"]);
    assert_eq!(told(&["--room", "nowhere"]), [""; 0]);

    let cursors = entries(&events(&url(&server), &["--json"]).run().done());
    let after = |id: usize| cursors[id]["cursor"].as_str().unwrap().to_owned();
    assert_eq!(told(&["--after", &after(8)]), ["9", "10", "11"]);
    assert_eq!(told(&["--after", &after(8), "--room", "daily"]), ["10"]);
    assert_eq!(told(&["--after", &after(11)]), [""; 0]);
}

#[test]
fn an_unknown_event_name_causes_a_warning() {
    let server = server().serve();
    deliver(&mut server.connect(), event("1", "participant_join", "daily"));
    for (name, nearest) in [
        ("participant_join", "participant_joined"),
        ("roomStarted", "room_started"),
        ("TRACK_PUBLISHED", "track_published"),
        ("egress_end", "egress_ended"),
        ("agent-job-started", "agent_job_started"),
    ] {
        let ended = events(&url(&server), &["--json", "--event", name, "--event", "room_finished"]).run();
        let warning = format!("roomkey: warning: LiveKit has no event {name:?}; the nearest is {nearest}\n");
        assert_eq!((ended.status, &ended.stderr), (0, &warning), "{name}");
        assert_eq!(
            ids(&ended.stdout).len(),
            usize::from(name == "participant_join"),
            "it is asked for nevertheless: new ones come"
        );
    }
    let strange = events(&url(&server), &["--event", "", "--event", "\u{1b}[2J"]).run();
    assert_says(&strange.stderr, &["has no event \"\"", "has no event \"\\u{1b}[2J\""]);
    let known: Vec<_> = roomkey::livekit::event::EVENTS.iter().flat_map(|name| ["--event", name]).collect();
    assert_eq!(events(&url(&server), &known).run().stderr, "");
}

#[test]
fn many_pages() {
    const EVENTS: usize = 2_100;
    let server = server().serve();
    let mut client = server.connect();
    for id in 0..EVENTS {
        deliver(&mut client, event(&id.to_string(), "x", "daily"));
    }
    let expected: Vec<_> = (0..EVENTS).map(|id| id.to_string()).collect();
    assert!(ids(&events(&url(&server), &["--json"]).run().done()) == expected);
    let words = events(&url(&server), &[]).run().done();
    assert_eq!(words.lines().count(), EVENTS);
}

#[test]
fn below_a_base_path() {
    let server = server().env("BASE_PATH", "/a/b").serve();
    let token = AccessToken::new().with_sha256(digest("{}")).to_jwt(&api_key(SERVER_KEY), UnixTime::now()).unwrap();
    assert_eq!(server.ask(post("/a/b/webhook", &[("Authorization", &token)], "{}")).status, 200);
    for path in ["/a/b", "/a/b/"] {
        let lines = events(&format!("{}{path}", url(&server)), &["--json"]).run().done();
        assert_eq!(lines.lines().count(), 1, "{path}");
    }
    assert_says(&events(&url(&server), &[]).run().refused(), &["404", "nothing at this path"]);
}

#[test]
fn a_no_is_status_1_and_says_why() {
    let server = server().serve();
    for more in [&[][..], &["--follow"]] {
        let stranger = Start::command([&["events", "--url", &url(&server)], more].concat()).run().refused();
        assert_says(&stranger, &["401 Unauthorized", "token", "\"devkey\"", "secret"]);
        assert!(!stranger.contains("eyJ"), "no token is told");
        let gone = events(&url(&server), &[&["--after", "0001d2a0b3c40000"], more].concat()).run().refused();
        let oldest = gone.split("begins after ").nth(1).unwrap_or_else(|| panic!("{gone}"))[..16].to_owned();
        assert_says(&gone, &["410 Gone", "--after"]);
        assert_eq!(events(&url(&server), &["--after", &oldest]).run().done(), "");
    }
    let keeps_nothing = self::server().env("ROOMKEY_INBOX", "none").serve();
    assert_says(&events(&url(&keeps_nothing), &["--follow"]).run().refused(), &["404", "keeps no events"]);
}

#[test]
fn a_server_that_is_not_there_is_status_1() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hushhush", free.local_addr().unwrap());
    drop(free);
    for more in [&[][..], &["--follow"]] {
        let sentence = events(&url, more).run().refused();
        assert_says(&sentence, &["no connection"]);
        assert!(!sentence.contains("hushhush"));
    }
}

fn page(json: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len())
}

#[test]
fn an_answer_that_is_no_page_is_status_1() {
    let said = "{\"errorMessage\":\"a\\u001b[2J\\nb\"}";
    for (answer, parts) in [
        (page("<html>"), &["not a page of events"][..]),
        (page(r#"{"events":[],"next":"42"}"#), &["not a page of events"]),
        (page(r#"{"events":[{}],"next":7}"#), &["not a page of events"]),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"events".to_owned(), &["no answer"]),
        ("no HTTP".to_owned(), &["no answer"]),
        ("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".to_owned(), &["302 Found"]),
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy".to_owned(), &["503 Service Unavailable"]),
        (format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{said}", said.len()), &["403 Forbidden: a\\u{1b}[2J\\nb"]),
    ] {
        let other = Scripted::answering(&[&answer]);
        assert_says(&events(&other.url(), &[]).run().refused(), parts);
        drop(other.requests());
    }
}

#[test]
fn each_page_is_requested_with_a_token_that_expires_soon() {
    let more = page(r#"{"events":[{"cursor":"0000000000000001"}],"next":"0000000000000001"}"#);
    let end = page(r#"{"events":[],"next":"0000000000000001"}"#);
    let server = Scripted::answering(&[&more, &end]);
    events(&server.url(), &["--room", "a b"]).run().done();
    let requests = server.requests();
    for (request, after) in requests.iter().zip(["", "&after=0000000000000001"]) {
        let line = format!("GET /webhook/events?room=a+b&limit=1000&wait=0{after} HTTP/1.1\r\n");
        assert!(request.head.starts_with(&line), "{}", request.head);
        let claims = payload(request.authorization().strip_prefix("Bearer ").unwrap());
        assert_eq!((&claims["iss"], &claims["video"]), (&json!(SERVER_KEY.0), &json!({"roomList": true})));
        assert!((present() + 1..=present() + 60).contains(&claims["exp"].as_u64().unwrap()));
        assert!(!claims.contains_key("sub"));
    }
}

#[test]
fn a_page_that_is_too_large_is_requested_in_parts() {
    let large = page(&" ".repeat((64 << 20) + 1));
    let end = page(r#"{"events":[],"next":"0000000000000001"}"#);
    let server = Scripted::answering(&[&large, &large, &end]);
    events(&server.url(), &["--after", "0000000000000001"]).run().done();
    let limits: Vec<_> = server.requests().iter().map(|each| each.head.split(['=', '&']).nth(1).unwrap().to_owned()).collect();
    assert_eq!(limits, ["1000", "500", "250"]);
}

#[test]
fn reading_ends_with_the_events_that_existed_when_it_began() {
    let full = |date: &str, next: &str| {
        let body = format!(r#"{{"events":[{{"cursor":"{next}","receivedAt":"","event":{{"event":"x"}}}}],"next":"{next}"}}"#);
        page(&body).replacen("\r\n", &format!("\r\nDate: {date}\r\n"), 1)
    };
    let cursor = |millis: u64| format!("{:016x}", millis << 20);
    let (first, second) = (cursor(946_684_800_999), cursor(946_684_801_000));
    let date = "Sat, 01 Jan 2000 00:00:00 GMT";
    let server = Scripted::answering(&[&full(date, &first), &full("Sat, 01 Jan 2000 00:00:09 GMT", &second)]);
    assert_eq!(events(&server.url(), &["--json"]).run().done().lines().count(), 2);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_page_that_would_repeat_forever_is_refused() {
    let same = page(r#"{"events":[{"cursor":"0000000000000001"}],"next":"0000000000000001"}"#);
    let server = Scripted::answering(&[&same]);
    let ended = events(&server.url(), &["--after", "0000000000000001"]).run();
    assert_says(&ended.refused(), &["not a page of events"]);
}
