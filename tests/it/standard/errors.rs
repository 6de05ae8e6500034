//! Owns the tests of the form of errors: of both paths they say it in two members, of all others in one.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use roomkey::clock::Clock;
use roomkey::http::{self, Bind, Edge, Limits};
use roomkey::policy::Policy;
use serde_json::json;

use super::support::{Answer, BOTH, Server, Start, ask};
use crate::fixtures::{SERVER_KEY, api_key, now};

/// A server in this process that is impatient, and holds few bytes.
fn impatient() -> SocketAddr {
    let mut limits = Limits::default();
    limits.body = Duration::from_millis(50);
    limits.held_body_bytes = 1000;
    let edge = Edge::new(api_key(SERVER_KEY).into(), Policy::default(), limits, Clock::from_fn(now));
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = http::bind(&Bind::Host("127.0.0.1".to_owned()), 0).unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            http::run(listener, None, edge, std::future::pending::<()>()).await;
        });
    });
    told.recv().unwrap()
}

#[track_caller]
fn assert_twofold(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    answer.error();
}

#[test]
fn every_error_of_both_paths_has_two_members() {
    let server = Server::start();
    let large = "x".repeat(17_000);
    for path in BOTH {
        assert_twofold(&server.post(path, ""), 400);
        assert_twofold(&server.ask("POST", path, &[("Host", "other")], "{}"), 400);
        assert_twofold(&server.post(path, r#"{"room_config":{"egress":{"room":{}}}}"#), 403);
        assert_twofold(&server.ask("GET", path, &[], ""), 405);
        assert_twofold(&server.ask("DELETE", path, &[], ""), 405);
        assert_twofold(&server.ask("POST", path, &[("Content-Length", "2000000")], ""), 413);
        assert_twofold(&server.ask("POST", path, &[("Content-Type", "text/plain")], "{}"), 415);
        assert_twofold(&server.ask("POST", path, &[("X", &large)], "{}"), 431);
        assert_twofold(&server.ask("GET", &format!("/{path}?x=y"), &[], ""), 405);
    }
    let address = impatient();
    for path in BOTH {
        assert_twofold(&ask(address, "POST", path, &[("Content-Length", "10")], "{"), 408);
        assert_twofold(&ask(address, "POST", path, &[], [b' '; 2000]), 503);
    }
}

#[test]
fn errors_of_other_paths_have_one() {
    let server = Server::start();
    for (path, status) in
        [("/token", 400), ("/webhook", 400), ("/connection-details/", 404), ("/api/v2/sandbox", 404), ("/", 404)]
    {
        let answer = server.post(path, "");
        assert_eq!(answer.status, status, "{path}");
        let text = answer.json()["errorMessage"].clone();
        assert_eq!(answer.json(), json!({ "errorMessage": text }), "{path}");
    }
}

#[test]
fn an_error_is_for_the_pages_that_may_read_it() {
    let server = Start::new().env("CORS_ORIGIN", "https://app.example.com").serve();
    for path in BOTH {
        for (origin, allowed) in [("https://app.example.com", Some("https://app.example.com")), ("https://other.example", None)] {
            let answer = server.ask("POST", path, &[("Origin", origin)], "[]");
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (400, allowed));
            assert_eq!(answer.header("vary"), Some("Origin"));
        }
    }
}
