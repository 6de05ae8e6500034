//! Tests of how streams and waits end: with the token, with the server, with the client.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::client::{Answer, Events, send};
use super::support::{ALL, SSE, Server, bearer, cursor_at, event, token_until};
use crate::fixtures::NOW;
use crate::harness::wait::PATIENCE;

async fn until(server: &Server, expiry: u64) -> Events {
    let authorization = format!("Bearer {}", token_until(ALL, expiry));
    Events::read(send(server.address, "GET", "/events", &[SSE, ("authorization", &authorization)]).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token() {
    let server = Server::limited(|limits| limits.silence = Duration::from_millis(100)).await;
    server.append_ids(0..1).await;
    let (mut short, mut long) = (until(&server, NOW + 10).await, until(&server, NOW + 20).await);
    assert!(short.next().await.is_some() && long.next().await.is_some());
    server.set_time(NOW + 9);
    server.append_ids(1..2).await;
    assert!(short.next().await.is_some() && long.next().await.is_some());
    server.set_time(NOW + 10);
    assert!(short.next().await.is_none(), "it does not end properly");
    server.append_ids(2..3).await;
    assert_eq!(long.next().await.unwrap().data.unwrap(), event("2", "room_started", "daily"));
    server.set_time(NOW + 30);
    server.append_ids(3..4).await;
    assert!(long.next().await.is_none(), "and nothing that comes later");
    // A token that is valid only by the leeway ends with the leeway.
    let mut last = until(&server, NOW + 20).await;
    assert!(last.next().await.is_some());
    server.set_time(NOW + 81);
    while last.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_before_the_next_comment_wakes_the_stream() {
    // The clock does not move until the timer fires.
    let server = Server::start().await;
    let mut events = until(&server, NOW + 1).await;
    let begin = Instant::now();
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.set_time(NOW + 2);
    assert!(events.next().await.is_none());
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_end_in_good_order_when_the_server_stops() {
    let mut server = Server::start().await;
    server.append_ids(0..3).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut events = server.events("/events").await;
        for _ in 0..3 {
            events.next().await.unwrap();
        }
        streams.push(events);
    }
    let next = server.get("/events").await.ids().1;
    let (address, bearer) = (server.address, bearer(ALL));
    let target = format!("/events?wait=30&after={next}");
    let waiting =
        tokio::spawn(async move { Answer::read(send(address, "GET", &target, &[("authorization", &bearer)]).await).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begin = Instant::now();
    server.stop();
    for mut events in streams {
        assert!(events.next().await.is_none());
    }
    assert_eq!(waiting.await.unwrap().ids(), (vec![], next));
    server.ended().await;
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_leaves_is_forgotten_at_once() {
    let server = Server::start().await;
    let followers = || server.inbox.statistics().followers.load(Relaxed);
    let streams = [server.events("/events").await, server.events("/events").await, server.events("/events?room=a").await];
    assert_eq!(followers(), 3);
    drop(streams);
    let begin = Instant::now();
    while followers() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(5), "{} are left", followers());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A connection on which `head` was sent. `T` in it is replaced by a token.
fn connect(server: &Server, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head.replace("Bearer T", &bearer(ALL)).as_bytes()).unwrap();
    stream
}

fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut received = Vec::new();
    let mut byte = [0];
    while !received.ends_with(end.as_bytes()) {
        let length = stream.read(&mut byte).unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&received)));
        assert_eq!(length, 1, "closed after {:?}", String::from_utf8_lossy(&received));
        received.extend(byte);
    }
    String::from_utf8(received).unwrap()
}

fn assert_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
}

/// A request for a page, without the empty line. It waits in vain, because its cursor is later than every event.
fn page(after: &str) -> String {
    format!("GET /events?limit=2&after={after}&wait=1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer T\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_on_after_an_answer_in_chunks() {
    let server = Server::start().await;
    // The second request comes while the first one is still being answered.
    let after = cursor_at(NOW + 1800);
    let page = page(&after);
    let mut stream = connect(&server, &format!("{page}\r\n{page}\r\n"));
    for _ in 0..2 {
        let answer = read_until(&mut stream, "\r\n0\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("transfer-encoding: chunked\r\n"), "{answer}");
        assert!(answer.contains(&format!(r#"{{"events":[],"next":"{after}"}}"#)), "{answer}");
    }
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    read_until(&mut stream, r#"{"status":"ok"}"#);
    let mut stream = connect(&server, &format!("{page}connection: x, Close\r\n\r\n"));
    assert!(read_until(&mut stream, "\r\n0\r\n\r\n").contains("connection: close\r\n"));
    assert_closed(&mut stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_finished_its_side_gets_its_page() {
    let server = Server::start().await;
    for id in 0..50 {
        server.append(event(&id.to_string(), &"x".repeat(20_000), "daily")).await;
    }
    let mut stream = connect(&server, "GET /events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer T\r\n\r\n");
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(r#""id":"49""#) && answer.contains(r#"],"next":""#) && answer.ends_with("\r\n0\r\n\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_client_that_leaves_is_forgotten_at_once() {
    let server = Server::start().await;
    let head = "GET /events HTTP/1.0\r\naccept: text/event-stream\r\nauthorization: Bearer T\r\n\r\n";
    let mut stream = connect(&server, head);
    read_until(&mut stream, "retry: 1000\n\n");
    assert_eq!(server.inbox.statistics().followers.load(Relaxed), 1);
    drop(stream);
    let begin = Instant::now();
    while server.inbox.statistics().followers.load(Relaxed) > 0 {
        assert!(begin.elapsed() < Duration::from_secs(5), "it is not forgotten");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_client_reads_to_the_end_of_the_connection() {
    let mut server = Server::start().await;
    server.append_ids(0..1).await;
    let head = "GET /events HTTP/1.0\r\naccept: text/event-stream\r\nauthorization: Bearer T\r\n\r\n";
    let mut stream = connect(&server, head);
    let answer = read_until(&mut stream, "\n\n");
    assert!(!answer.contains("chunked") && answer.ends_with("\r\n\r\nretry: 1000\n\n"), "{answer}");
    read_until(&mut stream, "}\n\n");
    server.append_ids(1..2).await;
    read_until(&mut stream, "}\n\n");
    server.stop();
    assert_closed(&mut stream);
    server.ended().await;
}
