//! Tests of the access log: a line for each request, with what was sent, also for refused and aborted requests and for streams.

use std::net::TcpListener;

use roomkey::{AccessToken, UnixTime, VideoGrants};
use serde_json::{Value, json};

use crate::fixtures::{SERVER_KEY, api_key};
use crate::harness::client::{Client, get, post, post_head, request};
use crate::harness::program::{Program, Start, free_address};

const BODY: &str = r#"{"roomName":"daily","participantName":"alice"}"#;

fn start() -> Start {
    let key = format!("{}: {}\n", SERVER_KEY.0, SERVER_KEY.1);
    Start::new().env("LIVEKIT_KEYS", key).env("LOG_FORMAT", "json").env("ACCESS_LOG", "true")
}

/// An `Authorization` header that may read all events.
fn reader_authorization() -> String {
    let grants = VideoGrants { room_list: true, ..VideoGrants::default() };
    let token = AccessToken::new().with_grants(grants).to_jwt(&api_key(SERVER_KEY), UnixTime::now()).unwrap();
    format!("Bearer {token}")
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

/// The access lines of `program`, which ends.
fn access_lines(program: Program) -> Vec<Value> {
    program.stop().iter().map(|line| parse(line)).filter(|line| line["message"] == "access").collect()
}

/// The method, path and status of each line.
fn shapes(lines: &[Value]) -> Vec<String> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    lines.iter().map(|line| ["method", "path", "status"].map(|name| word(&line[name])).join(" ")).collect()
}

#[test]
fn a_request_is_one_line_with_all_its_fields() {
    let program = start().env("TRUSTED_PROXIES", "127.0.0.1").serve();
    let answer = program.ask(post("/token?secret=x", &[("X-Forwarded-For", "198.51.100.1")], BODY));
    let id = answer.header("x-request-id").unwrap().to_owned();
    let named = program.ask(request("GET", "/healthz", &[("X-Request-Id", "from-the-proxy")], b""));
    let mut client = program.connect();
    client.send(request("HEAD", "/openapi.json", &[], b""));
    client.answer_without_body();
    let large = client.ask(get("/openapi.json"));
    let lines = access_lines(program);
    assert_eq!(shapes(&lines), ["POST /token 200", "GET /healthz 200", "HEAD /openapi.json 200", "GET /openapi.json 200"]);
    let bytes: Vec<&Value> = lines.iter().map(|line| &line["bytes"]).collect();
    assert_eq!(bytes, [&json!(answer.body.len()), &json!(named.body.len()), &json!(0), &json!(large.body.len())]);
    assert_eq!((&lines[0]["client"], &lines[0]["request"]), (&json!("198.51.100.1"), &json!(id)));
    assert_eq!((&lines[1]["client"], &lines[1]["request"]), (&json!("127.0.0.1"), &json!("from-the-proxy")));
    for line in &lines {
        assert_eq!(line["level"], "INFO");
        let took = line["took"].as_str().unwrap();
        assert!(took.ends_with('s') && took.starts_with(|first: char| first.is_ascii_digit()), "{line}");
    }
}

