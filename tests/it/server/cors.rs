//! Owns the tests of CORS: which pages may read the answers, errors included.

use roomkey::http::Cors;

use super::client::{Answer, get, post, request};
use super::edge::{Server, Setup};
use crate::fixtures::first_recorded;

const OURS: &str = "https://app.example.com";
const ALSO_OURS: &str = "http://localhost:5080";
const OTHERS: [&str; 7] = [
    "https://evil.example.com",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.example",
    "https://app.example.co",
    "null",
    "*",
];

fn listed() -> Server {
    let origins = [OURS, ALSO_OURS].map(|origin| origin.parse().unwrap());
    Setup { cors: Cors::Origins(origins.into()), ..Setup::default() }.start()
}

/// One request a kind of answer, as a page of `origin` would send it.
fn all_kinds(origin: &str) -> Vec<(u16, Vec<u8>)> {
    let origin = ("Origin", origin);
    let delivery = first_recorded();
    let large = "x".repeat(17_000);
    vec![
        (200, post("/token", &[origin], r#"{"roomName":"daily","participantName":"alice"}"#)),
        (200, post("/webhook", &[origin, ("Authorization", &delivery.authorization)], &delivery.body)),
        (200, request("GET", "/healthz", &[origin], b"")),
        (204, request("OPTIONS", "/token", &[origin, ("Access-Control-Request-Method", "POST")], b"")),
        (400, post("/token", &[origin], "{}")),
        (401, post("/webhook", &[origin, ("Authorization", "a.b.c")], "")),
        (404, request("GET", "/nowhere", &[origin], b"")),
        (405, request("GET", "/token", &[origin], b"")),
        (413, request("POST", "/token", &[origin, ("Content-Length", "65537")], b"")),
        (415, post("/token", &[origin, ("Content-Type", "text/plain")], "{}")),
        (431, request("GET", "/healthz", &[origin, ("X", &large)], b"")),
    ]
}

#[test]
fn any_origin_may_read_everything() {
    let server = Server::start();
    for origin in OTHERS.into_iter().chain([OURS]) {
        for (status, request) in all_kinds(origin) {
            let answer = server.ask(request);
            assert_eq!(answer.status, status, "{origin}");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{status} for {origin}");
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
    }
    assert_eq!(server.ask(get("/healthz")).header("access-control-allow-origin"), Some("*"), "without an origin");
}

#[test]
fn a_listed_origin_may_read_everything() {
    let server = listed();
    for origin in [OURS, ALSO_OURS] {
        for (status, request) in all_kinds(origin) {
            let answer = server.ask(request);
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{status}");
            assert_eq!(answer.headers("vary"), ["Origin"], "{status}");
        }
    }
}

#[test]
fn an_origin_that_is_not_listed_may_read_nothing() {
    let server = listed();
    for origin in OTHERS.into_iter().chain(["", "HTTPS://APP.EXAMPLE.COM/", "https://app.example.com, http://localhost:5080"]) {
        for (status, request) in all_kinds(origin) {
            let answer = server.ask(request);
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("access-control-allow-origin"), None, "{status} for {origin:?}");
            assert_eq!(answer.headers("vary"), ["Origin"], "{status} for {origin:?}");
        }
    }
    let answer = server.ask(get("/healthz"));
    assert_eq!((answer.header("access-control-allow-origin"), answer.headers("vary")), (None, vec!["Origin"]));
}

#[track_caller]
fn assert_preflight(answer: &Answer, methods: &str) {
    assert_eq!(answer.status, 204);
    assert!(answer.body.is_empty() && answer.header("content-length").is_none(), "a 204 has no length (RFC 9110, section 8.6)");
    assert_eq!(answer.header("access-control-allow-methods"), Some(methods));
    let headers = answer.header("access-control-allow-headers").unwrap().to_ascii_lowercase();
    assert!(headers.split(", ").any(|header| header == "content-type"), "{headers}");
    assert!(answer.header("access-control-max-age").unwrap().parse::<u32>().unwrap() > 0);
}

#[test]
fn a_preflight_of_any_path() {
    for (server, allowed) in [(Server::start(), "*"), (listed(), OURS)] {
        let mut client = server.connect();
        for (path, method, methods) in [
            ("/token", "POST", "POST, OPTIONS"),
            ("//token", "POST", "POST, OPTIONS"),
            ("/webhook", "POST", "POST, OPTIONS"),
            ("/livekit/webhook", "POST", "POST, OPTIONS"),
            ("/healthz", "GET", "GET, HEAD, OPTIONS"),
        ] {
            let headers =
                [("Origin", OURS), ("Access-Control-Request-Method", method), ("Access-Control-Request-Headers", "content-type")];
            let answer = client.ask(request("OPTIONS", path, &headers, b""));
            assert_preflight(&answer, methods);
            assert_eq!(answer.header("access-control-allow-origin"), Some(allowed), "{path}");
        }
        client.assert_usable();
    }
}

#[test]
fn a_connection_that_finds_no_place() {
    for (cors, allowed) in [(Cors::AnyOrigin, Some("*")), (Cors::Origins(vec![OURS.parse().unwrap()]), None)] {
        let mut setup = Setup::limited(|limits| limits.connections = 1);
        setup.cors = cors;
        let server = setup.start();
        let mut first = server.connect();
        first.assert_usable();
        // Refused without its request being read, and so without its origin.
        let mut second = server.connect();
        let answer = second.answer();
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (503, allowed));
        answer.error();
    }
}
