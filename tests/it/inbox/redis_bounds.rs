//! Large bodies in Redis: the bytes of a read are bounded, and so are the stored bytes.

use std::sync::Arc;
use std::time::Instant;

use roomkey::clock::Clock;
use roomkey::inbox::{Cursor, Filter, Inbox, PageLimit, Retention};

use super::support::{ALL, append, arrival, event, everything};
use crate::harness::redis_server::RedisServer;
use crate::harness::wait::{PATIENCE, eventually};

const MIB: usize = 1 << 20;

/// An event of about 8 MB, the largest that is accepted.
fn large(id: usize, room: &str) -> String {
    let event = event(&id.to_string(), "room_started", room);
    let padding = "x".repeat(8_000_000 - event.len());
    event.replacen('{', &format!(r#"{{"padding":"{padding}","#), 1)
}

/// Appends `body`, and tries again if the machine is too slow.
async fn put(inbox: &Inbox, body: String) {
    let begin = Instant::now();
    while let Err(error) = inbox.append(arrival(body.clone())).await {
        assert!(begin.elapsed() < PATIENCE, "{error}");
    }
}

/// The number after `begin` in the server's statistics.
fn statistic(server: &RedisServer, begin: &str) -> usize {
    let info: String = redis::from_redis_value(server.command(&["INFO", "everything"])).unwrap();
    let value = info.lines().find_map(|line| line.strip_prefix(begin)).unwrap();
    value.split(|end: char| !end.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// The bytes that the server has sent.
fn sent(server: &RedisServer) -> usize {
    statistic(server, "total_net_output_bytes:")
}

/// Reads everything. Returns the most bytes that the server has sent for one read, the number of entries, and the number of reads.
async fn read_through(server: &RedisServer, inbox: &Inbox, filter: Filter, limit: PageLimit) -> (usize, usize, usize) {
    let (filter, mut after) = (Arc::new(filter), None::<Cursor>);
    let (mut most, mut entries, mut reads) = (0, 0, 0);
    loop {
        let before = sent(server);
        let page = inbox.read(after, &filter, limit).await.unwrap();
        most = most.max(sent(server) - before);
        entries += page.entries.len();
        reads += 1;
        if page.is_last {
            return (most, entries, reads);
        }
        assert!(after.is_none_or(|after| after < page.next), "the cursor does not advance");
        after = Some(page.next);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_large_bodies_is_bounded_in_bytes() {
    const LARGE: usize = 5;
    let Some(server) = RedisServer::start_with(&[]) else { return };
    let inbox = server.inbox();
    // Small ones first, so that a read may expect more of them.
    for number in 0..200 {
        append(&inbox, event(&format!("small {number}"), "room_started", "daily")).await;
    }
    for number in 0..LARGE {
        put(&inbox, large(number, "daily")).await;
    }
    append(&inbox, event("last", "room_started", "weekly")).await;
    // What is not wanted is not sent. (The first time, the wake-ups may still ask for what was the newest entry.)
    let weekly = Filter { room: Some("weekly".to_owned()), events: Vec::new() };
    read_through(&server, &inbox, weekly.clone(), ALL).await;
    let (most, entries, reads) = read_through(&server, &inbox, weekly, ALL).await;
    assert!(most < MIB && entries == 1 && reads >= LARGE, "{most} bytes, {entries} entries, {reads} reads");
    let finished = Filter { room: None, events: vec!["room_finished".to_owned()] };
    let (most, entries, _) = read_through(&server, &inbox, finished, ALL).await;
    assert!(most < MIB && entries == 0, "{most} bytes, {entries} entries");
    // Only as many wanted entries are sent as the page holds.
    for filter in [Filter::default(), Filter { room: Some("daily".to_owned()), events: Vec::new() }] {
        let few = PageLimit { entries: 1000, bytes: 32 << 10 };
        let (most, entries, _) = read_through(&server, &inbox, filter.clone(), few).await;
        assert!(most < 9 * MIB && entries >= 200 + LARGE, "{most} bytes, {entries} entries");
        // A step is bounded even if the page is not.
        let (most, entries, _) = read_through(&server, &inbox, filter, ALL).await;
        assert!(most < 11 * MIB && entries >= 200 + LARGE, "{most} bytes, {entries} entries");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_on_what_is_kept_holds_whatever_comes() {
    const MOST: u64 = 16 << 20;
    const SENDERS: usize = 4;
    let Some(server) = RedisServer::start_with(&[]) else { return };
    let inbox = server.inbox_with(Retention { bytes: MOST, ..Retention::default() }, Clock::system());
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let inbox = inbox.clone();
            tokio::spawn(async move {
                for number in 0..4 {
                    put(&inbox, large(sender * 1000 + number, "daily")).await;
                    for small in 0..20 {
                        put(&inbox, event(&format!("{sender} {number} {small}"), &"x".repeat(100_000), "daily")).await;
                    }
                }
            })
        })
        .collect();
    let mut most = 0;
    while senders.iter().any(|sender| !sender.is_finished()) {
        let usage = server.command(&["MEMORY", "USAGE", "{roomkey}:entries", "SAMPLES", "0"]);
        most = most.max(redis::from_redis_value::<Option<u64>>(usage).unwrap().unwrap_or(0));
        tokio::task::yield_now().await;
    }
    for sender in senders {
        sender.await.unwrap();
    }
    // A script may add 4 MiB and one body of 8 MB before the next step deletes.
    let bound = (MOST + (13 << 20)) * 6 / 5;
    assert!(most < bound, "{most} bytes were kept");
    // The last step comes after the last answer.
    eventually("the excess is deleted", async || inbox.usage().unwrap().bytes <= MOST).await;
    assert_eq!(server.number(&["XLEN", "{roomkey}:entries"]), i64::try_from(everything(&inbox).await.len()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_that_was_lowered_is_reached_step_by_step() {
    const MOST: u64 = 1 << 20;
    let Some(server) = RedisServer::start_with(&[]) else { return };
    let inbox = server.inbox();
    for number in 0..6 {
        put(&inbox, large(number, "daily")).await;
    }
    inbox.close().await;
    let inbox = server.inbox_with(Retention { bytes: MOST, ..Retention::default() }, Clock::system());
    append(&inbox, event("EV_1", "room_started", "daily")).await;
    eventually("it shrinks", async || inbox.usage().is_some_and(|usage| usage.bytes <= MOST)).await;
    assert_eq!(everything(&inbox).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_long_as_nothing_is_too_old_no_entry_is_looked_at_for_it() {
    let Some(server) = RedisServer::start_with(&[]) else { return };
    let inbox = server.inbox();
    put(&inbox, large(0, "daily")).await;
    eventually("it was looked at once", async || server.number(&["HEXISTS", "{roomkey}:state", "oldest"]) == 1).await;
    let looked = || statistic(&server, "cmdstat_xrange:calls=");
    let (before, scripts) = (looked(), statistic(&server, "cmdstat_evalsha:calls="));
    eventually("more scripts run", async || statistic(&server, "cmdstat_evalsha:calls=") >= scripts + 6).await;
    assert_eq!(looked(), before);
    drop(inbox);
}
