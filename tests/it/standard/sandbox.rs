//! Tests of the path of the development token server, and of the ids that it may require.

use super::support::{SANDBOX, STANDARD};
use crate::harness::program::{Program, Start};

const MISSING: &str = "the X-Sandbox-ID header is missing or wrong";

fn with_id(server: &Program, path: &str, id: &str) -> u16 {
    let answer = server.request("POST", path, &[("X-Sandbox-ID", id)], "{}");
    if answer.status != 200 {
        answer.assert_both_errors(401, MISSING);
    }
    answer.status
}

#[test]
fn without_ids_it_is_open() {
    let server = Program::start();
    for id in ["", "x", "anything at all"] {
        assert_eq!(with_id(&server, SANDBOX, id), 200);
    }
    assert_eq!(server.post(SANDBOX, "{}").status, 200);
}

#[test]
fn one_of_the_ids_opens_it() {
    let long = "x".repeat(300);
    for start in [
        Start::new().flags(&["--sandbox-id", "first-1a2b3c", "--sandbox-id", &long]),
        Start::new().env("SANDBOX_ID", format!("first-1a2b3c, {long}")),
        Start::new().env("SANDBOX_ID", "other").flags(&["--sandbox-id", "first-1a2b3c", "--sandbox-id", &long]),
    ] {
        let server = start.serve();
        assert_eq!(with_id(&server, SANDBOX, "first-1a2b3c"), 200);
        assert_eq!(with_id(&server, SANDBOX, &long), 200);
        let all = format!("first-1a2b3c,{long}");
        for wrong in ["", "first", "first-1a2b3", "first-1a2b3cd", "FIRST-1A2B3C", "other", &long[1..], &all] {
            assert_eq!(with_id(&server, SANDBOX, wrong), 401, "{wrong}");
        }
        server.post(SANDBOX, "{}").assert_both_errors(401, MISSING);
        server.post(SANDBOX, "").assert_both_errors(401, MISSING);
        let twice = [("X-Sandbox-ID", "first-1a2b3c"), ("X-Sandbox-ID", "first-1a2b3c")];
        server.request("POST", SANDBOX, &twice, "{}").assert_both_errors(401, MISSING);
    }
}

#[test]
fn the_other_path_wants_no_id() {
    let server = Start::new().flags(&["--sandbox-id", "first"]).serve();
    assert_eq!(server.post(STANDARD, "{}").status, 200);
    assert_eq!(with_id(&server, STANDARD, "wrong"), 200);
}

#[test]
fn an_id_is_refused_without_its_body() {
    let server = Start::new().flags(&["--sandbox-id", "first"]).serve();
    let answer = server.request("POST", SANDBOX, &[("Content-Length", "1000000")], "");
    answer.assert_both_errors(401, MISSING);
}

#[test]
fn an_id_is_in_no_log() {
    let server = Start::new().flags(&["--sandbox-id", "first-1a2b3c"]).env("LOG_LEVEL", "trace").serve();
    assert_eq!(with_id(&server, SANDBOX, "first-1a2b3c"), 200);
    assert_eq!(with_id(&server, SANDBOX, "wrong-9z8y7x"), 401);
    let log = server.stop().join("\n");
    assert!(log.contains("refused") && !log.contains("1a2b3c") && !log.contains("9z8y7x"), "{log}");
}

#[test]
fn slashes_at_the_base_urls_end_do_not_matter() {
    let server = Start::new().flags(&["--sandbox-id", "first"]).serve();
    for slashes in ["", "/", "///"] {
        assert_eq!(with_id(&server, &format!("{slashes}{SANDBOX}"), "first"), 200);
        assert_eq!(with_id(&server, &format!("{slashes}{SANDBOX}"), "wrong"), 401);
    }
    let below = Start::new().flags(&["--base-path", "/x", "--sandbox-id", "first"]).serve();
    for path in ["/x/api/v2/sandbox/connection-details", "/x//api/v2/sandbox/connection-details"] {
        assert_eq!(with_id(&below, path, "first"), 200);
    }
}

#[test]
fn a_preflight_allows_the_header() {
    let server = Program::start();
    for path in [STANDARD, SANDBOX] {
        let asked = [
            ("Origin", "https://app.example.com"),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type,x-sandbox-id"),
        ];
        let answer = server.request("OPTIONS", path, &asked, "");
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some("*")));
        assert_eq!(answer.header("access-control-allow-methods"), Some("POST, OPTIONS"));
        let headers = answer.header("access-control-allow-headers").unwrap();
        for header in ["content-type", "x-sandbox-id"] {
            assert!(headers.split(", ").any(|each| each == header), "{headers}");
        }
    }
}
