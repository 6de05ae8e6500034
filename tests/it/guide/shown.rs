//! Compares the log lines and the table of metrics that the guide shows with what the program writes.

use std::collections::BTreeSet;
use std::net::TcpListener;

use roomkey::{AccessToken, UnixTime, VideoGrants};

use super::{blocks, page};
use crate::fixtures::api_key;
use crate::harness::client::{Client, get, post, request};
use crate::harness::program::{Program, Start};
use crate::harness::sender::authorization_at;

const DEVELOPMENT: (&str, &str) = ("devkey", "secret");
const NAMES: &str = r#"{"roomName": "daily", "participantName": "alice"}"#;
const EVENT: &str =
    r#"{"event":"participant_joined","id":"EV_1","room":{"name":"daily-standup"},"participant":{"identity":"alice"}}"#;

fn deliver(program: &Program, key: (&str, &str)) -> u16 {
    let authorization = authorization_at(UnixTime::now(), key, EVENT);
    program.ask(post("/webhook", &[("Authorization", &authorization)], EVENT)).status
}

/// Reads the stream of the room `daily` and leaves.
fn follow(program: &Program) {
    let grants = VideoGrants { room_admin: true, room: "daily".to_owned(), ..VideoGrants::default() };
    let token = AccessToken::new().with_grants(grants).to_jwt(&api_key(DEVELOPMENT), UnixTime::now()).unwrap();
    let headers = [("Authorization", &*format!("Bearer {token}")), ("Accept", "text/event-stream")];
    let mut reader = program.connect();
    reader.send(request("GET", "/events", &headers, b""));
    assert_eq!(reader.head().status, 200);
}

/// A log line from its level on, without the values that differ each time.
fn shape(line: &str) -> String {
    let level = ["INFO ", "WARN "].iter().find_map(|level| line.find(level)).unwrap_or_else(|| panic!("no level: {line}"));
    let words = line[level..].split_whitespace().map(|word| match word.split_once('=') {
        Some((name @ ("client" | "id" | "request" | "seconds" | "took"), _)) => name,
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The line of the guide that contains `text`.
fn line_of(page: &str, text: &str) -> String {
    let lines = blocks(page, "text").collect::<String>();
    shape(lines.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("{page} lacks {text}")))
}

#[test]
fn the_program_writes_the_log_lines_of_the_guide() {
    let mut program = Program::start();
    assert_eq!(program.ask(post("/token", &[], NAMES)).status, 200);
    assert_eq!(deliver(&program, DEVELOPMENT), 200);
    follow(&program);
    for (page, text) in [
        ("src/guide/settings.md", "INFO token"),
        ("src/guide/inbox.md", "INFO delivery"),
        ("src/guide/settings.md", "INFO reader form"),
        ("src/guide/settings.md", "INFO reader ended"),
    ] {
        assert_eq!(line_of(page, text), shape(&program.wait_for(text)));
    }

    let mut program = Start::new().env("ACCESS_LOG", "true").serve();
    assert_eq!(program.ask(get("/healthz")).status, 200);
    let text = "INFO access";
    assert_eq!(line_of("src/guide/settings.md", text), shape(&program.wait_for(text)));

    let secret = "a-secret-of-at-least-32-bytes-0123";
    let mut program = Start::new().env("LIVEKIT_API_KEY", "APInew").env("LIVEKIT_API_SECRET", secret).serve();
    assert_eq!(deliver(&program, ("APIold", secret)), 401);
    let text = "WARN webhook refused";
    assert_eq!(line_of("src/guide/inbox.md", text), shape(&program.wait_for(text)));
}

#[test]
fn the_table_of_metrics_matches_the_program() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let program = Start::new().env("METRICS_BIND", free.to_string()).serve();
    assert_eq!(program.ask(post("/token", &[], NAMES)).status, 200);
    assert_eq!(program.ask(post("/token", &[], "{}")).status, 400);
    assert_eq!(deliver(&program, DEVELOPMENT), 200);
    assert_eq!(program.ask(post("/webhook", &[], EVENT)).status, 400);
    let served = String::from_utf8(Client::connect(free).ask(get("/metrics")).body).unwrap();
    let mut served: BTreeSet<&str> = served.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    // These appear with the first cut, with the first caller of a policy, and with the first target of the relay.
    served.extend([
        "roomkey_connections_cut_total",
        "roomkey_policy_decisions_total",
        "roomkey_caller_key_fetches_total",
        "roomkey_caller_keys_age_seconds",
        "roomkey_caller_forward_requests_total",
        "roomkey_caller_forward_duration_seconds",
        "roomkey_caller_forward_cache_hits_total",
        "roomkey_relay_attempts_total",
        "roomkey_relay_duration_seconds",
        "roomkey_relay_lag_entries",
        "roomkey_relay_lag_seconds",
        "roomkey_relay_owed",
        "roomkey_relay_circuit_open",
        "roomkey_relay_lease_held",
        "roomkey_relay_expired_total",
    ]);

    let page = page("src/guide/settings.md");
    let rows = page.split("## Metrics").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = rows.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let shown: BTreeSet<&str> = rows.flat_map(|names| names.trim_end_matches('`').split("`, `")).collect();
    assert_eq!(shown, served);
}
