//! Tests that replay and live are one path: followers disconnect and reconnect at random while events come in, at one roomkey or
//! at two that share an inbox.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::client::{Events, send};
use super::support::{ALL, SSE, Server, bearer, event, over_all, try_append};
use crate::fixtures::now;
use crate::harness::redis_server::RedisServer;

const FOLLOWERS: u64 = 50;
const EVENTS: usize = 800;

/// Random-looking numbers, the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.roll(from.len() as u64)).unwrap()]
    }
}

/// Time for a commit, enough for a loaded machine.
const COMMIT_PATIENCE: Duration = Duration::from_secs(120);

/// Follows to the end, over as many connections as it takes, each to one of `addresses`. Returns the ids and the number of connections.
async fn follow(addresses: Vec<SocketAddr>, seed: u64) -> (Vec<String>, usize) {
    let bearer = bearer(ALL);
    let mut dice = Dice(seed);
    let (mut seen, mut last, mut connections) = (Vec::new(), String::new(), 0);
    while seen.len() < EVENTS {
        connections += 1;
        let mut headers = vec![SSE, ("authorization", &*bearer)];
        if !last.is_empty() {
            headers.push(("last-event-id", &last));
        }
        let mut events = Events::read(send(*dice.pick(&addresses), "GET", "/events", &headers).await);
        drop(headers);
        // A few events, or a moment, or both. Most connections wait for their first event, so that the test ends on a slow machine
        // too.
        let (some, moment, is_patient) = (dice.roll(120), Duration::from_millis(dice.roll(60)), dice.roll(4) > 0);
        for at in 0..some {
            let patience = if at == 0 && is_patient { Duration::MAX } else { moment };
            let Ok(next) = timeout(patience, events.next()).await else { break };
            let next = next.expect("it does not end");
            let data: serde_json::Value = serde_json::from_str(&next.data.unwrap()).unwrap();
            seen.push(data["id"].as_str().unwrap().to_owned());
            last = next.id.unwrap();
        }
    }
    (seen, connections)
}

/// Appends as LiveKit does: a delivery that is refused under load is sent again, although it may have been committed.
async fn append(server: &Server, id: usize) {
    let begin = Instant::now();
    let body = event(&id.to_string(), "room_started", "daily");
    while let Err(error) = try_append(&server.inbox, &body, now()).await {
        assert!(begin.elapsed() < COMMIT_PATIENCE, "{id} is not committed: {error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn cut_at_random(servers: &[Server]) {
    for id in 0..300 {
        append(&servers[0], id).await;
    }
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let followers: Vec<_> = (1..=FOLLOWERS).map(|seed| tokio::spawn(follow(addresses.clone(), seed))).collect();
    let mut dice = Dice(7);
    for id in 300..EVENTS {
        append(dice.pick(servers), id).await;
        if dice.roll(20) == 0 {
            tokio::time::sleep(Duration::from_millis(dice.roll(15))).await;
        }
    }
    let expected: Vec<String> = (0..EVENTS).map(|id| id.to_string()).collect();
    let mut connections = 0;
    for follower in followers {
        let (seen, times) = follower.await.unwrap();
        assert!(seen == expected, "{} seen", seen.len());
        connections += times;
    }
    assert!(connections > 10 * FOLLOWERS as usize, "they were hardly cut: {connections} connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_followers_cut_at_random_see_each_once_and_in_order() {
    over_all(async |server| cut_at_random(&[server]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_followers_of_two_roomkeys_cut_at_random_see_each_once_and_in_order() {
    let Some(redis) = RedisServer::start() else { return };
    let redis = Arc::new(redis);
    cut_at_random(&[Server::over(redis.clone()).await, Server::over(redis).await]).await;
}
