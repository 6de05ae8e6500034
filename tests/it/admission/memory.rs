//! How much memory a policy takes when everything that it remembers is full: the answers of an application, and the clients that are
//! counted. `cargo test --release --test it memory -- --ignored --nocapture` prints it.

use std::net::Ipv4Addr;

use serde_json::json;

use super::support::{Application, OPEN_HALL, signed_in, with_policy};
use crate::harness::client::post;
use crate::harness::program::{Program, free_address};

const SESSIONS: usize = 10_000;
const VISITORS: usize = 100_000;
/// Requests that are sent before the first answer is read.
const AT_ONCE: usize = 100;
const MOST: usize = 32 << 20;

/// Asks with each of these headers, each time as a client of its own, and checks that it gets a token.
fn ask_all(program: &Program, name: &str, values: impl Iterator<Item = String>, body: &str) {
    let mut client = program.connect();
    let mut requests = values.map(|value| post("/token", &[(name, &value)], body)).peekable();
    while requests.peek().is_some() {
        let some: Vec<_> = requests.by_ref().take(AT_ONCE).collect();
        client.send(some.concat());
        for _ in some {
            let answer = client.answer();
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
}

fn visitor(number: usize) -> String {
    Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).unwrap()).to_string()
}

fn session(number: usize) -> String {
    format!("sessionid=s{number:039}")
}

#[test]
#[ignore = "makes 110,000 requests; .ci/run runs it"]
fn everything_that_a_policy_remembers() {
    let application = Application::start(|question| {
        let session = question.split("sessionid=s").nth(1).unwrap();
        let id = session.trim_start_matches('0').split("\r\n").next().unwrap();
        signed_in(&json!({"id": format!("u{id}"), "name": "Alice Example", "roles": ["customer"], "about": "x".repeat(700)}))
    });
    let limited_hall = OPEN_HALL.replace("allow =", "limit = \"5/h\"\nallow =");
    let program = with_policy(&format!("{}{limited_hall}", application.caller("cache = \"1h\"")))
        .env("TRUSTED_PROXIES", "127.0.0.1")
        .env("LOG_LEVEL", "warn")
        .serve_at(free_address());
    let (hall, own_room) = (r#"{"roomName":"hall"}"#, "{}");
    ask_all(&program, "X-Forwarded-For", (0..AT_ONCE).map(visitor), hall);
    ask_all(&program, "Cookie", (1..=AT_ONCE).map(session), own_room);
    let before = program.resident_bytes();
    ask_all(&program, "X-Forwarded-For", (AT_ONCE..VISITORS).map(visitor), hall);
    let visited = program.resident_bytes();
    ask_all(&program, "Cookie", (AT_ONCE + 1..=SESSIONS).map(session), own_room);
    let grown = program.resident_bytes().saturating_sub(before);
    eprintln!(
        "{before} bytes before, {} more for {VISITORS} visitors, {grown} more for {SESSIONS} sessions too",
        visited.saturating_sub(before)
    );
    assert_eq!(application.questions().len(), SESSIONS);
    ask_all(&program, "Cookie", (1..=SESSIONS).map(session), own_room);
    assert_eq!(application.questions().len(), SESSIONS, "all answers are kept");
    assert!(grown <= MOST, "{grown} bytes");
}
