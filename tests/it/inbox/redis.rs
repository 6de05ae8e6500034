//! The inbox in a Redis that hangs, dies, fills up, becomes a replica or is unreachable, and that several roomkeys share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roomkey::UnixTime;
use roomkey::inbox::{AppendError, Appended, Arrival, Cursor, Filter, Follower, Inbox, ReadError, Retention};

use super::support::{ALL, KEYS, arrival, delivery_of, event, everything, guide_rules};
use crate::harness::clock::TestClock;
use crate::harness::redis_server::RedisServer;
use crate::harness::wait::eventually;

/// How soon a delivery is refused.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);
/// How soon it is accepted again once the server is back.
const BACK_WITHIN: Duration = Duration::from_secs(10);

fn at(body: String, received: UnixTime) -> Arrival {
    Arrival::new(delivery_of(KEYS[0], body), received)
}

async fn append(inbox: &Inbox, id: &str) -> Result<Appended, AppendError> {
    inbox.append(arrival(event(id, "room_started", "daily"))).await
}

/// Asserts that appends fail in time, and that readiness shows it.
async fn assert_refuses(inbox: &Inbox, id: &str) {
    let begin = Instant::now();
    assert_eq!(append(inbox, id).await, Err(AppendError::Unavailable));
    assert!(begin.elapsed() < REFUSED_WITHIN, "refused after {:?}", begin.elapsed());
    eventually("readiness says so", async || inbox.is_ready().is_err()).await;
}

