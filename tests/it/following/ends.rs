//! Owns the tests of how streams and waits end: with the token, with the server, with the reader.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::client::{Answer, Events, send};
use super::support::{ALL, SSE, Server, bearer, event, token_until};
use crate::fixtures::NOW;

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
    assert!(short.next().await.is_none(), "in good order");
    server.append_ids(2..3).await;
    assert_eq!(long.next().await.unwrap().data.unwrap(), event("2", "room_started", "daily"));
    server.set_time(NOW + 30);
    server.append_ids(3..4).await;
    assert!(long.next().await.is_none(), "and nothing that comes later");
    // Taken again only because clocks may differ, it ends with the leeway.
    let mut last = until(&server, NOW + 20).await;
    assert!(last.next().await.is_some());
    server.set_time(NOW + 81);
    while last.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_before_the_next_comment_wakes_the_stream() {
    // With a clock that stands still until the timer rings.
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
async fn a_follower_that_leaves_is_forgotten() {
    let server = Server::limited(|limits| limits.silence = Duration::from_millis(100)).await;
    let followers = || server.inbox.statistics().followers.load(Relaxed);
    let streams = [server.events("/events").await, server.events("/events").await, server.events("/events?room=a").await];
    assert_eq!(followers(), 3);
    drop(streams);
    let begin = Instant::now();
    while followers() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(10), "{} are left", followers());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
