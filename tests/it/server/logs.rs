//! Tests of the log: what each delivery leaves in it, and what never appears in it.

use roomkey::UnixTime;
use serde_json::{Value, json};

use crate::fixtures::{
    EGRESS_KEY, HEADER, NEWER_KEY, RECORDED_KEYS, Recorded, SERVER_KEY, digest, forge, key_lines, recorded, sign,
};
use crate::harness::client::{chunk, chunked_head, get, post, post_head, request};
use crate::harness::program::{Program, Start};
use crate::harness::sender::{STRANGER, authorization_at};

fn start(level: &str, format: &str) -> Program {
    let start = Start::new().env("LIVEKIT_KEYS", key_lines()).env("LIVEKIT_URL", "ws://livekit.internal");
    start.env("LOG_LEVEL", level).env("LOG_FORMAT", format).serve()
}

/// A recorded delivery as if LiveKit Server sent it now.
fn afresh(delivery: &Recorded) -> (String, Vec<u8>) {
    let key = RECORDED_KEYS.into_iter().find(|(name, _)| *name == delivery.key).unwrap();
    let authorization = authorization_at(UnixTime::now(), key, &delivery.body);
    let request = post("/webhook", &[("Authorization", &authorization)], &delivery.body);
    (authorization, request)
}

/// Delivers `body`, signed with the server's key.
fn deliver(program: &Program, body: &str) -> u16 {
    let authorization = authorization_at(UnixTime::now(), SERVER_KEY, body);
    program.ask(post("/webhook", &[("Authorization", &authorization)], body)).status
}

/// The values of `names`, at any depth.
fn values(json: &Value, names: &[&str], found: &mut Vec<String>) {
    match json {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(text) if names.contains(&name.as_str()) => found.push(text.to_owned()),
                    _ => values(value, names, found),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| values(element, names, found)),
        _ => {}
    }
}

