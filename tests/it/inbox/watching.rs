//! What monitoring sees of the inbox.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::Connection;

use super::sender::{Sender, fetch, place, start};
use super::support::event;
use crate::harness::directory::Directory;
use crate::harness::program::free_address;
use crate::harness::wait::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn readiness_and_metrics_show_the_inbox() {
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    let metrics = free_address();
    let program = start(&place(&file)).flags(&["--metrics-bind", &metrics.to_string()]).serve_at(free_address());
    let mut sender = Sender::connect(&program);
    for body in [event("1", "x", "y"), event("2", "x", "y"), event("1", "x", "y"), event("2", "other", "y")] {
        assert!(sender.send(&body).unwrap().is_committed());
    }
    let sample = |name: &str| {
        let (status, page) = fetch(metrics, "/metrics");
        assert_eq!(status, 200);
        let samples: HashMap<_, _> = page.lines().filter_map(|line| line.rsplit_once(' ')).collect();
        samples.get(name).and_then(|value| value.parse::<f64>().ok()).unwrap_or_else(|| panic!("no {name} in {page}"))
    };
    for (name, value) in [
        ("roomkey_inbox_committed_total", 2.0),
        ("roomkey_inbox_duplicates_total", 1.0),
        ("roomkey_inbox_conflicts_total", 1.0),
        ("roomkey_inbox_refused_total", 0.0),
        ("roomkey_inbox_ready", 1.0),
        ("roomkey_inbox_followers", 0.0),
        ("roomkey_inbox_entries", 2.0),
        ("roomkey_inbox_batch_size_count", 4.0),
        ("roomkey_inbox_batch_size_bucket{le=\"+Inf\"}", 4.0),
        ("roomkey_inbox_commit_duration_seconds_count", 4.0),
    ] {
        assert_eq!(sample(name), value, "{name}");
    }
    assert!(sample("roomkey_inbox_bytes") > 0.0);
    assert_eq!(fetch(program.address(), "/readyz").0, 200);

    let theirs = Connection::open(&file).unwrap();
    theirs.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(sender.send(&event("3", "x", "y")).unwrap().is_try_again());
    let (status, why) = fetch(program.address(), "/readyz");
    assert!(status == 503 && why.contains("locked by another process"), "{status} {why}");
    assert_eq!((sample("roomkey_inbox_ready"), sample("roomkey_inbox_refused_total")), (0.0, 1.0));
    theirs.execute_batch("ROLLBACK").unwrap();
    // It notices by itself, without a delivery.
    eventually("it is ready again", async || {
        tokio::time::sleep(Duration::from_millis(50)).await;
        fetch(program.address(), "/readyz").0 == 200
    })
    .await;
}
