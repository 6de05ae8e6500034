//! Tests of a relay that is watched and steered, over HTTP and from the command line, with an application that fails.

use std::net::SocketAddr;

use roomkey::{AccessToken, UnixTime, VideoGrants};
use serde_json::{Value, json};

use crate::fixtures::api_key;
use crate::harness::client::{Answer, Client, get, post, request};
use crate::harness::program::{Program, Start, free_address};
use crate::harness::receiver::{Received, Receiver, Reply};
use crate::harness::redis_server::RedisServer;
use crate::harness::sender::authorization_at;
use crate::harness::wait::eventually_blocking;

const DEVELOPMENT: (&str, &str) = ("devkey", "secret");

/// A roomkey with the target `app`, which has `more` settings.
fn relaying(receiver: &Receiver, more: &str) -> Start {
    let target = format!("[[target]]\nname = \"app\"\nurl = \"{}\"\nkey = \"APIrelay\"\n", receiver.url());
    Start::new()
        .env("RELAY_SECRET", "a secret of 32 bytes for the relay")
        .env("ROOMKEY_RELAY", "relay.toml")
        .file("relay.toml", format!("{target}secret_env = \"RELAY_SECRET\"\nfrom = \"oldest\"\n{more}"))
}

fn deliver(program: &Program, id: &str, room: &str) {
    let event = json!({"event": "room_started", "id": id, "room": {"name": room}}).to_string();
    let authorization = authorization_at(UnixTime::now(), DEVELOPMENT, &event);
    assert_eq!(program.ask(post("/webhook", &[("Authorization", &authorization)], &event)).status, 200);
}

fn is_about(received: &Received, id: &str) -> bool {
    serde_json::from_slice::<Value>(&received.body).unwrap()["id"] == id
}

fn ids(received: &[Received]) -> Vec<String> {
    let id = |each: &Received| serde_json::from_slice::<Value>(&each.body).unwrap()["id"].as_str().unwrap().to_owned();
    received.iter().map(id).collect()
}

fn ask(program: &Program, method: &str, path: &str, body: &str) -> Answer {
    let grants = VideoGrants { room_list: true, room_create: true, ..VideoGrants::default() };
    let token = AccessToken::new().with_grants(grants).to_jwt(&api_key(DEVELOPMENT), UnixTime::now()).unwrap();
    let (token, length) = (format!("Bearer {token}"), body.len().to_string());
    let headers = [("Authorization", &*token), ("Content-Length", &*length)];
    program.ask(request(method, path, if method == "POST" { &headers } else { &headers[..1] }, body.as_bytes()))
}

#[track_caller]
fn steer(program: &Program, verb: &str, body: &Value) {
    let answer = ask(program, "POST", &format!("/relay/app/{verb}"), &body.to_string());
    assert_eq!((answer.status, answer.json()), (200, json!({})), "{verb} {body}");
}

/// The only target.
fn status(program: &Program) -> Value {
    let answer = ask(program, "GET", "/relay", "");
    assert_eq!(answer.status, 200);
    answer.json()["targets"][0].clone()
}

fn owed(program: &Program, query: &str) -> Vec<Value> {
    let answer = ask(program, "GET", &format!("/relay/app/owed{query}"), "");
    assert_eq!(answer.status, 200);
    answer.json()["owed"].as_array().unwrap().clone()
}

/// Has the target refuse the event `bad` of the room `b` and then take the event `1`, so that only `bad` is owed.
async fn poison(program: &Program, receiver: &Receiver) {
    deliver(program, "bad", "b");
    receiver.has_received(1).await;
    deliver(program, "1", "a");
    eventually_blocking("it is owed", || !owed(program, "").is_empty());
}

