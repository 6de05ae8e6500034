//! Tests of paths and methods, and of the form of every error.

use crate::fixtures::first_recorded;
use crate::harness::client::{get, post, request};
use crate::harness::edge::{Server, Setup};
use crate::harness::sender::request_of;

#[test]
fn the_server_is_not_healthy() {
    let server = Server::start();
    let mut client = server.connect();
    let full = client.ask(get("/healthz"));
    assert_eq!(full.status, 200);
    client.send(request("HEAD", "/healthz", &[], b""));
    let head = client.answer_without_body();
    assert_eq!((head.status, head.header_names()), (200, full.header_names()));
    assert_eq!(head.header("content-length"), full.header("content-length"));
    client.assert_usable();
    assert_eq!(client.ask(get("/healthz?verbose=1&x=/")).status, 200);
}

#[test]
fn a_path_that_is_not_there() {
    let server = Server::start();
    for path in [
        "/",
        "//",
        "/nowhere",
        "/Token",
        "/TOKEN",
        "/token//",
        "/token/./",
        "/token/x",
        "/tokens",
        "/t",
        "/%74oken",
        "/token%00",
        "/./token",
        "/x/../token",
        "/;/token",
        "/webhook//",
        "/webhook/x/",
        "/livekit",
        "/livekit/",
        "/livekit//webhook",
        "/livekit/token",
        "/webhook/livekit",
        "/health",
        "/?/token",
    ] {
        for method in ["GET", "POST", "OPTIONS", "DELETE"] {
            let answer = server.ask(request(method, path, &[("Content-Length", "0")], b""));
            assert_eq!(answer.status, 404, "{method} {path}");
            answer.error();
        }
    }
}

#[test]
fn a_method_that_a_path_does_not_take() {
    let server = Server::start();
    for (path, allowed) in [
        ("/token", "POST, OPTIONS"),
        ("/webhook", "POST, OPTIONS"),
        ("/livekit/webhook", "POST, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "post", "BREW"] {
            if allowed.split(", ").any(|each| each == method) {
                continue;
            }
            let answer = server.ask(request(method, path, &[("Content-Length", "0")], b""));
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
            answer.error();
        }
    }
    let mut client = server.connect();
    client.send(request("HEAD", "/token", &[], b""));
    let answer = client.answer_without_body();
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")));
    client.assert_usable();
}

#[test]
fn several_slashes_in_front_count_as_one() {
    let server = Server::start();
    let delivery = first_recorded();
    let authorization = [("Authorization", delivery.authorization.as_str())];
    for slashes in ["/", "//", "///", "//////////"] {
        assert_eq!(server.ask(get(&format!("{slashes}healthz"))).status, 200, "{slashes}");
        let token = post(&format!("{slashes}token"), &[], r#"{"roomName":"daily","participantName":"alice"}"#);
        assert_eq!(server.ask(token).status, 200, "{slashes}");
        for path in ["webhook", "livekit/webhook"] {
            let request = post(&format!("{slashes}{path}"), &authorization, &delivery.body);
            assert_eq!(server.ask(request).status, 200, "{slashes}{path}");
        }
        assert_eq!(server.ask(get(&format!("{slashes}token"))).status, 405, "{slashes}");
        assert_eq!(server.ask(request("OPTIONS", &format!("{slashes}token"), &[], b"")).status, 204, "{slashes}");
    }
}

#[test]
fn one_slash_at_the_end_counts_as_none() {
    let server = Server::start();
    let delivery = first_recorded();
    let authorization = [("Authorization", delivery.authorization.as_str())];
    for path in ["/webhook/", "/livekit/webhook/", "//webhook/", "/webhook/?x=/"] {
        assert_eq!(server.ask(post(path, &authorization, &delivery.body)).status, 200, "{path}");
    }
    for path in ["/token/", "///token/"] {
        assert_eq!(server.ask(post(path, &[], r#"{"roomName":"daily","participantName":"alice"}"#)).status, 200, "{path}");
    }
    for path in ["/connection-details/", "/api/v2/sandbox/connection-details/"] {
        assert_eq!(server.ask(post(path, &[], "{}")).status, 200, "{path}");
    }
    for path in ["/healthz/", "/readyz/", "/openapi.json/"] {
        assert_eq!(server.ask(get(path)).status, 200, "{path}");
    }
    assert_eq!(server.ask(get("/token/")).header("allow"), Some("POST, OPTIONS"));
    assert_eq!(server.ask(request("OPTIONS", "/token/", &[], b"")).status, 204);
}

#[test]
fn an_error_that_is_not_one_flat_object() {
    let mut setup = Setup::limited(|limits| {
        limits.held_body_bytes = 70_000;
        limits.body = std::time::Duration::from_millis(50);
    });
    setup.limits.token_body_bytes = 100_000;
    let server = setup.start();
    let large = "x".repeat(17_000);
    for (status, request) in [
        (400, post("/token", &[], "")),
        (400, post("/webhook", &[], "")),
        (401, post("/webhook", &[("Authorization", "a.b.c")], "")),
        (404, get("/nowhere")),
        (405, get("/token")),
        (408, request("POST", "/token", &[("Content-Length", "10")], b"{")),
        (413, request("POST", "/token", &[("Content-Length", "100001")], b"")),
        (415, post("/token", &[("Content-Type", "text/plain")], "{}")),
        (431, request("GET", "/healthz", &[("X", &large)], b"")),
        (503, post("/token", &[], [b' '; 80_000])),
    ] {
        let answer = server.ask(request);
        assert_eq!(answer.status, status);
        answer.error();
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{status}");
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()), "{status}");
    }
}

#[test]
fn an_error_without_a_body_to_read_leaves_the_connection_usable() {
    let server = Server::start();
    let mut altered = request_of(&first_recorded());
    *altered.last_mut().unwrap() = b' ';
    let mut client = server.connect();
    for (status, request) in [
        (400, post("/token", &[], "{}")),
        (404, get("/nowhere")),
        (405, get("/token")),
        (400, post("/webhook", &[], "")),
        (401, post("/webhook", &[("Authorization", "a.b.c")], "")),
        (401, altered),
    ] {
        assert_eq!(client.ask(request).status, status);
        client.assert_usable();
    }
}