#[test]
fn a_line_of_text() {
    let mut program = start().env("LOG_FORMAT", "text").serve();
    let answer = program.ask(get("/nowhere?x"));
    let line = program.wait_for("access");
    let (_, line) = line.split_once(" INFO ").unwrap();
    let (begin, rest) = line.split_once(" took=").unwrap();
    assert_eq!(begin, format!(r#"access method=GET path="/nowhere" status=404 bytes={}"#, answer.body.len()));
    let (_, end) = rest.split_once(' ').unwrap();
    assert_eq!(end, format!("client=127.0.0.1 request={}", answer.header("x-request-id").unwrap()));
}

const POLICY: &str = r#"
[[rule]]
name = "visitor"
caller = "anonymous"
room = "hall"
identity = "visitor-{random}"
limit = "1/h"
"#;

#[test]
fn refused_requests_are_lines_too() {
    let start =
        start().file("policy.toml", POLICY).env("ROOMKEY_POLICY", "policy.toml").env("ROOMKEY_INBOX", "redis://127.0.0.1:1");
    let program = start.serve();
    let hall = post("/token", &[], r#"{"roomName":"hall"}"#);
    for request in [
        &hall[..],
        &hall,
        &get("/nowhere"),
        &get("/token"),
        &post("/token", &[], "no JSON"),
        &post_head("/token", &[], 1 << 20),
        &request("GET", "/healthz", &[("X", &"x".repeat(17_000))], b""),
        &request("OPTIONS", "/token", &[], b""),
        b"GET /bad-header HTTP/1.1\r\nno header\r\n\r\n",
        b"POST /both HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /no-version\r\n\r\n",
        b"\x16\x03\x01 no request line\r\n\r\n",
    ] {
        program.ask(request);
    }
    while program.ask(get("/readyz")).status != 503 {}
    let lines = access_lines(program);
    let expected = [
        "POST /token 200",
        "POST /token 429",
        "GET /nowhere 404",
        "GET /token 405",
        "POST /token 400",
        "POST /token 413",
        "GET /healthz 431",
        "OPTIONS /token 204",
        "GET /bad-header 400",
        "POST /both 400",
        "GET /no-version 400",
    ];
    let shapes = shapes(&lines);
    assert_eq!(shapes[..expected.len()], expected);
    assert_eq!(shapes.last().unwrap(), "GET /readyz 503");
    let bytes = |line: &Value| line["bytes"].as_u64().unwrap();
    assert!(lines.iter().all(|line| (bytes(line) > 0) == (line["status"] != 204)), "{lines:#?}");
}

#[test]
fn a_path_cannot_forge_a_line_or_fill_the_log() {
    let program = start().serve();
    let long = format!("/{}", "y".repeat(10_000));
    for path in ["/a\"b\\c", "/%0a2026-11-22T00:00:00Z%20INFO%20forged", &long] {
        assert_eq!(program.ask(get(path)).status, 404, "{path}");
    }
    let lines = access_lines(program);
    assert_eq!(lines[0]["path"], "/a\"b\\c");
    assert_eq!(lines[1]["path"], "/%0a2026-11-22T00:00:00Z%20INFO%20forged");
    let path = lines[2]["path"].as_str().unwrap();
    assert!(path.len() < 1000 && path.ends_with('…'), "{path}");
}

#[test]
fn a_stream_is_a_line_when_it_ends() {
    let mut program = start().serve();
    let authorization = reader_authorization();
    let headers = [("Authorization", authorization.as_str()), ("Accept", "text/event-stream")];
    let mut reader = program.connect();
    reader.send(request("GET", "/events?access_token=secret", &headers, b""));
    assert_eq!(reader.head().status, 200);
    program.wait_for("reader");
    assert_eq!(program.ask(get("/healthz")).status, 200);
    assert_eq!(parse(&program.wait_for(r#""access""#))["path"], "/healthz", "the stream is still open");
    drop(reader);
    let line = parse(&program.wait_for(r#""access""#));
    assert_eq!((&line["method"], &line["path"], &line["status"]), (&json!("GET"), &json!("/events"), &json!(200)));
    assert!(line["bytes"].as_u64().unwrap() > 0, "the beginning of the stream was sent: {line}");
}

#[test]
fn the_request_of_a_client_that_leaves_is_finished_and_is_a_line() {
    let application = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/session", application.local_addr().unwrap());
    let policy = format!(
        "[callers.app]\nkind = \"forward\"\nurl = \"{url}\"\ncookies = [\"sid\"]\nsubject = \"sub\"\n{}",
        POLICY.replace("anonymous", "app")
    );
    let mut program = start().file("policy.toml", policy).env("ROOMKEY_POLICY", "policy.toml").serve();
    let mut waiting = program.connect();
    waiting.send(post("/token", &[("Cookie", "sid=1")], r#"{"roomName":"hall"}"#));
    let _asked = application.accept().unwrap(); // and never answers
    waiting.reset();
    let line = parse(&program.wait_for(r#""access""#));
    assert_eq!((&line["path"], &line["status"]), (&json!("/token"), &json!(503)), "{line}");
}

#[test]
fn probes_and_scrapes_of_the_metrics_listener_are_lines() {
    let metrics = free_address();
    let program = start().env("METRICS_BIND", metrics.to_string()).serve();
    assert_eq!(Client::connect(metrics).ask(get("/metrics")).status, 200);
    assert_eq!(shapes(&access_lines(program)), ["GET /metrics 200"]);
}

#[test]
fn there_is_none_unless_it_is_wanted() {
    for start in [start().env("ACCESS_LOG", ""), start().env("ACCESS_LOG", "false")] {
        let program = start.serve();
        assert_eq!(program.ask(get("/healthz")).status, 200);
        assert_eq!(access_lines(program), [Value::Null; 0]);
    }
    assert!(start().env("ACCESS_LOG", "yes").run().wrong().contains("ACCESS_LOG"));
    let flag = start().env("ACCESS_LOG", "").flags(&["--access-log"]).serve();
    assert_eq!(flag.ask(get("/healthz")).status, 200);
    assert_eq!(access_lines(flag).len(), 1);
}

#[test]
fn at_a_level_without_its_lines_a_warning_says_so() {
    let program = start().env("LOG_LEVEL", "warn").until("access log has no effect");
    assert!(program.log().last().unwrap().contains("LOG_LEVEL"));
    let mut program = start().serve();
    assert_eq!(program.ask(get("/healthz")).status, 200);
    program.wait_for(r#""access""#);
    assert!(!program.log().iter().any(|line| line.contains("no effect")), "{:#?}", program.log());
}
