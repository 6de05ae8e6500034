//! Tests of the form of errors: two members at both paths of this endpoint, one everywhere else.

use std::time::Duration;

use serde_json::json;

use super::support::BOTH;
use crate::harness::client::{self, Answer};
use crate::harness::edge::Setup;
use crate::harness::program::{Program, Start};

#[track_caller]
fn assert_both_errors(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    answer.both_errors();
}

#[test]
fn every_error_of_both_paths_has_two_members() {
    let server = Program::start();
    let large = "x".repeat(17_000);
    for path in BOTH {
        assert_both_errors(&server.post(path, ""), 400);
        assert_both_errors(&server.request("POST", path, &[("Host", "other")], "{}"), 400);
        assert_both_errors(&server.post(path, r#"{"room_config":{"egress":{"room":{}}}}"#), 403);
        assert_both_errors(&server.request("GET", path, &[], ""), 405);
        assert_both_errors(&server.request("DELETE", path, &[], ""), 405);
        assert_both_errors(&server.request("POST", path, &[("Content-Length", "2000000")], ""), 413);
        assert_both_errors(&server.request("POST", path, &[("Content-Type", "text/plain")], "{}"), 415);
        assert_both_errors(&server.request("POST", path, &[("X", &large)], "{}"), 431);
        assert_both_errors(&server.request("GET", &format!("/{path}?x=y"), &[], ""), 405);
    }
    let impatient = Setup::limited(|limits| {
        limits.body = Duration::from_millis(50);
        limits.held_body_bytes = 1000;
    });
    let impatient = impatient.start();
    for path in BOTH {
        assert_both_errors(&impatient.ask(client::request("POST", path, &[("Content-Length", "10")], b"{")), 408);
        assert_both_errors(&impatient.ask(client::post(path, &[], [b' '; 2000])), 503);
    }
}

#[test]
fn errors_of_other_paths_have_one() {
    let server = Program::start();
    for (path, status) in
        [("/token", 400), ("/webhook", 400), ("/connection-details//", 404), ("/api/v2/sandbox", 404), ("/", 404)]
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
            let answer = server.request("POST", path, &[("Origin", origin)], "[]");
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (400, allowed));
            assert_eq!(answer.header("vary"), Some("Origin"));
        }
    }
}
