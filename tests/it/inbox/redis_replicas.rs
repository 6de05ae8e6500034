//! An inbox that waits for replicas: what they do not have is neither acknowledged nor shown to readers.

use std::sync::Arc;
use std::time::Duration;

use roomkey::clock::Clock;
use roomkey::inbox::{AppendError, Appended, Filter, Inbox, ReadError, Retention};

use super::support::{ALL, append, arrival, event, everything};
use crate::harness::redis_server::{RedisServer, SAFE};
use crate::harness::wait::eventually;

fn open(server: &RedisServer) -> Inbox {
    let url = format!("{}?replicas=1", server.url()).parse().unwrap();
    Inbox::redis(url, Retention::default(), Clock::system()).unwrap()
}

async fn start() -> Option<(RedisServer, RedisServer)> {
    let primary = RedisServer::start_with(&[&SAFE[..], &["--repl-diskless-sync-delay", "0"]].concat())?;
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &primary.port().to_string()])?;
    eventually("the replica is there", async || replica.info("master_link_status") == "up").await;
    Some((primary, replica))
}

async fn assert_refuses(inbox: &Inbox, body: &str) {
    assert_eq!(inbox.append(arrival(body)).await, Err(AppendError::Unavailable));
    eventually("readiness says why", async || {
        inbox.is_ready().is_err_and(|error| error.to_string().contains("too few replicas"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_replica_has_is_refused_each_time_that_it_comes() {
    let Some((primary, replica)) = start().await else { return };
    let inbox = open(&primary);
    assert_eq!(append(&inbox, event("EV_1", "room_started", "daily")).await, Appended::Committed);
    let body = event("EV_2", "room_started", "daily");
    replica.pause();
    for _ in 0..3 {
        assert_refuses(&inbox, &body).await;
    }
    assert_eq!(primary.number(&["XLEN", "{roomkey}:entries"]), 2, "it is there");
    replica.resume();
    eventually("it is accepted", async || inbox.append(arrival(body.clone())).await == Ok(Appended::Duplicate)).await;
    eventually("it is ready", async || inbox.is_ready().is_ok()).await;
    assert_eq!(replica.number(&["XLEN", "{roomkey}:entries"]), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_replica_has_is_not_shown() {
    let Some((primary, replica)) = start().await else { return };
    let (inbox, other) = (open(&primary), open(&primary));
    append(&inbox, event("EV_1", "room_started", "daily")).await;
    let mut follower = other.follow(None, Filter::default());
    let first = follower.next(ALL).await.unwrap();
    replica.pause();
    assert_refuses(&inbox, &event("EV_2", "room_started", "daily")).await;
    for inbox in [&inbox, &other] {
        assert!(matches!(inbox.read(Some(first.next), &Arc::default(), ALL).await, Err(ReadError::Store(_))));
    }
    replica.resume();
    let seen = async || follower.next(ALL).await.map(|page| page.entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>());
    let seen = tokio::time::timeout(Duration::from_secs(30), retry(seen)).await.expect("it is shown once a replica has it");
    assert_eq!(seen, ["EV_2"]);
}

async fn retry<T, E>(mut attempt: impl AsyncFnMut() -> Result<T, E>) -> T {
    loop {
        if let Ok(done) = attempt().await {
            return done;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_replica_nothing_is_accepted() {
    let Some((primary, replica)) = start().await else { return };
    let inbox = open(&primary);
    eventually("it is ready", async || inbox.is_ready().is_ok()).await;
    replica.command(&["REPLICAOF", "NO", "ONE"]);
    eventually("the primary knows", async || primary.info("connected_slaves") == "0").await;
    assert_refuses(&inbox, &event("EV_1", "room_started", "daily")).await;
    // It does not flap.
    for _ in 0..20 {
        assert!(inbox.is_ready().is_err());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    replica.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    eventually("it is ready again", async || inbox.is_ready().is_ok()).await;
    append(&inbox, event("EV_1", "room_started", "daily")).await;
    assert_eq!(everything(&inbox).await.len(), 1);
}
