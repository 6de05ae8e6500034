//! Tests of many requests: at once, one after the other, and next to one that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use roomkey::UnixTime;

use crate::fixtures::{NOW, SERVER_KEY, first_recorded, payload, recorded};
use crate::harness::client::{chunk, chunked_head, get, post, request};
use crate::harness::edge::{Server, Setup};
use crate::harness::program::Start;
use crate::harness::sender::{authorization, authorization_at, request_of};

#[test]
fn sixty_four_connections_at_once() {
    let program = Start::new().env("LIVEKIT_API_KEY", SERVER_KEY.0).env("LIVEKIT_API_SECRET", SERVER_KEY.1).serve();
    // All of them are open before the first one is used.
    let clients: Vec<_> = (0..64).map(|_| program.connect()).collect();
    let delivery = first_recorded();
    let authorization = authorization_at(UnixTime::now(), SERVER_KEY, &delivery.body);
    thread::scope(|scope| {
        for (index, mut client) in clients.into_iter().enumerate() {
            let (delivery, authorization) = (&delivery, &authorization);
            scope.spawn(move || {
                for round in 0..10 {
                    let name = format!("participant {index}, round {round}");
                    let body = format!(r#"{{"roomName":"daily","participantName":"{name}"}}"#);
                    let answer = client.ask(post("/token", &[], body));
                    assert_eq!(payload(answer.json()["token"].as_str().unwrap())["sub"], name.as_str());
                    let answer = client.ask(post("/webhook", &[("Authorization", authorization)], &delivery.body));
                    assert_eq!(answer.status, 200);
                    let refused = post("/webhook", &[("Authorization", "a.b.c")], &delivery.body);
                    assert_eq!(client.ask(refused).status, 401);
                    client.assert_usable();
                }
            });
        }
    });
}

#[test]
fn requests_in_one_piece_are_answered_in_their_order() {
    let server = Server::start();
    let delivery = first_recorded();
    let mut client = server.connect();
    let mut requests = Vec::new();
    let mut expected = Vec::new();
    for round in 0..20 {
        let name = format!("participant {round}");
        requests.extend(post("/token", &[], format!(r#"{{"roomName":"daily","participantName":"{name}"}}"#)));
        requests.extend(request_of(&delivery));
        requests.extend(get("/nowhere"));
        requests.extend(post("/webhook", &[("Authorization", "a.b.c")], "some body"));
        requests.extend(chunked_head("/webhook", &[("Authorization", &authorization("in chunks"))]));
        requests.extend([chunk("in "), chunk("chunks"), chunk("")].concat());
        requests.extend(request("OPTIONS", "/token", &[], b""));
        expected.push(name);
    }
    client.send(requests);
    for name in expected {
        let answer = client.answer();
        assert_eq!(payload(answer.json()["token"].as_str().unwrap())["sub"], name.as_str());
        for status in [200, 404, 401, 200, 204] {
            assert_eq!(client.answer().status, status, "after {name}");
        }
    }
    client.assert_usable();
}

#[test]
fn a_request_that_begins_with_the_one_before_it() {
    let server = Server::start();
    let mut client = server.connect();
    let requests = [get("/healthz"), request_of(&first_recorded())].concat();
    for cut in [1, 20, 45, 60, 200, requests.len() - 1] {
        client.send(&requests[..cut]);
        if cut > get("/healthz").len() {
            assert_eq!(client.answer().status, 200);
        }
        client.send(&requests[cut..]);
        if cut <= get("/healthz").len() {
            assert_eq!(client.answer().status, 200);
        }
        assert_eq!(client.answer().status, 200, "cut at {cut}");
    }
    client.assert_usable();
}

#[test]
fn a_thousand_requests_on_one_connection() {
    let server = Server::start();
    let mut client = server.connect();
    let deliveries: Vec<_> = recorded().into_iter().map(|delivery| (delivery.at, request_of(&delivery))).collect();
    for (at, request) in deliveries.iter().cycle().take(1000) {
        server.set_time(*at);
        assert_eq!(client.ask(request).status, 200);
    }
}

#[test]
fn a_request_that_panics_ends_alone() {
    let broken = Arc::new(AtomicBool::new(false));
    let clock = Arc::clone(&broken);
    let server = Setup::default().start_with_clock(move || {
        assert!(!clock.load(Relaxed), "this clock is broken, as the test wants it");
        UnixTime::from_secs(NOW)
    });
    let delivery = first_recorded();
    let body = r#"{"roomName":"daily","participantName":"alice"}"#;
    let mut beside = server.connect();
    beside.assert_usable();
    let mut client = server.connect();
    for _ in 0..3 {
        broken.store(true, Relaxed);
        for request in [post("/token", &[], body), request_of(&delivery)] {
            let answer = client.ask(request);
            assert_eq!(answer.status, 500);
            assert!(!answer.error().contains("clock"), "the panic's message is told");
        }
        client.assert_usable();
        beside.assert_usable();
        broken.store(false, Relaxed);
        for request in [post("/token", &[], body), request_of(&delivery)] {
            assert_eq!(client.ask(&request).status, 200);
            assert_eq!(beside.ask(&request).status, 200);
            assert_eq!(server.ask(&request).status, 200);
        }
    }
}
