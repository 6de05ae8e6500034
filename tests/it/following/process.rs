//! Tests of `GET /events` that need the real program: signals, its log, restarts.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use roomkey::{AccessToken, UnixTime};
use rustix::process::Signal;

use super::client::{Events, send};
use super::support::{ALL, SSE, token_until};
use crate::fixtures::{SERVER_KEY, api_key, digest};
use crate::harness::program::{Program, Start};

/// A server with an inbox in its working directory that logs everything.
pub(super) fn start() -> Start {
    let start = Start::new().env("SERVER_BIND", "127.0.0.1").env("LOG_LEVEL", "trace");
    start.env("LIVEKIT_API_KEY", SERVER_KEY.0).env("LIVEKIT_API_SECRET", SERVER_KEY.1)
}

/// An `Authorization` header that may read everything for an hour from now.
pub(super) fn bearer_from_now() -> String {
    format!("Bearer {}", token_until(ALL, UnixTime::now().as_secs() + 3600))
}

/// Delivers `body` as LiveKit does.
pub(super) async fn deliver(program: &Program, body: &str) {
    let stream = tokio::net::TcpStream::connect(program.address()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let token = AccessToken::new().with_sha256(digest(body)).to_jwt(&api_key(SERVER_KEY), UnixTime::now()).unwrap();
    let request = hyper::Request::post("/webhook").header("host", "test").header("authorization", token);
    let request = request.body(body.to_owned()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
}

/// Asks for a stream on a connection of its own.
pub(super) fn follow(program: &Program, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(program.address()).unwrap();
    let authorization = bearer_from_now();
    let head = format!("GET {target} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nauthorization: {authorization}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// The same, once it has sent its first kilobyte.
pub(super) fn follow_and_read(program: &Program) -> TcpStream {
    let mut stream = follow(program, "/events");
    stream.read_exact(&mut [0; 1024]).unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_streams_in_good_order() {
    let program = start().serve();
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams
            .push(Events::read(send(program.address(), "GET", "/events", &[SSE, ("authorization", &bearer_from_now())]).await));
    }
    let begin = std::time::Instant::now();
    program.signal(Signal::TERM);
    for mut events in streams {
        assert!(events.next().await.is_none());
    }
    assert_eq!(program.ended().status, 0);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_stands_in_the_log() {
    let program = start().serve();
    let bearer = bearer_from_now();
    let token = bearer.strip_prefix("Bearer ").unwrap();
    let broken = format!("{}x", &token[..token.len() - 1]);
    for token in [token, &broken] {
        for rest in ["", "&limit=0", "&room=a&room=a"] {
            send(program.address(), "GET", &format!("/events?access_token={token}{rest}"), &[]).await;
            send(program.address(), "GET", &format!("/events?access_token={token}{rest}"), &[SSE]).await;
            send(program.address(), "PUT", &format!("/events?access_token={token}{rest}"), &[]).await;
        }
    }
    let log = program.stop().join("\n");
    assert!(log.contains("/events") && !log.contains("access_token"), "{log}");
    let (input, signature) = token.rsplit_once('.').unwrap();
    assert!(!log.contains(input.split_once('.').unwrap().1) && !log.contains(signature), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_followed_goes_on_after_a_restart() {
    let start = start();
    let path = start.path("roomkey.db");
    let clock = roomkey::clock::Clock::system();
    let open = || roomkey::inbox::Inbox::sqlite(&path, roomkey::inbox::Retention::default(), clock.clone()).unwrap();
    let inbox = open();
    for id in 0..10 {
        super::support::append(&inbox, super::support::event(&id.to_string(), "x", "daily")).await;
    }
    inbox.close().await;
    drop(inbox);
    let program = start.serve();
    let mut last = String::new();
    let headers = [SSE, ("authorization", &*bearer_from_now())];
    let mut events = Events::read(send(program.address(), "GET", "/events", &headers).await);
    for id in 0..10 {
        let event = events.next().await.unwrap();
        assert_eq!(event.data.unwrap(), super::support::event(&id.to_string(), "x", "daily"));
        last = event.id.unwrap();
    }
    let headers = [("authorization", &*bearer_from_now()), ("last-event-id", &*last)];
    let answer = super::client::Answer::read(send(program.address(), "GET", "/events", &headers).await).await;
    let (events, next) = answer.ids();
    assert!(events.is_empty() && next >= last, "{next}");
}