/// Answers 500 to the event `bad`, and 200 to all others.
fn poisoned(received: &Received) -> Reply {
    Reply::Status(if is_about(received, "bad") { 500 } else { 200 })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_event_is_shown_and_skipped() {
    let receiver = Receiver::start(poisoned).await;
    let program = relaying(&receiver, "").serve();
    poison(&program, &receiver).await;
    deliver(&program, "3", "b");
    let shown = status(&program);
    assert!(shown["owed"]["held"].as_u64().unwrap() >= 1, "{shown}");
    assert_eq!((&shown["name"], &shown["paused"], &shown["circuit"]), (&json!("app"), &json!(false), &json!("closed")));
    assert!(shown["lastError"].as_str().unwrap().contains("500"), "{shown}");
    let held = owed(&program, "?state=held");
    let event = held.iter().find(|event| event["attempts"] != 0).unwrap();
    assert_eq!((&event["lane"], &event["state"], &event["status"]), (&json!("b"), &json!("held"), &json!(500)));
    for time in ["first", "next"] {
        assert!(event[time].as_str().unwrap().ends_with('Z'), "{event}");
    }
    assert_eq!(owed(&program, "?state=dead"), [] as [Value; 0]);
    assert!(!ids(&receiver.received()).contains(&"3".to_owned()), "its lane waits");

    let cursor = event["cursor"].as_str().unwrap();
    let page = ask(&program, "GET", "/relay/app/owed?limit=1", "").json();
    assert_eq!((page["owed"][0]["cursor"].as_str(), page["next"].as_str()), (Some(cursor), Some(cursor)));
    steer(&program, "skip", &json!({"cursors": [cursor]}));
    eventually_blocking("the lane goes on", || ids(&receiver.received()).contains(&"3".to_owned()));
    eventually_blocking("nothing is owed", || owed(&program, "").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_set_aside_is_tried_again_when_asked() {
    let receiver = Receiver::start(poisoned).await;
    let program = relaying(&receiver, "hold = \"0s\"\n").serve();
    poison(&program, &receiver).await;
    assert_eq!(owed(&program, "?state=aside").len(), 1);
    deliver(&program, "2", "b");
    eventually_blocking("its lane goes on", || ids(&receiver.received()).contains(&"2".to_owned()));
    receiver.answer(|_| Reply::Status(200));
    let before = receiver.received().len();
    steer(&program, "retry", &json!({"state": "dead"}));
    assert_eq!(owed(&program, "").len(), 1, "it is not dead");
    steer(&program, "retry", &json!({"state": "aside"}));
    receiver.has_received(before + 1).await;
    let last = receiver.received().pop().unwrap();
    assert!(is_about(&last, "bad"));
    assert_eq!((last.header("roomkey-late"), last.header("roomkey-attempt")), (Some("1"), Some("2")));
    eventually_blocking("nothing is owed", || owed(&program, "").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_target_gets_nothing_until_it_is_resumed() {
    let receiver = Receiver::accepting().await;
    let program = relaying(&receiver, "").serve();
    deliver(&program, "1", "a");
    receiver.has_received(1).await;
    let answer = ask(&program, "POST", "/relay/app/pause", "");
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    deliver(&program, "2", "a");
    eventually_blocking("it waits", || status(&program)["paused"] == true && status(&program)["lag"]["entries"] == 1);
    assert_eq!(receiver.received().len(), 1);
    steer(&program, "resume", &json!({}));
    receiver.has_received(2).await;
    eventually_blocking("it is done", || status(&program)["paused"] == false && status(&program)["lag"]["entries"] == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_sends_events_once_more_in_order() {
    let receiver = Receiver::accepting().await;
    let program = relaying(&receiver, "").serve();
    for id in ["1", "2", "3"] {
        deliver(&program, id, "a");
    }
    receiver.has_received(3).await;
    eventually_blocking("they are settled", || status(&program)["lag"]["entries"] == 0);
    let second = receiver.received()[1].header("roomkey-cursor").unwrap().to_owned();
    steer(&program, "replay", &json!({"since": "2026-01-01T00:00:00+01:00", "until": second}));
    receiver.has_received(5).await;
    let received = receiver.received();
    assert_eq!(ids(&received), ["1", "2", "3", "1", "2"]);
    let marks: Vec<_> = received.iter().map(|each| each.header("roomkey-replay")).collect();
    assert_eq!(marks, [None, None, None, Some("1"), Some("1")]);
    steer(&program, "replay", &json!({"after": second}));
    receiver.has_received(6).await;
    assert!(is_about(&receiver.received()[5], "3"));
    let later = ask(&program, "POST", "/relay/app/replay", r#"{"since":"9999-01-01T00:00:00Z"}"#);
    later.assert_error(400, "since must not be later than the newest event");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_said() {
    let receiver = Receiver::accepting().await;
    let program = relaying(&receiver, "").serve();
    for (method, path) in
        [("GET", "/relay/other/owed"), ("POST", "/relay/other/pause"), ("POST", "/relay/APP/skip"), ("POST", "/relay/ap%70/skip")]
    {
        ask(&program, method, path, "").assert_error(404, "the relay has no target of this name");
    }
    for (path, error) in [
        ("owed?state=lost", "state must be held, aside, dead or expired"),
        ("owed?after=1", "after must be a cursor that was given here"),
        ("owed?limit=-1", "limit must be a whole number"),
        ("owed?limit=1&limit=2", "limit must appear only once"),
        ("owed?room=a", "the query must not have \"room\": it can have state, after, limit"),
    ] {
        ask(&program, "GET", &format!("/relay/app/{path}"), "").assert_error(400, error);
    }
    for (verb, body, error) in [
        ("retry", "", "cursors or state is required"),
        ("retry", "[]", "the body must be a JSON object"),
        ("replay", "{}", "after or since is required"),
        ("skip", r#"{"state":"dead"}"#, "the body must not have \"state\": it can have cursors"),
        ("skip", "{}", "cursors is required"),
        ("pause", r#"{"for":"1h"}"#, "the body must not have \"for\": it can have nothing"),
        ("resume", "null", "the body must be a JSON object"),
    ] {
        ask(&program, "POST", &format!("/relay/app/{verb}"), body).assert_error(400, error);
    }
    ask(&program, "POST", "/relay/app/skip", &" ".repeat(64 * 1024 + 1))
        .assert_error(413, "the body must be at most 65536 bytes");
    ask(&program, "PUT", "/relay/app/skip", "").assert_error(405, "this path takes POST, OPTIONS only");
    assert_eq!(ask(&program, "GET", "/relay/app/owed?limit=0", "").json(), json!({"owed": [], "next": "0000000000000000"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_show_each_target() {
    let receiver = Receiver::start(poisoned).await;
    let metrics = free_address();
    let program = relaying(&receiver, "").env("METRICS_BIND", metrics.to_string()).serve();
    poison(&program, &receiver).await;
    let shows = |line: &str| page(metrics).lines().any(|each| each == line);
    for line in [
        r#"roomkey_relay_attempts_total{outcome="delivered",target="app"} 1"#,
        r#"roomkey_relay_owed{state="held",target="app"} 1"#,
        r#"roomkey_relay_lease_held{target="app"} 1"#,
        r#"roomkey_relay_circuit_open{target="app"} 0"#,
        r#"roomkey_relay_lag_entries{target="app"} 0"#,
        r#"roomkey_relay_lag_seconds{target="app"} 0"#,
        r#"roomkey_relay_expired_total{target="app"} 0"#,
    ] {
        eventually_blocking(line, || shows(line));
    }
    let text = page(metrics);
    assert!(text.contains("# TYPE roomkey_relay_duration_seconds histogram"), "{text}");
    let parsed = prometheus_parse::Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let ours = parsed.samples.iter().filter(|sample| sample.metric.starts_with("roomkey_relay_"));
    assert!(ours.clone().count() > 12 && ours.clone().all(|sample| sample.labels.get("target") == Some("app")));
}

fn page(metrics: SocketAddr) -> String {
    String::from_utf8(Client::connect(metrics).ask(get("/metrics")).body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_do_the_same() {
    let receiver = Receiver::start(poisoned).await;
    let program = relaying(&receiver, "").serve();
    let url = format!("http://{}", program.address());
    let relay = |arguments: &[&str]| Start::command([&["relay"], arguments, &["--url", &url]].concat()).run();
    poison(&program, &receiver).await;
    let line = relay(&["status"]).done();
    assert!(line.starts_with("app up lag=0 held=1 aside=0 dead=0 cursor="), "{line}");
    assert_eq!(serde_json::from_str::<Value>(&relay(&["status", "app", "--json"]).done()).unwrap()["owed"]["held"], 1);
    let line = relay(&["owed", "app"]).done();
    let cursor = line.split(' ').next().unwrap().to_owned();
    assert!(line.contains(" held room=\"b\" attempts=") && line.contains(" status=500 "), "{line}");
    assert_eq!(relay(&["owed", "app", "--state", "dead"]).done(), "");

    assert_eq!(relay(&["pause", "app"]).done(), "app is paused\n");
    assert!(relay(&["status"]).done().starts_with("app paused "));
    receiver.answer(|_| Reply::Status(200));
    assert_eq!(relay(&["resume", "app"]).done(), "app is resumed\n");
    relay(&["retry", "app", &cursor]).done();
    eventually_blocking("nothing is owed", || relay(&["owed", "app"]).done().is_empty());
    let before = receiver.received().len();
    relay(&["replay", "app", "--since", "2026-01-01T00:00:00Z"]).done();
    receiver.has_received(before + 2).await;
    eventually_blocking("it is not owed", || relay(&["skip", "app", &cursor]).status == 1);
    let sentence = relay(&["skip", "app", &cursor]).refused();
    assert!(sentence.contains("409") && sentence.contains(&cursor), "{sentence}");

    let sentence = relay(&["pause", "other"]).refused();
    assert!(sentence.contains("404") && sentence.contains("no target of this name"), "{sentence}");
    assert!(relay(&["status", "other"]).refused().contains("no target other"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_steered_through_any_roomkey_of_a_redis() {
    let Some(redis) = RedisServer::start() else { return };
    let receiver = Receiver::accepting().await;
    let start = || relaying(&receiver, "").env("ROOMKEY_INBOX", redis.url()).serve();
    let roomkeys = [start(), start()];
    for (roomkey, other) in [(0, 1), (1, 0), (0, 0), (1, 1)] {
        steer(&roomkeys[roomkey], "pause", &json!({}));
        assert!(roomkeys.iter().all(|roomkey| status(roomkey)["paused"] == true));
        steer(&roomkeys[other], "resume", &json!({}));
        assert!(roomkeys.iter().all(|roomkey| status(roomkey)["paused"] == false));
    }
    redis.kill();
    for (method, path) in [("GET", "/relay"), ("GET", "/relay/app/owed"), ("POST", "/relay/app/pause")] {
        let answer = ask(&roomkeys[0], method, path, "");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{path}: {}", answer.error());
    }
}
