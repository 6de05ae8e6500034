//! Tests of two roomkeys that share one Redis: a delivery to one can be followed at the other, with the same cursors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::{Answer, Events, send};
use super::support::{ALL, SSE, Server, bearer, event};
use crate::fixtures::{digest, forge_with};
use crate::harness::client::{Client, post};
use crate::harness::redis_server::RedisServer;

async fn two_roomkeys() -> Option<[Server; 2]> {
    let redis = Arc::new(RedisServer::start()?);
    Some([Server::over(redis.clone()).await, Server::over(redis).await])
}

fn body(id: usize) -> String {
    event(&id.to_string(), "room_started", "daily")
}

/// Delivers the event `id` to `server` as LiveKit does.
fn deliver(server: &Server, id: usize) {
    let token = forge_with(&format!(r#""sha256":"{}""#, digest(body(id))));
    let request = post("/webhook", &[("Authorization", &token)], body(id));
    assert_eq!(Client::connect(server.address).ask(request).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_to_one_wakes_who_follows_the_other() {
    const ROUNDS: usize = 20;
    let Some(servers) = two_roomkeys().await else { return };
    let mut streams = [servers[0].events("/events").await, servers[1].events("/events").await];
    let mut next = servers[0].get("/events").await.ids().1;
    let begin = Instant::now();
    for id in 0..ROUNDS {
        let (here, there) = (&servers[id % 2], &servers[(id + 1) % 2]);
        let (address, target, bearer) = (there.address, format!("/events?wait=30&after={next}"), bearer(ALL));
        let waiting =
            tokio::spawn(async move { Answer::read(send(address, "GET", &target, &[("authorization", &bearer)]).await).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        deliver(here, id);
        for stream in &mut streams {
            assert_eq!(stream.next().await.unwrap().data.unwrap(), body(id));
        }
        let (ids, behind) = waiting.await.unwrap().ids();
        assert_eq!(ids, [id.to_string()]);
        next = behind;
    }
    // A follower that is not woken reads every 5 s.
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_one_that_stops_goes_on_at_the_other() {
    let Some([mut one, other]) = two_roomkeys().await else { return };
    (0..5).for_each(|id| deliver(&one, id));
    let mut events = one.events("/events").await;
    (5..8).for_each(|id| deliver(&other, id));
    let mut last = String::new();
    for id in 0..8 {
        let next = events.next().await.unwrap();
        assert_eq!(next.data.unwrap(), body(id));
        last = next.id.unwrap();
    }
    one.stop();
    assert!(events.next().await.is_none());
    one.ended().await;
    (8..12).for_each(|id| deliver(&other, id));

    let expected: Vec<_> = (8..12).map(|id| id.to_string()).collect();
    assert_eq!(other.get(&format!("/events?after={last}")).await.ids().0, expected);
    let headers = [SSE, ("authorization", &*bearer(ALL)), ("last-event-id", &*last)];
    let mut events = Events::read(send(other.address, "GET", "/events", &headers).await);
    (12..14).for_each(|id| deliver(&other, id));
    for id in 8..14 {
        assert_eq!(events.next().await.unwrap().data.unwrap(), body(id));
    }
    // A delivery that one has is a duplicate for the other.
    deliver(&other, 0);
    assert_eq!(other.get("/events").await.ids().0.len(), 14);
}
