//! The size of the inbox on the disk: the file and the log stay within their limits, or webhooks are answered with 503 and readiness
//! shows the reason.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use roomkey::clock::Clock;
use roomkey::inbox::{Appended, Retention};
use rusqlite::Connection;

use super::sender::{Sender, fetch, place, send_until_committed, start};
use super::support::{append, arrival, event, everything, open_sqlite};
use crate::harness::directory::Directory;
use crate::harness::program::free_address;
use crate::harness::wait::eventually;

const MIB: u64 = 1 << 20;

fn length(file: &Path, ending: &str) -> u64 {
    fs::metadata(format!("{}{ending}", file.display())).unwrap().len()
}

fn sample(metrics: SocketAddr, name: &str) -> f64 {
    let (_, page) = fetch(metrics, "/metrics");
    let samples: HashMap<_, _> = page.lines().filter_map(|line| line.rsplit_once(' ')).collect();
    samples.get(name).and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {page}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn large_deliveries_do_not_outrun_the_bound() {
    const MOST: u64 = 4 * MIB;
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    let inbox = open_sqlite(&file, Retention { bytes: MOST, ..Retention::default() }, Clock::system());
    let limit = MOST + MOST / 2 + 16 * MIB;
    let padding = "x".repeat(512 * 1024);
    let all: Vec<_> = (0..120).map(|number| arrival(event(&number.to_string(), &padding, "y"))).collect();
    // All are queued at the same time.
    let appending: Vec<_> = all
        .into_iter()
        .map(|arrival| {
            let inbox = inbox.clone();
            tokio::spawn(async move {
                let appended = inbox.append(arrival).await;
                assert!(inbox.usage().unwrap().bytes <= limit, "{:?}", inbox.usage());
                appended.is_ok()
            })
        })
        .collect();
    let mut committed = 0;
    for appending in appending {
        committed += usize::from(appending.await.unwrap());
    }
    assert!(committed > 10, "{committed} were committed");
    assert!(length(&file, "") <= limit && length(&file, "-wal") <= 128 * MIB, "{}", length(&file, ""));
    eventually("it keeps to its bound", async || inbox.usage().unwrap().bytes <= MOST).await;
    assert!(inbox.is_ready().is_ok());
    assert!(!everything(&inbox).await.is_empty());
    assert_eq!(inbox.statistics().prune_failures.load(Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_with_a_lowered_bound_shrinks_and_takes_deliveries_meanwhile() {
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    let padding = "x".repeat(MIB as usize);
    let inbox = open_sqlite(&file, Retention::default(), Clock::system());
    for number in 0..40 {
        append(&inbox, event(&number.to_string(), &padding, "y")).await;
    }
    inbox.close().await;
    drop(inbox);
    let inbox = open_sqlite(&file, Retention { bytes: MIB, ..Retention::default() }, Clock::system());
    assert_eq!(append(&inbox, event("new", "x", "y")).await, Appended::Committed);
    eventually("it shrinks", async || inbox.usage().unwrap().bytes <= MIB).await;
    assert_eq!(everything(&inbox).await.last().unwrap().id, "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_that_cannot_work_says_so_and_ends_in_503() {
    let scratch = Directory::new();
    let (file, said) = (scratch.file("inbox.db"), scratch.file("stderr"));
    let metrics = free_address();
    let start = start(&place(&file)).flags(&["--metrics-bind", &metrics.to_string(), "--inbox-max-size", "1MiB"]);
    let program = start.stderr(fs::File::create(&said).unwrap()).serve_at(free_address());
    let mut sender = Sender::connect(&program);
    assert!(sender.send(&event("first", "x", "y")).unwrap().is_committed());
    let theirs = Connection::open(&file).unwrap();
    theirs.execute_batch("CREATE TRIGGER no BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'no'); END").unwrap();
    let padding = "x".repeat(MIB as usize);
    let number = AtomicUsize::new(0);
    let body = || event(&number.fetch_add(1, Relaxed).to_string(), &padding, "y");
    let refused = (0..30).map(|_| sender.send(&body()).unwrap()).find(|answer| !answer.is_committed());
    assert!(refused.is_some_and(|refused| refused.is_try_again()));
    let (status, why) = fetch(program.address(), "/readyz");
    assert!(status == 503 && why.contains("larger than its limit"), "{status} {why}");
    assert!(sample(metrics, "roomkey_inbox_prune_failures_total") >= 1.0);
    assert!(sample(metrics, "roomkey_inbox_bytes") <= 19.0 * MIB as f64);
    eventually("it is tried again", async || sample(metrics, "roomkey_inbox_prune_failures_total") >= 3.0).await;
    let warnings = fs::read_to_string(&said).unwrap();
    assert_eq!(warnings.lines().filter(|line| line.contains("cannot be deleted")).count(), 1, "{warnings}");
    assert_eq!(warnings.lines().filter(|line| !line.contains("policy")).count(), 1, "{warnings}");

    theirs.execute_batch("DROP TRIGGER no").unwrap();
    send_until_committed(&mut sender, Duration::from_secs(10), body);
    eventually("it is ready again", async || fetch(program.address(), "/readyz").0 == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_from_outside_does_not_make_the_log_grow_without_limit() {
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    let metrics = free_address();
    let program = start(&place(&file)).flags(&["--metrics-bind", &metrics.to_string()]).serve_at(free_address());
    let mut sender = Sender::connect(&program);
    assert!(sender.send(&event("first", "x", "y")).unwrap().is_committed());
    let theirs = Connection::open(&file).unwrap();
    theirs.execute_batch("BEGIN; SELECT count(*) FROM entry").unwrap();
    let _: i64 = theirs.query_row("SELECT count(*) FROM entry", [], |row| row.get(0)).unwrap();

    let padding = "x".repeat(4 * MIB as usize);
    let number = AtomicUsize::new(0);
    let body = || event(&number.fetch_add(1, Relaxed).to_string(), "x", &padding);
    let mut committed = 1;
    let refused = loop {
        let answer = sender.send(&body()).unwrap();
        if !answer.is_committed() {
            break answer;
        }
        committed += 1;
        assert!(committed < 50, "the limit does not hold");
    };
    assert!(refused.is_try_again(), "{refused:?}");
    let (status, why) = fetch(program.address(), "/readyz");
    assert!(status == 503 && why.contains("at its limit"), "{status} {why}");
    assert!(sample(metrics, "roomkey_inbox_wal_bytes") > 64.0 * MIB as f64);
    for _ in 0..3 {
        assert!(sender.send(&body()).unwrap().is_try_again());
    }
    assert!(length(&file, "-wal") <= 128 * MIB, "{}", length(&file, "-wal"));

    theirs.execute_batch("COMMIT").unwrap();
    send_until_committed(&mut sender, Duration::from_secs(10), body);
    eventually("it is ready again", async || fetch(program.address(), "/readyz").0 == 200).await;
    assert!(sample(metrics, "roomkey_inbox_wal_bytes") < 32.0 * MIB as f64);
    assert_eq!(sample(metrics, "roomkey_inbox_entries") as usize, committed + 1);
}
