//! Tests of readiness: of the whole server, of its tokens and of its webhooks, on both listeners.

use std::net::SocketAddr;

use rustix::process::Signal;

use crate::harness::client::{Client, get, post, request};
use crate::harness::program::{Program, Start, free_address};

const PATHS: [&str; 3] = ["/readyz", "/readyz/tokens", "/readyz/webhooks"];
/// A place where no Redis is.
const NO_REDIS: &str = "redis://127.0.0.1:1";

fn statuses_at(address: SocketAddr, base: &str) -> [u16; 3] {
    PATHS.map(|path| Client::connect(address).ask(get(&format!("{base}{path}"))).status)
}

fn statuses(program: &Program) -> [u16; 3] {
    statuses_at(program.address(), "")
}

#[test]
fn tokens_stay_ready_while_the_inbox_does_not_work() {
    let metrics = free_address();
    let start = Start::new().env("ROOMKEY_INBOX", NO_REDIS).env("METRICS_BIND", metrics.to_string()).env("BASE_PATH", "/x");
    let program = start.serve();
    assert_eq!(statuses_at(program.address(), "/x"), [503, 200, 503]);
    assert_eq!(statuses_at(metrics, ""), [503, 200, 503], "probes of the metrics listener know no base path");
    assert_eq!(statuses_at(program.address(), ""), [404; 3]);
    let body = r#"{"roomName":"daily","participantName":"alice"}"#;
    assert_eq!(program.ask(post("/x/token", &[], body)).status, 200);
    let refused = program.ask(get("/x/readyz/webhooks"));
    assert_eq!(refused.header("retry-after"), Some("5"));
    refused.error();
    let page = String::from_utf8(Client::connect(metrics).ask(get("/metrics")).body).unwrap();
    for line in [r#"{endpoint="readyz_tokens",status="200"} 2"#, r#"{endpoint="readyz_webhooks",status="503"} 3"#] {
        assert!(page.contains(&format!("roomkey_http_requests_total{line}")), "{page}");
    }
}

#[test]
fn without_an_inbox_webhooks_are_ready() {
    let program = Start::new().env("ROOMKEY_INBOX", "none").serve();
    assert_eq!(statuses(&program), [200; 3]);
    let mut client = program.connect();
    for path in PATHS {
        client.send(request("HEAD", path, &[], b""));
        assert_eq!(client.answer_without_body().status, 200, "{path}");
        let answer = client.ask(request("POST", path, &[("Content-Length", "0")], b""));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD, OPTIONS")), "{path}");
        assert_eq!(client.ask(request("OPTIONS", path, &[], b"")).status, 204, "{path}");
    }
    for path in ["/readyz/", "/readyz/tokens/"] {
        assert_eq!(client.ask(get(path)).status, 200, "{path}");
    }
    for path in ["/readyz/events", "/readyz/tokens/x", "/tokens"] {
        assert_eq!(client.ask(get(path)).status, 404, "{path}");
    }
}

#[test]
fn a_server_that_is_about_to_stop_is_ready_for_nothing() {
    let mut program = Start::new().env("SHUTDOWN_DELAY", "600ms").env("ROOMKEY_INBOX", "none").serve();
    program.signal(Signal::TERM);
    program.wait_for("stopping");
    while statuses(&program)[0] == 200 {}
    assert_eq!(statuses(&program), [503; 3]);
}

const CALLERS: &str = r#"
[callers.school]
kind = "oidc"
issuer = "http://127.0.0.1:1"
audience = "classroom"

[callers.backend]
kind = "api-token"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

[[rule]]
name = "pupil"
caller = "school"
room = "course-*"
identity = "pupil-{subject}"
"#;

/// A rule for a caller that needs no issuer.
const BACKEND: &str = r#"
[[rule]]
name = "backend"
caller = ["backend", "school"]
room = "hall"
identity = "{request.identity}"
"#;

#[test]
fn tokens_are_not_ready_while_no_caller_can_be_identified() {
    for (policy, tokens) in [(CALLERS.to_owned(), 503), (format!("{CALLERS}{BACKEND}"), 200)] {
        let start = Start::new().file("policy.toml", &policy).env("ROOMKEY_POLICY", "policy.toml");
        let program = start.env("ROOMKEY_INBOX", "none").serve();
        assert_eq!(statuses(&program), [200, tokens, 200], "{policy}");
    }
}