/// Asserts that appends work again in time, without a restart.
async fn assert_comes_back(inbox: &Inbox, id: &str) {
    let begin = Instant::now();
    while append(inbox, id).await.is_err() {
        assert!(begin.elapsed() < BACK_WITHIN, "not back after {:?}", begin.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(begin.elapsed() < BACK_WITHIN, "back after {:?}", begin.elapsed());
    assert!(inbox.is_ready().is_ok());
}

async fn ids(inbox: &Inbox) -> Vec<String> {
    everything(inbox).await.into_iter().map(|entry| entry.id).collect()
}

async fn within<T>(patience: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(patience, future).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_waited_for_but_not_by_the_sender() {
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    append(&inbox, "EV_1").await.unwrap();

    server.pause();
    assert_refuses(&inbox, "EV_2").await;
    assert!(matches!(inbox.read(None, &Arc::default(), ALL).await, Err(ReadError::Store(_))));
    server.resume();
    assert_comes_back(&inbox, "EV_3").await;

    // Deliveries in progress when the server hung may or may not be committed.
    let ids = ids(&inbox).await;
    assert!(ids == ["EV_1", "EV_3"] || ids == ["EV_1", "EV_2", "EV_3"], "{ids:?}");
    let again = append(&inbox, "EV_2").await.unwrap();
    assert_eq!(again == Appended::Duplicate, ids.len() == 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_survives_the_kill_of_the_server() {
    const SENDERS: usize = 8;
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let inbox = inbox.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for count in 0.. {
                    let body = event(&format!("EV_{sender}_{count}"), "room_started", &format!("room-{sender}"));
                    match inbox.append(arrival(body.clone())).await {
                        Ok(Appended::Committed) => acknowledged.push(body),
                        Ok(other) => panic!("{other:?}"),
                        Err(_) => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.kill();
    let mut acknowledged = Vec::new();
    for sender in senders {
        acknowledged.push(within(REFUSED_WITHIN, sender).await.unwrap());
    }
    server.run();
    assert_comes_back(&inbox, "EV_last").await;

    let mut kept: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
    for entry in everything(&inbox).await {
        kept.entry(entry.room).or_default().push(entry.body.to_vec());
    }
    for (sender, acknowledged) in acknowledged.iter().enumerate() {
        let kept = &kept[&format!("room-{sender}")];
        assert!(acknowledged.len() > 3, "only {} were acknowledged", acknowledged.len());
        assert!(kept.len() <= acknowledged.len() + 1, "only the last one may be kept without having been acknowledged");
        assert!(acknowledged.iter().map(String::as_bytes).eq(kept.iter().map(Vec::as_slice).take(acknowledged.len())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_refuses_and_is_still_read() {
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    append(&inbox, "EV_1").await.unwrap();

    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_refuses(&inbox, "EV_2").await;
    assert!(inbox.is_ready().unwrap_err().to_string().contains("full"));
    assert_eq!(ids(&inbox).await, ["EV_1"]);
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_comes_back(&inbox, "EV_2").await;
    assert_eq!(ids(&inbox).await, ["EV_1", "EV_2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_became_a_replica_refuses_and_is_still_read() {
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    append(&inbox, "EV_1").await.unwrap();

    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    assert_refuses(&inbox, "EV_2").await;
    assert!(inbox.is_ready().unwrap_err().to_string().contains("read-only"));
    assert_eq!(ids(&inbox).await, ["EV_1"]);
    server.command(&["REPLICAOF", "NO", "ONE"]);
    assert_comes_back(&inbox, "EV_2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_at_the_start_is_waited_for() {
    let Some(server) = RedisServer::absent(&[]) else { return };
    let inbox = server.inbox();
    assert!(inbox.is_ready().is_err());
    assert_refuses(&inbox, "EV_1").await;

    let mut follower = inbox.follow(None, Filter::default());
    assert!(matches!(follower.next(ALL).await, Err(ReadError::Store(_))));
    server.run();
    assert_comes_back(&inbox, "EV_1").await;
    assert_eq!(follower.next(ALL).await.unwrap().entries.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_a_server_that_nobody_writes_to() {
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    let (ready, unready) = (async || inbox.is_ready().is_ok(), async || inbox.is_ready().is_err());
    eventually("it is reached", ready).await;
    server.kill();
    eventually("it is missed", unready).await;
    server.run();
    eventually("it is back", ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_server_closed_and_scripts_that_it_forgot_are_restored() {
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    append(&inbox, "EV_1").await.unwrap();
    assert_eq!(ids(&inbox).await, ["EV_1"]);
    server.command(&["SCRIPT", "FLUSH"]);
    assert_eq!(append(&inbox, "EV_2").await, Ok(Appended::Committed));
    server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    assert_eq!(ids(&inbox).await, ["EV_1", "EV_2"]);
    assert_eq!(append(&inbox, "EV_3").await, Ok(Appended::Committed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_only_the_needed_permissions_is_enough() {
    let Some(server) = RedisServer::start() else { return };
    let rules = guide_rules("the inbox");
    let url = server.url_of_user(&rules).parse().unwrap();
    let test_clock = TestClock::at(UnixTime::now());
    let inbox =
        Inbox::redis(url, Retention { age: Duration::from_secs(60), ..Retention::default() }, test_clock.clock()).unwrap();
    append(&inbox, "EV_1").await.unwrap();
    let mut follower = inbox.follow(None, Filter::default());
    assert_eq!(follower.next(ALL).await.unwrap().entries.len(), 1);
    let other = server.inbox();
    let (page, _) = tokio::join!(within(Duration::from_secs(1), follower.next(ALL)), append(&other, "EV_2"));
    assert_eq!(page.unwrap().entries[0].id, "EV_2");
    test_clock.advance(Duration::from_secs(120));
    eventually("they go", async || server.number(&["XLEN", "{roomkey}:entries"]) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_of_a_cluster_that_has_the_keys_is_found() {
    let Some((asked, owner)) = RedisServer::cluster() else { return };
    let inbox = asked.inbox();
    append(&inbox, "EV_1").await.unwrap();
    assert_eq!(ids(&inbox).await, ["EV_1"]);
    assert_eq!(owner.number(&["XLEN", "{roomkey}:entries"]), 1);
    owner.kill();
    assert_refuses(&inbox, "EV_2").await;
    owner.run();
    assert_comes_back(&inbox, "EV_2").await;
}

/// Reads until `count` entries came.
async fn follow(follower: &mut Follower, count: usize) -> Vec<(Cursor, String)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let page = follower.next(ALL).await.unwrap();
        seen.extend(page.entries.into_iter().map(|entry| (entry.cursor, entry.id)));
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn two_roomkeys_keep_each_event_once_and_their_followers_see_the_same() {
    const EVENTS: usize = 200;
    let Some(server) = RedisServer::start() else { return };
    let inboxes = [server.inbox(), server.inbox()];
    let followers = inboxes.clone().map(|inbox| {
        tokio::spawn(
            async move { within(Duration::from_secs(30), follow(&mut inbox.follow(None, Filter::default()), EVENTS)).await },
        )
    });
    // LiveKit sends one event to both, at the same moment and under two keys.
    let senders = [0, 1].map(|which| {
        let inbox = inboxes[which].clone();
        tokio::spawn(async move {
            let mut committed = 0;
            for count in 0..EVENTS {
                let body = event(&format!("EV_{count}"), "room_started", "daily");
                match inbox.append(Arrival::new(delivery_of(KEYS[which], body), UnixTime::now())).await.unwrap() {
                    Appended::Committed => committed += 1,
                    other => assert_eq!(other, Appended::Duplicate),
                }
            }
            committed
        })
    });
    let mut committed = 0;
    for sender in senders {
        committed += sender.await.unwrap();
    }
    assert_eq!(committed, EVENTS);
    let [one, other] = followers;
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    assert_eq!(one, other);
    assert_eq!(one.len(), EVENTS);
    assert!(one.is_sorted_by(|before, after| before.0 < after.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_hears_at_once_of_what_another_roomkey_commits() {
    let Some(server) = RedisServer::start() else { return };
    let (one, other) = (server.inbox(), server.inbox());
    let mut follower = one.follow(None, Filter::default());
    for count in 0..5 {
        let id = format!("EV_{count}");
        let (page, appended) = tokio::join!(within(Duration::from_secs(1), follower.next(ALL)), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            append(&other, &id).await
        });
        assert_eq!((page.unwrap().entries[0].id.as_str(), appended), (id.as_str(), Ok(Appended::Committed)));
    }
    // Including what was committed while its server was away.
    server.kill();
    server.run();
    assert_comes_back(&other, "EV_5").await;
    let page = within(BACK_WITHIN, async {
        loop {
            if let Ok(page) = follower.next(ALL).await {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert_eq!(page.await.entries[0].id, "EV_5");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_or_too_much_is_deleted_with_its_fingerprints() {
    let Some(server) = RedisServer::start() else { return };
    let test_clock = TestClock::at(UnixTime::now());
    // More at once would be a leap of the clock.
    let age = Duration::from_secs(50 * 60);
    let inbox = server.inbox_with(Retention { age, bytes: 64 * 1024 }, test_clock.clock());
    let put = async |id: &str| {
        let body = event(id, "room_started", "daily");
        inbox.append(at(body + &" ".repeat(700), test_clock.now())).await.unwrap()
    };
    let counts = || (server.number(&["XLEN", "{roomkey}:entries"]), server.number(&["HLEN", "{roomkey}:index"]));
    let settle = async |most: i64| {
        eventually("the oldest go", async || counts().0 <= most).await;
        assert_eq!(counts().0, counts().1);
    };
    let first = inbox.read(None, &Arc::default(), ALL).await.unwrap().next;
    for count in 0..300 {
        put(&format!("EV_{count}")).await;
    }
    settle(60).await;
    assert!(counts().0 > 40, "{} entries of some 1100 bytes are left", counts().0);
    assert_eq!(put("EV_0").await, Appended::Committed);
    assert_eq!(put("EV_299").await, Appended::Duplicate);
    let gone = inbox.read(Some(first), &Arc::default(), ALL).await;
    let Err(ReadError::Gone { oldest }) = gone else { panic!("{gone:?}") };
    let left = inbox.read(Some(oldest), &Arc::default(), ALL).await.unwrap().entries;
    assert_eq!(left, everything(&inbox).await);

    test_clock.advance(age + Duration::from_secs(1));
    settle(0).await;
    assert_eq!(put("EV_299").await, Appended::Committed);
    eventually("usage is known", async || inbox.usage().is_some_and(|usage| usage.entries == 1)).await;
    assert!(inbox.usage().unwrap().bytes < 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_lost_begins_after_what_it_had() {
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    append(&inbox, "EV_1").await.unwrap();
    let before = everything(&inbox).await[0].cursor;
    server.command(&["FLUSHALL"]);
    assert_eq!(append(&inbox, "EV_1").await, Ok(Appended::Committed));
    assert!(everything(&inbox).await[0].cursor > before);
    assert!(matches!(inbox.read(Some(before), &Arc::default(), ALL).await, Err(ReadError::Gone { .. })));
}
