//! Tests of followers that do not read: each is cut, takes little memory until then, and misses nothing when it reconnects. Idle
//! followers take little memory too.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use roomkey::clock::Clock;
use roomkey::inbox::{Inbox, Retention};
use socket2::{Domain, Socket, Type};

use super::client::{Events, send};
use super::process::{bearer_from_now, follow, follow_and_read, start};
use super::support::{ALL, DAILY, SSE, Server, append, bearer, event, token_until};
use crate::fixtures::NOW;
use crate::harness::program::Program;

const KIB: usize = 1024;

/// The memory that `program` takes, in KiB.
fn resident_kib(program: &Program) -> usize {
    program.resident_bytes() / 1024
}

/// An event of about this many bytes.
fn large(id: usize, bytes: usize) -> String {
    event(&id.to_string(), &"x".repeat(bytes), "daily")
}

/// A connection that asks for a stream and does not read it.
fn unread(address: std::net::SocketAddr, authorization: &str) -> TcpStream {
    unread_with("HTTP/1.1", address, authorization)
}

/// The same with this version of HTTP. By default, a proxy such as nginx speaks 1.0.
fn unread_with(version: &str, address: std::net::SocketAddr, authorization: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // So that the kernel buffers little for it.
    socket.set_recv_buffer_size(4 * KIB).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    let request =
        format!("GET /events {version}\r\nhost: test\r\naccept: text/event-stream\r\nauthorization: {authorization}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_cut_and_misses_nothing() {
    let server = Server::limited(|limits| limits.write = Duration::from_millis(500)).await;
    // More than the kernel buffers.
    for id in 0..100 {
        server.append(large(id, 100 * KIB)).await;
    }
    let mut stream = unread(server.address, &bearer(ALL));
    let begin = Instant::now();
    // The server counts a follower until it is cut.
    while server.inbox.statistics().followers.load(Relaxed) > 0 || begin.elapsed().as_millis() < 300 {
        assert!(begin.elapsed() < Duration::from_secs(20), "it is not cut");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received); // it is cut, so an error is fine
    let received = String::from_utf8_lossy(&received).into_owned();
    assert!(!received.ends_with("0\r\n\r\n"), "a stream that is cut looks as if it had ended");
    let complete = received.rsplit_once("\n\n").unwrap().0;
    let last = complete.rsplit_once("id: ").unwrap().1[..16].to_owned();
    let seen = complete.matches("\nid: ").count(); // the head has an id too
    assert!(seen < 100, "all was taken");
    let headers = [SSE, ("authorization", &*bearer(ALL)), ("last-event-id", &last)];
    let mut events = Events::read(send(server.address, "GET", "/events", &headers).await);
    for id in seen..100 {
        assert!(
            events.next_or_cut().await.expect("a reader that reads is not cut").data.unwrap() == large(id, 100 * KIB),
            "{id}"
        );
    }
}

/// Fills the inbox at `path` with `count` events of this many bytes.
async fn fill(path: &std::path::Path, count: usize, bytes: usize) {
    let inbox = Inbox::sqlite(path, Retention::default(), Clock::system()).unwrap();
    for ids in (0..count).collect::<Vec<_>>().chunks(100) {
        let bodies: Vec<_> = ids.iter().map(|id| large(*id, bytes)).collect();
        join_all(bodies.iter().map(|body| append(&inbox, body))).await;
    }
    inbox.close().await;
}

/// Readers that do not read hold large bodies of `daily` for as long as they like, and readers of another room get theirs.
async fn assert_others_are_served(server: &Server, unread: Vec<TcpStream>) {
    const OTHER: &str = r#"{"roomAdmin":true,"room":"other"}"#;
    for id in 0..3 {
        server.append(event(&format!("other {id}"), &"x".repeat(3 << 20), "other")).await;
    }
    let mut events = server.events_as(OTHER, "/events").await;
    for _ in 0..3 {
        assert!(events.next().await.expect("others are not served").data.unwrap().len() > 3 << 20);
    }
    assert_eq!(server.get_as(OTHER, "/events?limit=3").await.ids().0.len(), 3);
    drop(unread);
}

/// A server with five events of the room `daily`, each larger than what the kernel buffers for a client.
async fn server_of_large_events() -> Server {
    let server = Server::limited(|limits| limits.write = Duration::from_secs(120)).await;
    for id in 0..5 {
        server.append(large(id, 7 << 20)).await;
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_take_nothing_keep_no_other_token_waiting() {
    let server = server_of_large_events().await;
    let first = unread(server.address, &bearer(DAILY));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let others: Vec<_> = (1..40).map(|_| unread(server.address, &bearer(DAILY))).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The token's own readers wait for each other: a page for a while, a stream for as long as it takes.
    let crowded = server.get_as(DAILY, "/events").await;
    assert_eq!((crowded.status, crowded.header("retry-after")), (503, Some("5")), "{}", crowded.error());
    let mut events = server.events_as(DAILY, "/events").await;
    // Another token of the same room has a share of its own.
    let other = format!("Bearer {}", token_until(DAILY, NOW + 1800));
    assert_eq!(server.ask("GET", "/events?limit=1", &[("authorization", &other)]).await.ids().0, ["0"]);
    assert_others_are_served(&server, others).await;
    drop(first);
    for id in 0..5 {
        assert!(events.next().await.unwrap().data.unwrap() == large(id, 7 << 20), "it kept its place");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_one_room_with_many_tokens_keep_no_other_room_waiting() {
    let server = server_of_large_events().await;
    let token = |at: u64| format!("Bearer {}", token_until(DAILY, NOW + 1000 + at));
    let unread_streams: Vec<_> = (0..40).map(|at| unread(server.address, &token(at))).collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_others_are_served(&server, unread_streams).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_a_large_event_in_drops_is_cut() {
    let server = Server::limited(|limits| limits.write = Duration::from_millis(200)).await;
    server.append(large(0, 7 << 20)).await;
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let mut stream = unread_with(version, server.address, &bearer(ALL));
        let begin = Instant::now();
        // This would be enough for a small event.
        while server.inbox.statistics().followers.load(Relaxed) > 0 || begin.elapsed().as_millis() < 300 {
            assert!(begin.elapsed() < Duration::from_secs(60), "{version}: it is not cut");
            let _ = stream.read(&mut [0; 4 * KIB]);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_readers_that_take_nothing_cost_little() {
    for (count, bytes, most_kib) in [(3_000, 4 * KIB, 20_000), (15, 1_000 * KIB, 90_000)] {
        let start = start();
        fill(&start.path("roomkey.db"), count, bytes).await;
        let program = start.serve();
        // The first reads take memory once, which does not count.
        let first = follow_and_read(&program);
        let before = resident_kib(&program);
        let unread_streams: Vec<_> = (0..20).map(|_| unread(program.address(), &bearer_from_now())).collect();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let more = resident_kib(&program).saturating_sub(before);
        eprintln!("20 followers that do not read cost {more} KiB more, where {count} events of {} KiB wait", bytes / KIB);
        assert!(more < most_kib, "{more} KiB");
        drop((unread_streams, first));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_idle_followers_cost_little() {
    const FOLLOWERS: usize = 500;
    let program = start().serve();
    let begin = || {
        let mut stream = follow(&program, "/events");
        stream.read_exact(&mut [0; 100]).unwrap(); // of its head
        stream
    };
    let first = begin();
    let before = resident_kib(&program);
    let followers: Vec<_> = (0..FOLLOWERS).map(|_| begin()).collect();
    let each = resident_kib(&program).saturating_sub(before) as f64 / FOLLOWERS as f64;
    eprintln!("an idle follower costs {each:.1} KiB");
    assert!(each <= 16.0, "{each:.1} KiB");
    drop((first, followers));
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_that_are_idle_after_many_events_cost_little() {
    const FOLLOWERS: usize = 200;
    let start = start();
    fill(&start.path("roomkey.db"), 20, 4 * KIB).await;
    let program = start.serve();
    let authorization = bearer_from_now();
    let begin = |version| {
        let mut stream = unread_with(version, program.address(), &authorization);
        let mut received = Vec::new();
        while !String::from_utf8_lossy(&received).contains("\"id\":\"19\"") {
            let mut piece = [0; 16 * KIB];
            let length = stream.read(&mut piece).unwrap();
            assert!(length > 0, "it ended early");
            received.drain(..received.len().saturating_sub(KIB));
            received.extend_from_slice(&piece[..length]);
        }
        stream
    };
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let first: Vec<_> = (0..10).map(|_| begin(version)).collect();
        let before = resident_kib(&program);
        let followers: Vec<_> = (0..FOLLOWERS).map(|_| begin(version)).collect();
        let each = resident_kib(&program).saturating_sub(before) as f64 / FOLLOWERS as f64;
        eprintln!("a follower of {version} that is idle after many events costs {each:.1} KiB");
        assert!(each <= 16.0, "{version}: {each:.1} KiB");
        drop((first, followers));
    }
}
