//! Tests of readers that lose the permission to read while they read: their key is removed, or its secret changes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use roomkey::{ApiKey, ApiKeys};
use serde_json::Value;

use super::client::{Answer, Events, send};
use super::support::{ALL, DAILY, SSE, Server, bearer_of, event};
use crate::fixtures::{EGRESS_KEY, SERVER_KEY, api_key};
use crate::harness::wait::PATIENCE;

/// Removes the egress's key.
fn remove_key(server: &Server) {
    server.keyring.replace(ApiKeys::single(api_key(SERVER_KEY)));
}

async fn follow(server: &Server, key: (&str, &str), video: &str) -> Events {
    Events::read(send(server.address, "GET", "/events", &[SSE, ("authorization", &bearer_of(key, video))]).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_key() {
    let server = Server::start().await;
    server.append_ids(0..1).await;
    let mut gone = Vec::new();
    for video in [ALL, DAILY] {
        gone.push(follow(&server, EGRESS_KEY, video).await);
    }
    let mut stays = follow(&server, SERVER_KEY, ALL).await;
    for events in gone.iter_mut().chain([&mut stays]) {
        assert!(events.next().await.is_some());
    }
    // The same keys again, in another order, change nothing.
    server.keyring.replace(ApiKeys::new(api_key(EGRESS_KEY), [api_key(SERVER_KEY)]).unwrap());
    server.append_ids(1..2).await;
    for events in gone.iter_mut().chain([&mut stays]) {
        assert_eq!(events.next().await.unwrap().data.unwrap(), event("1", "room_started", "daily"));
    }
    let begin = Instant::now();
    remove_key(&server);
    for events in &mut gone {
        assert!(events.next().await.is_none(), "it does not end properly");
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    // Another secret under the same name is another key.
    let changed = ApiKey::new(SERVER_KEY.0, "another secret of 32 bytes and more").unwrap();
    server.keyring.replace(ApiKeys::single(changed));
    assert!(stays.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_its_key() {
    let server = Server::start().await;
    let (address, bearer) = (server.address, bearer_of(EGRESS_KEY, ALL));
    let begin = Instant::now();
    let waiting =
        tokio::spawn(
            async move { Answer::read(send(address, "GET", "/events?wait=30", &[("authorization", &bearer)]).await).await },
        );
    tokio::time::sleep(Duration::from_millis(500)).await;
    remove_key(&server);
    let (events, next) = waiting.await.unwrap().ids();
    assert!(events.is_empty() && !next.is_empty());
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    let headers = [("authorization", &*bearer_of(EGRESS_KEY, ALL))];
    assert_eq!(server.ask("GET", &format!("/events?after={next}"), &headers).await.status, 401);
}

/// A connection with a request under the egress's key. Its answer is chunked, and nothing of it is read yet.
fn ask(server: &Server, target: &str, accept: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let authorization = bearer_of(EGRESS_KEY, ALL);
    let head = format!(
        "GET {target} HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nauthorization: {authorization}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// The content of the chunks of an answer, which is read to its end.
fn unchunked(mut answer: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    answer = &answer[head + 4..];
    loop {
        let line = answer.windows(2).position(|window| window == b"\r\n").expect("the answer breaks off");
        let size = usize::from_str_radix(std::str::from_utf8(&answer[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend(&answer[line + 2..line + 2 + size]);
        answer = &answer[line + 2 + size + 2..];
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_under_way_is_cut_short() {
    let server = Server::start().await;
    for id in 0..600 {
        server.append(event(&id.to_string(), &"x".repeat(60_000), "daily")).await;
    }
    let mut stream = ask(&server, "/events?limit=1000", "*/*");
    let mut answer = vec![0; 100_000];
    stream.read_exact(&mut answer).unwrap();
    remove_key(&server);
    tokio::time::sleep(Duration::from_millis(100)).await;
    stream.read_to_end(&mut answer).unwrap();
    let page: Value = serde_json::from_slice(&unchunked(&answer)).expect("it is whole");
    let events = page["events"].as_array().unwrap();
    assert!((1..600).contains(&events.len()), "{} events", events.len());
    assert_eq!(page["next"], events.last().unwrap()["cursor"]);
    let rest = server.get(&format!("/events?limit=1&after={}", page["next"].as_str().unwrap())).await;
    assert_eq!(rest.ids().0, [events.len().to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_cut_when_its_key_goes() {
    let server = Server::limited(|limits| limits.write = Duration::from_secs(300)).await;
    for id in 0..8 {
        server.append(event(&id.to_string(), &"x".repeat(7 << 20), "daily")).await;
    }
    let streams = [ask(&server, "/events", "text/event-stream"), ask(&server, "/events", "*/*")];
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.inbox.statistics().followers.load(Relaxed), 2);
    let begin = Instant::now();
    remove_key(&server);
    while server.inbox.statistics().followers.load(Relaxed) > 0 {
        assert!(begin.elapsed() < Duration::from_secs(20), "they are not cut");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(streams);
}
