//! Tests of what the log says about requests that succeed: a line for each token, lines for each reader, and ids.

use roomkey::{AccessToken, UnixTime, VideoGrants};
use serde_json::{Value, json};

use crate::fixtures::{SERVER_KEY, api_key};
use crate::harness::client::{Client, get, post, request};
use crate::harness::program::{Program, Start};
use crate::harness::sender::authorization_at;

fn start() -> Start {
    let key = format!("{}: {}\n", SERVER_KEY.0, SERVER_KEY.1);
    Start::new().env("LIVEKIT_KEYS", key).env("LOG_FORMAT", "json")
}

/// The lines with that message in the log of `program`, which ends.
fn lines(program: Program, message: &str) -> Vec<Value> {
    let log = program.stop();
    let lines = log.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message"].as_str().unwrap().starts_with(message)).collect()
}

#[test]
fn a_token_is_one_line() {
    let program = start().env("SANDBOX_ID", "here").serve();
    let long = "é".repeat(128);
    let name = "a\" \n\u{202e}\\b";
    let cases = [
        ("token", "/token", json!({"roomName": "daily", "participantName": "alice"})),
        ("token", "/token/", json!({"roomName": name, "participantName": long})),
        ("connection_details", "/connection-details", json!({"room_name": "daily", "participant_identity": "bob"})),
        ("sandbox", "/api/v2/sandbox/connection-details", json!({"room_name": long, "participant_identity": name})),
    ];
    let mut ids = Vec::new();
    for (_, path, body) in &cases {
        let answer = program.ask(post(path, &[("X-Sandbox-ID", "here")], body.to_string()));
        assert_eq!(answer.status, 200);
        ids.push(answer.header("x-request-id").unwrap().to_owned());
    }
    for (status, path) in [(400, "/token"), (401, "/api/v2/sandbox/connection-details")] {
        assert_eq!(program.ask(post(path, &[], "{}")).status, status);
    }
    let lines = lines(program, "token");
    assert_eq!(lines.len(), cases.len(), "{lines:#?}");
    for ((line, (endpoint, _, body)), id) in lines.iter().zip(&cases).zip(&ids) {
        let room = body.get("roomName").or_else(|| body.get("room_name")).unwrap();
        let identity = body.get("participantName").or_else(|| body.get("participant_identity")).unwrap();
        assert_eq!((&line["message"], &line["level"], &line["endpoint"]), (&json!("token"), &json!("INFO"), &json!(endpoint)));
        assert_eq!((&line["room"], &line["identity"]), (room, identity));
        assert_eq!((&line["key"], &line["client"], &line["request"]), (&json!(SERVER_KEY.0), &json!("127.0.0.1"), &json!(id)));
    }
}

