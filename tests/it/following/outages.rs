//! Tests of readers that connect while the inbox cannot be read: a stream begins and waits, because an `EventSource` does not
//! reconnect after an error; a page is refused.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::timeout;

use super::client::{Events, send};
use super::process::{bearer_from_now, deliver, start};
use super::support::{ALL, SSE, Server, append_at, bearer, cursor_at, event};
use crate::fixtures::NOW;
use crate::harness::redis_server::RedisServer;
use crate::harness::wait::PATIENCE;
use roomkey::UnixTime;
use roomkey::inbox::Inbox;

/// Opens the stream at `target`, and reads until a comment comes.
async fn open_until_comment(server: &Server, target: &str, headers: &[(&str, &str)]) -> (String, hyper::body::Incoming) {
    let bearer = bearer(ALL);
    let headers = [&[SSE, ("authorization", &*bearer)], headers].concat();
    let answer = send(server.address, "GET", target, &headers).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].as_bytes()), (200, &b"text/event-stream"[..]));
    let mut body = answer.into_body();
    let mut received = String::new();
    while !received.ends_with("\n\n:\n\n") {
        let frame = timeout(PATIENCE, body.frame()).await.unwrap_or_else(|_| panic!("{received:?}")).unwrap().unwrap();
        received.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    (received, body)
}

async fn read_until(body: &mut hyper::body::Incoming, text: &str) -> String {
    let mut received = String::new();
    while !received.contains(text) {
        let frame = timeout(PATIENCE, body.frame()).await.unwrap_or_else(|_| panic!("{received:?}")).expect("it ends").unwrap();
        received.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    received
}

/// Tries to append until it works, as LiveKit does.
async fn append_at_last(inbox: &Inbox, id: &str) {
    let append = async || {
        let body = event(id, "room_started", "daily");
        super::support::try_append(inbox, body, crate::fixtures::now()).await.is_ok()
    };
    timeout(PATIENCE, async {
        while !append().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("the store does not come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_and_waits_for_a_store_that_is_away() {
    let Some(redis) = RedisServer::start() else { return };
    let redis = Arc::new(redis);
    let server = Server::with(|limits| limits.silence = Duration::from_millis(300), redis.clone()).await;
    server.append_ids(["before"]).await;
    let (_, last) = server.get("/events").await.ids();
    // A cursor from a clock that was ahead. While the store is down, nobody knows whether it is valid.
    append_at(&server.inbox, event("ahead", "x", "other"), UnixTime::from_secs(NOW + 7200)).await;
    let ahead = server.get("/events?room=other").await.json()["events"][0]["cursor"].as_str().unwrap().to_owned();
    redis.kill();
    let page = server.get(&format!("/events?after={last}")).await;
    assert_eq!((page.status, page.header("retry-after")), (503, Some("5")), "{}", page.error());
    assert_eq!(server.get("/events?after=latest").await.status, 503);

    let (begin, mut all) = open_until_comment(&server, "/events", &[]).await;
    assert!(begin.starts_with("retry: 1000\n\n:\n\n"), "{begin:?}");
    let (_, mut resumed) = open_until_comment(&server, "/events", &[("last-event-id", &ahead)]).await;
    let (begin, mut latest) = open_until_comment(&server, "/events?after=latest", &[]).await;
    assert!(begin.starts_with(&format!("retry: 1000\n\nid: {}\n\n", cursor_at(NOW))), "{begin:?}");
    let (_, wrong) = open_until_comment(&server, &format!("/events?after={}", cursor_at(NOW + 10_000)), &[]).await;

    redis.run();
    append_at_last(&server.inbox, "after").await;
    assert!(read_until(&mut all, "\"after\"").await.contains("\"before\""));
    assert!(!read_until(&mut resumed, "\"after\"").await.contains("\"before\""));
    read_until(&mut latest, "\"after\"").await;
    // A cursor of another inbox: the reader reconnects, and gets the error then.
    timeout(PATIENCE, wrong.collect()).await.expect("it goes on").unwrap();
    assert_eq!(server.get(&format!("/events?after={}", cursor_at(NOW + 10_000))).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_and_waits_for_a_store_that_hangs() {
    let Some(redis) = RedisServer::start() else { return };
    let redis = Arc::new(redis);
    let server = Server::with(|limits| limits.silence = Duration::from_millis(300), redis.clone()).await;
    server.append_ids(["before"]).await;
    redis.pause();
    let (_, mut all) = open_until_comment(&server, "/events", &[]).await;
    redis.resume();
    read_until(&mut all, "\"before\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_waits_for_a_store_that_was_never_there() {
    let Some(redis) = RedisServer::absent(&[]) else { return };
    let redis = Arc::new(redis);
    let server = Server::with(|limits| limits.silence = Duration::from_millis(300), redis.clone()).await;
    let (_, mut all) = open_until_comment(&server, "/events", &[]).await;
    redis.run();
    append_at_last(&server.inbox, "first").await;
    read_until(&mut all, "\"first\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_the_real_program_waits_for_its_file() {
    let start = start().directory("panics").env("ROOMKEY_TEST_PANICS", "panics");
    let panics = start.path("panics");
    let program = start.serve();
    let point = panics.join("inbox-read");
    std::fs::write(&point, "").unwrap();
    let headers = [("authorization", &*bearer_from_now())];
    assert_eq!(send(program.address(), "GET", "/events", &headers).await.status(), 503);
    let mut events = Events::read(send(program.address(), "GET", "/events", &[headers[0], SSE]).await);
    std::fs::remove_file(&point).unwrap();
    deliver(&program, &event("1", "room_started", "daily")).await;
    assert_eq!(events.next().await.unwrap().data.unwrap(), event("1", "room_started", "daily"));
}
