//! Connections to Redis are killed: the operation is repeated on a new one, and nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use roomkey::clock::Clock;
use roomkey::inbox::{Appended, Inbox, Retention};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::support::{ALL, append, arrival, event, everything};
use crate::harness::redis_server::RedisServer;
use crate::harness::wait::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_append_and_read_after_connections_were_killed_work() {
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    for round in 0..20 {
        let id = format!("EV_{round}");
        assert_eq!(append(&inbox, event(&id, "room_started", "daily")).await, Appended::Committed);
        if round % 5 == 4 {
            server.kill();
            server.run();
        } else {
            server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        }
        if round % 2 == 0 {
            // Reading and writing use other connections.
            assert_eq!(inbox.read(None, &Arc::default(), ALL).await.unwrap().entries.len(), round + 1);
        }
    }
    let statistics = inbox.statistics();
    assert_eq!((statistics.committed.load(Relaxed), statistics.refused.load(Relaxed)), (20, 0));
    assert!(inbox.is_ready().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_appends_at_once_over_connections_that_are_killed_all_the_time_are_kept_once() {
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    append(&inbox, event("first", "room_started", "daily")).await;
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            let inbox = inbox.clone();
            tokio::spawn(async move {
                for number in 0..50 {
                    let body = event(&format!("EV_{sender}_{number}"), "room_started", "daily");
                    // A new connection may be killed too: then the sender tries again, as LiveKit does.
                    while inbox.append(arrival(body.clone())).await.is_err() {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            })
        })
        .collect();
    while senders.iter().any(|sender| !sender.is_finished()) {
        server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for sender in senders {
        sender.await.unwrap();
    }
    eventually("all are there, once", async || everything(&inbox).await.len() == 401).await;
    assert_eq!(server.number(&["HLEN", "{roomkey}:index"]), 401);
}

/// An address that forwards to `server`. While the flag is set, it hangs up instead of forwarding an answer.
async fn losing(server: &RedisServer) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, port) = (format!("redis://{}", listener.local_addr().unwrap()), server.port());
    let loses = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&loses);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(forward(client, server, Arc::clone(&flag)));
        }
    });
    (url, loses)
}

/// Loses the answer to a batch once: the one with the digits of `append.lua`.
async fn forward(client: TcpStream, server: TcpStream, loses: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut part = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from_server.read(&mut part).await {
        let is_of_a_batch = part.starts_with(b"*4\r\n$");
        if is_of_a_batch && loses.swap(false, Relaxed) {
            return;
        }
        if to_client.write_all(&part[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_answer_was_lost_is_kept_once_and_acknowledged() {
    let Some(server) = RedisServer::start() else { return };
    let (url, loses) = losing(&server).await;
    let inbox = Inbox::redis(url.parse().unwrap(), Retention::default(), Clock::system()).unwrap();
    assert_eq!(append(&inbox, event("EV_1", "room_started", "daily")).await, Appended::Committed);
    for round in 2..6 {
        loses.store(true, Relaxed);
        let id = format!("EV_{round}");
        // It was committed the first time, so now it is a duplicate.
        assert_eq!(append(&inbox, event(&id, "room_started", "daily")).await, Appended::Duplicate);
        assert!(!loses.load(Relaxed), "an answer was lost");
    }
    let ids: Vec<_> = everything(&inbox).await.into_iter().map(|entry| entry.id).collect();
    assert_eq!(ids, ["EV_1", "EV_2", "EV_3", "EV_4", "EV_5"]);
    assert!(inbox.is_ready().is_ok());
}