/// Sends requests of every kind, and returns what must not appear in the log.
fn every_kind_of_request(program: &Program) -> Vec<String> {
    let mut unspeakable: Vec<String> = [SERVER_KEY, EGRESS_KEY, NEWER_KEY, STRANGER].map(|(_, secret)| secret.to_owned()).into();
    let now = UnixTime::now();
    let mut client = program.connect();
    for delivery in recorded() {
        let (authorization, request) = afresh(&delivery);
        assert_eq!(client.ask(request).status, 200);
        let bearer = format!("bearer {authorization}");
        assert_eq!(client.ask(post("/livekit/webhook", &[("Authorization", &bearer)], "altered")).status, 401);
        let mut secrets = Vec::new();
        values(&Value::Object(delivery.json()), &["turnPassword", "streamKey", "metadata"], &mut secrets);
        // As they are, and escaped as in a log line of JSON or of quoted text.
        unspeakable.extend(secrets.iter().map(|secret| serde_json::to_string(secret).unwrap().trim_matches('"').to_owned()));
        unspeakable.extend(secrets);
        unspeakable.extend([authorization, delivery.authorization]);
    }
    unspeakable.extend(["enabledCodecs".to_owned(), "canPublish".to_owned()]); // they appear only in bodies

    let minted = client.ask(post("/token", &[], r#"{"roomName":"daily","participantName":"alice"}"#));
    unspeakable.push(minted.json()["token"].as_str().unwrap().to_owned());
    let minted = client.ask(post("/token", &[], r#"{"roomName":"daily","participantName":"a","metadata":"whispered"}"#));
    unspeakable.extend([minted.json()["token"].as_str().unwrap().to_owned(), "whispered".to_owned()]);

    let claims = format!(r#"{{"iss":"{}","exp":1,"sha256":"{}"}}"#, SERVER_KEY.0, digest(""));
    let tokens = [
        authorization_at(now, STRANGER, ""),
        authorization_at(UnixTime::from_secs(1), SERVER_KEY, ""),
        forge(HEADER, &claims),
        forge(r#"{"alg":"none"}"#, &claims),
        forge(r#"{"alg":"HS256","crit":[]}"#, &claims),
        forge(HEADER, "no JSON"),
        sign("no.token", SERVER_KEY.1),
        "aaaaaaaaaaaa.bbbbbbbbbbbb.cccccccccccc".to_owned(),
        "dddddddddddd.eeeeeeeeeeee.ffffffffffff.gggggggggggg".to_owned(),
        "no token at all".to_owned(),
        SERVER_KEY.1.to_owned(),
    ];
    for token in tokens {
        for path in ["/webhook", "/token", "/healthz", "/nowhere"] {
            program.ask(post(path, &[("Authorization", &token), ("Content-Type", "text/plain")], "a whole body"));
        }
        unspeakable.extend(token.split('.').filter(|part| part.len() > 8).map(str::to_owned));
    }
    for body in ["", "{}", "no JSON: a whole body", r#"{"roomName":5}"#, r#"{"roomName":"daily","participantName":""}"#] {
        assert_eq!(program.ask(post("/token", &[], body)).status, 400);
    }
    for body in ["", "a whole body", "[\"a whole body\"]", r#"{"event":7,"secret":"a whole body"}"#] {
        assert_eq!(deliver(program, body), 200);
    }
    unspeakable.push("a whole body".to_owned());

    for (status, request) in [
        (404, get("/a-secret-path?access_token=a-secret-query")),
        (405, request("DELETE", "/token", &[], b"")),
        (204, request("OPTIONS", "/token", &[("Origin", "https://app.example.com")], b"")),
        (413, post_head("/token", &[], 65_537)),
        (431, request("GET", "/healthz", &[("Cookie", &"a-secret-cookie".repeat(2000))], b"")),
        (431, request("GET", "/healthz", &[("Cookie", "a-secret-cookie"); 200], b"")),
        (400, b"a-secret-path no HTTP\r\n\r\n".to_vec()),
    ] {
        assert_eq!(program.ask(request).status, status);
    }
    unspeakable.extend(["a-secret-query".to_owned(), "a-secret-cookie".to_owned()]);
    let mut client = program.connect();
    client.send(chunked_head("/webhook", &[("Authorization", &authorization_at(now, SERVER_KEY, ""))]));
    client.send(chunk("a whole body"));
    client.send("no chunk\r\n");
    assert_eq!(client.answer().status, 400);
    unspeakable
}

#[test]
fn a_line_that_tells_what_it_must_not() {
    for format in ["text", "json"] {
        let program = start("trace", format);
        let unspeakable = every_kind_of_request(&program);
        let log = program.stop();
        assert!(log.iter().any(|line| line.contains("refused")), "nothing is told at all: {log:#?}");
        for secret in unspeakable.iter().filter(|secret| !secret.is_empty()) {
            let line = log.iter().find(|line| line.contains(secret.as_str()));
            assert_eq!(line, None, "{secret:?} is told");
        }
    }
}

/// The lines of level info, without those of the start and the end.
fn infos(log: &[String]) -> Vec<Value> {
    let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let about_the_server = |line: &Value| line["message"] == "listening" || line["message"].as_str().unwrap().starts_with("stop");
    lines.into_iter().filter(|line| line["level"] == "INFO" && !about_the_server(line)).collect()
}

#[test]
fn a_delivery_that_leaves_no_line() {
    let program = start("info", "json");
    let deliveries = recorded();
    let mut client = program.connect();
    for delivery in &deliveries {
        assert_eq!(client.ask(afresh(delivery).1).status, 200);
    }
    let lines = infos(&program.stop());
    assert_eq!(lines.len(), deliveries.len(), "one line a delivery");
    for (line, delivery) in lines.iter().zip(&deliveries) {
        let body = delivery.json();
        assert_eq!((&line["event"], &line["id"]), (&body["event"], &body["id"]), "{}", delivery.name);
        assert_eq!(line["key"], delivery.key.as_str(), "{}", delivery.name);
        let room = ["room", "egressInfo", "ingressInfo"].iter().find_map(|part| {
            let part = body.get(*part)?;
            part.get("name").filter(|_| body.contains_key("room")).or_else(|| part.get("roomName"))
        });
        assert_eq!(line["room"], room.cloned().unwrap_or_else(|| json!("")), "{}", delivery.name);
        let identity = body.get("participant").map_or_else(|| json!(""), |participant| participant["identity"].clone());
        assert_eq!(line["participant"], identity, "{}", delivery.name);
    }
}

#[test]
fn a_delivery_that_leaves_no_line_of_text() {
    let program = start("info", "text");
    let delivery = recorded().into_iter().find(|delivery| delivery.name.contains("participant_joined")).unwrap();
    assert_eq!(program.ask(afresh(&delivery).1).status, 200);
    let body = delivery.json();
    let log = program.stop();
    let lines: Vec<_> = log.iter().filter(|line| line.contains("participant_joined")).collect();
    assert_eq!(lines.len(), 1, "{log:#?}");
    let identity = body["participant"]["identity"].as_str().unwrap();
    for part in ["INFO", body["id"].as_str().unwrap(), body["room"]["name"].as_str().unwrap(), identity, SERVER_KEY.0] {
        assert!(lines[0].contains(part), "{part} is missing: {}", lines[0]);
    }
}

#[test]
fn an_event_that_would_forge_a_line() {
    for format in ["text", "json"] {
        let program = start("info", format);
        let body =
            r#"{"event":"room_started\n2026-11-22T00:00:00Z  INFO forged","id":"\u001b[31m","room":{"name":"a\r\nforged"}}"#;
        assert_eq!(deliver(&program, body), 200);
        let log = program.stop();
        assert_eq!(log.len(), 4, "start, delivery and two of the end: {log:#?}");
        assert!(!log.iter().any(|line| line.contains('\u{1b}')));
    }
}

#[test]
fn an_undecodable_delivery_is_told_by_size_and_digest() {
    let program = start("info", "json");
    for body in ["", "no JSON", "[]"] {
        assert_eq!(deliver(&program, body), 200);
    }
    let log = program.stop();
    let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<_> = lines.iter().filter(|line| line["message"].as_str().unwrap().contains("undecodable")).collect();
    let digests = [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (7, "29ecbeb830e3244605e5a88493e4088424a71780e5cf59bb3475f278f294335b"),
        (2, "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"),
    ];
    assert_eq!(lines.len(), digests.len());
    for (line, (bytes, sha256)) in lines.iter().zip(digests) {
        assert_eq!((&line["bytes"], &line["sha256"], &line["key"]), (&json!(bytes), &json!(sha256), &json!(SERVER_KEY.0)));
    }
}

#[test]
fn each_refusal_tells_its_reason_at_debug() {
    let stranger = authorization_at(UnixTime::now(), STRANGER, "");
    let expired = authorization_at(UnixTime::from_secs(1), SERVER_KEY, "");
    let other = authorization_at(UnixTime::now(), SERVER_KEY, "another body");
    let run = |level: &str| {
        let program = start(level, "text");
        for token in [&stranger, &expired, &other] {
            for _ in 0..3 {
                assert_eq!(program.ask(post("/webhook", &[("Authorization", token)], "")).status, 401);
            }
            assert_eq!(program.ask(get("/nowhere")).status, 404);
        }
        program.stop()
    };
    let (debug, info) = (run("debug"), run("info"));
    for reason in ["is not known", "expired", "the body is not the one"] {
        let count = |log: &[String], level| log.iter().filter(|line| line.contains(level) && line.contains(reason)).count();
        assert_eq!((count(&debug, "DEBUG"), count(&debug, "WARN")), (3, 1), "{reason} in {debug:#?}");
        assert_eq!((count(&info, "DEBUG"), count(&info, "WARN")), (0, 1), "{reason} in {info:#?}");
    }
    assert!(!info.iter().any(|line| line.contains("nothing at this path")), "{info:#?}");
}

#[test]
fn a_log_that_is_no_json_where_it_should_be() {
    let program = start("trace", "json");
    every_kind_of_request(&program);
    for line in program.stop() {
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_string() && line["timestamp"].is_string() && line["message"].is_string(), "{line}");
    }
}

#[test]
fn a_line_below_the_level() {
    // Without keys the program warns at its start, after the line that says where it listens.
    let program = Start::new().env("LOG_LEVEL", "warn").until("development");
    assert_eq!(program.log().len(), 1, "{:#?}", program.log());
    assert_eq!(Start::new().env("LOG_LEVEL", "info").until("development").log().len(), 2);
}
