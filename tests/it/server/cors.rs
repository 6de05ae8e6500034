//! Tests of CORS: which pages may read the answers, errors included.

use roomkey::http::Cors;

use crate::fixtures::first_recorded;
use crate::harness::client::{Answer, get, post, request};
use crate::harness::edge::{Server, Setup};

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

/// One request for each kind of answer, as a page of `origin` sends it.
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
            assert_eq!(answer.header("vary"), Some(vary(status)), "{status}");
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
            assert_eq!(answer.header("vary"), Some(vary(status)), "{status} for {origin:?}");
        }
    }
    let answer = server.ask(get("/healthz"));
    assert_eq!((answer.header("access-control-allow-origin"), answer.headers("vary")), (None, vec!["Origin"]));
}

/// What the answer depends on. The answer to a preflight depends on more.
fn vary(status: u16) -> &'static str {
    if status == 204 { "Origin, Access-Control-Request-Method, Access-Control-Request-Headers" } else { "Origin" }
}

#[track_caller]
fn assert_preflight(answer: &Answer, methods: &str) {
    assert_eq!(answer.status, 204);
    assert!(answer.body.is_empty() && answer.header("content-length").is_none(), "a 204 has no length (RFC 9110, section 8.6)");
    assert_eq!(answer.header("access-control-allow-methods"), Some(methods));
    assert_eq!(answer.header("vary"), Some(vary(204)));
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
            ("/events", "GET", "GET, HEAD, OPTIONS"),
            ("/token/", "POST", "POST, OPTIONS"),
            ("/nowhere", "POST", "POST"),
            ("/", "PATCH", "PATCH"),
            ("/token/x", "BREW-COFFEE", "BREW-COFFEE"),
        ] {
            let answer = client.ask(preflight(OURS, path, method, &["content-type"]));
            assert_preflight(&answer, methods);
            assert_eq!(answer.header("access-control-allow-origin"), Some(allowed), "{path}");
            assert_eq!(answer.header("access-control-allow-headers"), Some("content-type"));
        }
        client.assert_usable();
    }
}

/// A preflight that asks for these headers, each in its own line.
fn preflight(origin: &str, path: &str, method: &str, asked: &[&str]) -> Vec<u8> {
    let mut headers = vec![("Origin", origin), ("Access-Control-Request-Method", method)];
    headers.extend(asked.iter().map(|names| ("Access-Control-Request-Headers", *names)));
    request("OPTIONS", path, &headers, b"")
}

#[test]
fn a_preflight_is_granted_the_headers_that_it_asks_for() {
    let many = (0..150).map(|number| format!("x-{number}")).collect::<Vec<_>>();
    let first = many[..100].join(", ");
    let long = ["a".repeat(4000), "b".repeat(200), "c".to_owned()];
    let server = Server::start();
    for (asked, granted) in [
        (&[][..], None),
        (&[""], None),
        (&["authorization"], Some("authorization")),
        (&["baggage,content-type,traceparent,x-api-key"], Some("baggage, content-type, traceparent, x-api-key")),
        (&["X-Api-Key , ,\tx_y.z~"], Some("X-Api-Key, x_y.z~")),
        (&["a,b", "c"], Some("a, b, c")),
        (&["a b,c:d,\"e\",f;g,(h),i\u{e9},ok"], Some("ok")),
        (&["*"], None),
        (&["*,x-api-key"], Some("x-api-key")),
        (&[&many.join(",")], Some(&*first)),
        (&[&long.join(",")], Some(&*long[0])),
    ] {
        for path in ["/token", "/nowhere"] {
            let answer = server.ask(preflight(OURS, path, "POST", asked));
            assert_eq!((answer.status, answer.header("access-control-allow-headers")), (204, granted), "{asked:?}");
        }
    }
    assert_eq!(server.ask(preflight(OURS, "/nowhere", "no method", &[])).header("access-control-allow-methods"), None);
}

#[test]
fn a_preflight_of_an_origin_that_is_not_listed_is_granted_nothing() {
    let server = listed();
    for path in ["/token", "/nowhere"] {
        let answer = server.ask(preflight("https://evil.example.com", path, "POST", &["content-type"]));
        assert_eq!((answer.status, answer.header("vary")), (204, Some(vary(204))));
        assert!(!answer.head.to_ascii_lowercase().contains("access-control-allow"), "{}", answer.head);
    }
}

#[test]
fn an_options_that_is_no_preflight_asks_for_the_methods_of_a_path() {
    let server = Server::start();
    for headers in [&[][..], &[("Origin", OURS)], &[("Access-Control-Request-Method", "POST")]] {
        let answer = server.ask(request("OPTIONS", "/token", headers, b""));
        assert_eq!((answer.status, answer.header("allow"), answer.header("vary")), (204, Some("POST, OPTIONS"), None));
        server.ask(request("OPTIONS", "/nowhere", headers, b"")).assert_error(404, "there is nothing at this path");
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
        // The request is refused unread, so its origin is unknown.
        let mut second = server.connect();
        let answer = second.answer();
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (503, allowed));
        answer.error();
    }
}