#[test]
fn a_name_that_would_forge_a_line_of_a_token() {
    let program = start().env("LOG_FORMAT", "text").serve();
    let body = json!({"roomName": "a\" key=\"x\n2026", "participantName": "\u{1b}[31m\u{202e}"}).to_string();
    assert_eq!(program.ask(post("/token", &[], body)).status, 200);
    let log = program.stop();
    let tokens: Vec<_> = log.iter().filter(|line| line.contains(" INFO token endpoint=")).collect();
    let [line] = tokens[..] else { panic!("{log:#?}") };
    assert!(line.contains(r#"room="a\" key=\"x\n2026" identity="\u{1b}[31m\u{202e}" key="#), "{line}");
}

#[test]
fn every_answer_carries_an_id_and_a_good_one_that_came_is_taken_over() {
    let program = start().env("LOG_LEVEL", "debug").serve();
    let longest = "aZ09._-x".repeat(8);
    for id in ["a", "01HF-7.x_Y", &longest] {
        for request in [
            request("GET", "/healthz", &[("X-Request-Id", id)], b""),
            request("GET", "/nowhere", &[("x-request-id", id)], b""),
            request("OPTIONS", "/token", &[("X-REQUEST-ID", id)], b""),
            post("/token", &[("X-Request-Id", id)], r#"{"roomName":"r","participantName":"a"}"#),
        ] {
            assert_eq!(program.ask(request).header("x-request-id"), Some(id));
        }
    }
    let too_long = format!("{longest}x");
    let mut own = std::collections::BTreeSet::new();
    for id in ["", "a b", "a\"b", "a/b", "a,b", "\u{e9}", &too_long] {
        let answer = program.ask(request("GET", "/healthz", &[("X-Request-Id", id)], b""));
        assert!(own.insert(answer.header("x-request-id").unwrap().to_owned()), "{id:?}");
    }
    let twice = [("X-Request-Id", "a"), ("X-Request-Id", "b")];
    own.insert(program.ask(request("GET", "/healthz", &twice, b"")).header("x-request-id").unwrap().to_owned());
    own.insert(program.ask("no HTTP\r\n\r\n").header("x-request-id").unwrap().to_owned());
    own.insert(program.ask(get("/healthz")).header("x-request-id").unwrap().to_owned());
    assert_eq!(own.len(), 10);
    assert!(own.iter().all(|id| id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit())), "{own:?}");
    let log = program.stop().join("\n");
    assert_eq!(log.matches(&format!(r#""request":"{longest}""#)).count(), 6, "one refusal, one token, four answers: {log}");
    assert!(own.iter().all(|id| log.contains(id)), "{log}");
}

/// A token with these grants, which ends at `exp`.
fn bearer(grants: VideoGrants, seconds: u64) -> String {
    let token = AccessToken::new().with_grants(grants).with_ttl(std::time::Duration::from_secs(seconds));
    format!("Bearer {}", token.to_jwt(&api_key(SERVER_KEY), UnixTime::now()).unwrap())
}

fn all() -> VideoGrants {
    VideoGrants { room_list: true, ..VideoGrants::default() }
}

/// Begins a stream, and gives the id of its request.
fn stream(client: &mut Client, path: &str, bearer: &str) -> String {
    client.send(request("GET", path, &[("Authorization", bearer), ("Accept", "text/event-stream")], b""));
    let head = client.head();
    assert_eq!(head.status, 200);
    head.header("x-request-id").unwrap().to_owned()
}

#[test]
fn a_stream_is_a_line_when_it_begins_and_one_when_it_ends() {
    let mut program = start().serve();
    let body = r#"{"event":"room_started","id":"EV_1","room":{"name":"daily"}}"#;
    let authorization = authorization_at(UnixTime::now(), SERVER_KEY, body);
    assert_eq!(program.ask(post("/webhook", &[("Authorization", &authorization)], body)).status, 200);
    let page = program.ask(request("GET", "/events", &[("Authorization", &bearer(all(), 600))], b""));
    let cursor = page.json()["next"].as_str().unwrap().to_owned();

    let mut left = program.connect();
    let first = stream(&mut left, "/events?room=daily", &bearer(all(), 600));
    drop(left);
    let ended: Value = serde_json::from_str(&program.wait_for("reader ended")).unwrap();
    assert_eq!((&ended["request"], &ended["why"]), (&json!(first), &json!("the client left")));

    let mut outdated = program.connect();
    let brief = stream(&mut outdated, "/events?room=brief", &bearer(all(), 2));
    let ended: Value = serde_json::from_str(&program.wait_for("reader ended")).unwrap();
    assert_eq!((&ended["request"], &ended["why"]), (&json!(brief), &json!("the token expired, or its key was removed")));
    assert_eq!((&ended["room"], &ended["grant"], &ended["after"]), (&json!("brief"), &json!("roomList"), &json!("the oldest")));

    let daily = VideoGrants { room_admin: true, room: "daily".to_owned(), ..VideoGrants::default() };
    let mut stopped = program.connect();
    let second = stream(&mut stopped, &format!("/events?after={cursor}"), &bearer(daily, 600));
    program.signal(rustix::process::Signal::TERM);
    let ended: Value = serde_json::from_str(&program.wait_for("reader ended")).unwrap();
    assert_eq!((&ended["request"], &ended["why"]), (&json!(second), &json!("the server is stopping")));
    assert!(program.wait().success());

    let log: Vec<Value> = program.log().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let begins: Vec<_> = log.iter().filter(|line| line["message"] == "reader").collect();
    let fields = |line: &Value| ["form", "grant", "room", "after"].map(|field| line[field].as_str().unwrap().to_owned());
    assert_eq!(begins.len(), 4, "{log:#?}");
    assert_eq!(fields(begins[0]), ["page", "roomList", "", "the oldest"]);
    assert_eq!(fields(begins[1]), ["stream", "roomList", "daily", "the oldest"]);
    assert_eq!(fields(begins[3]), ["stream", "roomAdmin", "daily", &cursor]);
    for line in begins {
        assert_eq!((&line["level"], &line["client"], &line["key"]), (&json!("INFO"), &json!("127.0.0.1"), &json!(SERVER_KEY.0)));
        let is_id = line["request"].as_str().unwrap().len() == 8;
        assert!(is_id, "{line}");
    }
}

#[test]
fn a_reader_of_page_after_page_is_told_of_once_a_minute() {
    let program = start().env("LOG_LEVEL", "debug").serve();
    let (everything, daily) = (bearer(all(), 600), VideoGrants { room_admin: true, room: "daily".to_owned(), ..all() });
    let daily = bearer(VideoGrants { room_list: false, ..daily }, 600);
    for _ in 0..5 {
        for bearer in [&everything, &daily] {
            assert_eq!(program.ask(request("GET", "/events", &[("Authorization", bearer)], b"")).status, 200);
        }
    }
    let lines = lines(program, "reader");
    let of_level = |level: &str| lines.iter().filter(|line| line["level"] == level).count();
    assert_eq!((of_level("INFO"), of_level("DEBUG")), (2, 8), "{lines:#?}");
}
