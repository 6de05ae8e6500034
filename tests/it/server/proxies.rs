//! Tests of clients behind reverse proxies: which address counts as the client's, in the log and in the budget of bodies.

use serde_json::Value;

use crate::harness::client::{Client, get, post, post_head};
use crate::harness::edge::{Server, Setup};
use crate::harness::program::Start;

const BODY: &str = r#"{"roomName":"daily","participantName":"alice"}"#;

/// The client in the log line of a token that was asked for with these headers.
fn logged_client(start: Start, headers: &[(&str, &str)]) -> String {
    let program = start.env("LOG_FORMAT", "json").serve();
    assert_eq!(program.ask(post("/token", headers, BODY)).status, 200);
    let log = program.stop();
    let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = lines.iter().find(|line| line["message"] == "token").unwrap_or_else(|| panic!("no token: {log:#?}"));
    line["client"].as_str().unwrap().to_owned()
}

const HEADERS: [(&str, &str); 1] = [("X-Forwarded-For", "203.0.113.7, 198.51.100.1, 10.0.0.2")];

#[test]
fn no_proxy_is_trusted_by_default() {
    assert_eq!(logged_client(Start::new(), &HEADERS), "127.0.0.1");
}

#[test]
fn a_trusted_proxy_names_the_client() {
    let variable = Start::new().env("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8,::1");
    assert_eq!(logged_client(variable, &HEADERS), "198.51.100.1");
    let flags = Start::new().flags(&["--trusted-proxies", "127.0.0.0/8", "--trusted-proxies", "10.0.0.2"]);
    assert_eq!(logged_client(flags, &[("Forwarded", "for=203.0.113.7, for=198.51.100.1, for=10.0.0.2")]), "198.51.100.1");
}

#[test]
fn every_form_of_an_address_is_the_same_client() {
    for (trusted, headers, expected) in [
        ("::ffff:127.0.0.1", [("X-Forwarded-For", "::ffff:198.51.100.1")], "198.51.100.1"),
        ("127.0.0.1,2001:db8::/32", [("X-Forwarded-For", "[2001:db9::1]:443, 2001:db8::5")], "2001:db9::1"),
        ("127.0.0.1", [("Forwarded", r#"for="[2001:DB9::1]:_hidden";proto=https"#)], "2001:db9::1"),
        ("127.0.0.1", [("Forwarded", "for=203.0.113.7, for=_hidden")], "127.0.0.1"),
        ("127.0.0.1", [("Forwarded", "for=unknown")], "127.0.0.1"),
        ("192.0.2.1", [("Forwarded", "for=198.51.100.1")], "127.0.0.1"),
    ] {
        assert_eq!(logged_client(Start::new().env("TRUSTED_PROXIES", trusted), &headers), expected, "{headers:?}");
    }
    let both = [("X-Forwarded-For", "198.51.100.1"), ("Forwarded", "for=203.0.113.7")];
    assert_eq!(logged_client(Start::new().env("TRUSTED_PROXIES", "127.0.0.1"), &both), "127.0.0.1");
    let lines = [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-For", "198.51.100.1")];
    assert_eq!(logged_client(Start::new().env("TRUSTED_PROXIES", "127.0.0.1"), &lines), "198.51.100.1");
}

#[test]
fn every_line_of_a_request_names_the_client() {
    let program = Start::new().env("TRUSTED_PROXIES", "127.0.0.1").env("LOG_FORMAT", "json").env("LOG_LEVEL", "debug").serve();
    assert_eq!(program.ask(post("/webhook", &HEADERS, BODY)).status, 400);
    let log: Vec<Value> = program.stop().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<&Value> = log.iter().filter(|line| line["request"].is_string()).collect();
    let messages: Vec<&str> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["refused", "webhook refused: its event may be lost", "answered"]);
    assert!(lines.iter().all(|line| line["client"] == "10.0.0.2"), "{lines:#?}");
}

#[test]
fn a_network_that_is_none() {
    for wrong in ["10.0.0.1/8", "10.0.0.0/33", "localhost", "10.0.0.1,,10.0.0.2", "*"] {
        let error = Start::new().env("TRUSTED_PROXIES", wrong).run().wrong();
        assert!(error.contains("TRUSTED_PROXIES") && error.contains("10.0.0.0/8"), "{error}");
    }
}

/// A request of `client` for a token, with a body of `length` bytes.
fn request_of(client: &str, length: usize) -> Vec<u8> {
    post("/token", &[("X-Forwarded-For", client)], format!("{BODY:length$}"))
}

/// A connection that holds `length` bytes of a body for `client`.
fn holding(server: &Server, client: &str, length: usize) -> Client {
    let mut connection = server.connect();
    connection.send(post_head("/token", &[("X-Forwarded-For", client)], length + 1));
    connection.send(vec![b' '; length]);
    connection
}

#[test]
fn one_client_leaves_the_others_their_part_of_the_budget() {
    let mut setup = Setup::limited(|limits| limits.held_body_bytes = 8000);
    setup.limits.client_held_body_bytes = 2000;
    setup.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let server = setup.start();
    for (client, neighbour, other) in
        [("198.51.100.1", "198.51.100.1", "198.51.100.2"), ("2001:db8:1::1", "2001:db8:1::2", "2001:db8:2::1")]
    {
        let held = holding(&server, client, 1800);
        let refused = loop {
            let answer = server.ask(request_of(neighbour, 1000));
            if answer.status != 200 {
                break answer;
            }
        };
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
        assert_eq!(server.ask(request_of(neighbour, 100)).status, 200, "a small one fits");
        assert_eq!(server.ask(request_of(other, 2000)).status, 200);
        assert_eq!(server.ask(request_of(other, 2001)).status, 503);
        drop(held);
        while server.ask(request_of(neighbour, 1000)).status != 200 {}
    }
    assert_eq!(server.ask(get("/healthz")).status, 200);
}

#[test]
fn by_default_a_client_may_hold_a_quarter() {
    let limits = roomkey::http::Limits::default();
    assert_eq!(limits.client_held_body_bytes * 4, limits.held_body_bytes);
}
