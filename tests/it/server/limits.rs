//! Tests of connections: how many there may be, and how long one may be silent.

use std::time::Duration;

use crate::harness::client::{chunked_head, get, post_head, request};
use crate::harness::edge::Setup;
use crate::harness::sender::authorization;

/// Short.
const SHORT: Duration = Duration::from_millis(50);

#[test]
fn one_connection_too_many() {
    let server = Setup::limited(|limits| limits.connections = 2).start();
    let mut first = server.connect();
    first.assert_usable();
    let mut second = server.connect();
    second.assert_usable();

    let mut third = server.connect();
    let answer = third.answer();
    assert_eq!(answer.status, 503);
    answer.error();
    assert_eq!(answer.header("retry-after"), Some("5"), "it may be LiveKit Server");
    assert_eq!(answer.header("connection"), Some("close"));
    third.assert_closed();

    // The others do not notice, and a new connection can take the place of one that ended.
    first.assert_usable();
    drop(second);
    loop {
        let mut next = server.connect();
        if next.ask(get("/healthz")).status == 200 {
            break;
        }
    }
}

#[test]
fn a_connection_that_says_nothing() {
    let server = Setup::limited(|limits| limits.idle = SHORT).start();
    server.connect().assert_closed();
    let mut client = server.connect();
    client.assert_usable();
    client.assert_closed();
}

#[test]
fn a_body_that_does_not_come_to_its_end() {
    let server = Setup::limited(|limits| limits.body = SHORT).start();
    let authorization = authorization("");
    let authorization = [("Authorization", authorization.as_str())];
    for head in [
        post_head("/token", &[], 10),
        chunked_head("/token", &[]),
        post_head("/webhook", &authorization, 10),
        chunked_head("/livekit/webhook", &authorization),
    ] {
        let mut client = server.connect();
        client.send(head);
        let answer = client.answer();
        assert_eq!(answer.status, 408);
        answer.error();
        client.assert_closed();
    }
}

#[test]
fn a_client_that_wants_its_connection_closed() {
    let server = Setup::default().start();
    let mut client = server.connect();
    assert_eq!(client.ask(request("GET", "/healthz", &[("Connection", "close")], b"")).status, 200);
    client.assert_closed();
}

#[test]
fn a_client_that_says_all_it_has_to_and_then_reads() {
    let server = Setup::default().start();
    let mut client = server.connect();
    client.send(get("/healthz"));
    client.finish();
    assert_eq!(client.answer().status, 200);
    client.assert_closed();
}
