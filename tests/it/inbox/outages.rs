//! A store fails while it runs: 503 with `Retry-After: 5` within 5 s, never a false 200, reads still work, and the inbox recovers without
//! a restart.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roomkey::clock::Clock;
use roomkey::inbox::{AppendError, Filter, Inbox, Retention, StoreError};
use rusqlite::Connection;

use super::sender::{Sender, fetch, place, send_until_committed, serve, start, start_by_script};
use super::support::{ALL, append, arrival, event, everything, open_sqlite};
use crate::harness::directory::Directory;
use crate::harness::disk::SmallDisk;
use crate::harness::disk::failing_disk;
use crate::harness::program::free_address;
use crate::harness::wait::eventually;

fn open(file: &Path) -> Inbox {
    open_sqlite(file, Retention::default(), Clock::system())
}

/// Asserts that appends fail within 5 s, and that reads still work.
async fn assert_failing(inbox: &Inbox, id: &str) {
    let begin = Instant::now();
    assert_eq!(inbox.append(arrival(event(id, "x", "y"))).await, Err(AppendError::Unavailable));
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(inbox.read(None, &Arc::new(Filter::default()), ALL).await.unwrap().entries.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_another_process() {
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    let inbox = open(&file);
    append(&inbox, event("before", "x", "y")).await;
    let theirs = Connection::open(&file).unwrap();
    theirs.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_failing(&inbox, "during").await;
    assert!(matches!(&*inbox.is_ready().unwrap_err(), StoreError::Locked(_)));
    theirs.execute_batch("ROLLBACK").unwrap();
    eventually("it is ready again", async || inbox.is_ready().is_ok()).await;
    append(&inbox, event("after", "x", "y")).await;
    let ids: Vec<_> = everything(&inbox).await.into_iter().map(|entry| entry.id).collect();
    assert_eq!(ids, ["before", "after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_taken_away() {
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    let inbox = open(&file);
    append(&inbox, event("before", "x", "y")).await;
    std::fs::rename(&file, scratch.file("elsewhere.db")).unwrap();
    assert_failing(&inbox, "during").await;
    assert!(matches!(&*inbox.is_ready().unwrap_err(), StoreError::Moved));
    std::fs::rename(scratch.file("elsewhere.db"), &file).unwrap();
    eventually("it is ready again", async || inbox.is_ready().is_ok()).await;
    append(&inbox, event("after", "x", "y")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_and_is_emptied() {
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    // The soft limit on the size of files can be moved while it runs. 512 blocks of 512 bytes.
    let program = start_by_script("ulimit -S -f 512; exec \"$0\" \"$@\"", &place(&file)).serve_at(free_address());
    let mut sender = Sender::connect(&program);
    let mut committed = Vec::new();
    let refused = loop {
        let body = event(&committed.len().to_string(), &"x".repeat(1000), "y");
        let answer = sender.send(&body).unwrap();
        if !answer.is_committed() {
            break answer;
        }
        committed.push(body);
        assert!(committed.len() < 10_000, "the limit does not hold");
    };
    assert!(refused.is_try_again(), "{refused:?}");

    let widened = Command::new("prlimit").args(["--pid", &program.id().to_string(), "--fsize=unlimited"]).status().unwrap();
    assert!(widened.success());
    let mut count = 0;
    let body = send_until_committed(&mut sender, Duration::from_secs(5), || {
        count += 1;
        event(&format!("after {count}"), "x", "y")
    });
    drop(program);
    let kept: Vec<_> = everything(&open(&file)).await.into_iter().map(|entry| entry.body).collect();
    assert!(committed.iter().chain([&body]).all(|body| kept.iter().any(|kept| kept == body)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_disk_that_fills_up_and_is_emptied() {
    let scratch = Directory::new();
    let Some(disk) = SmallDisk::mount(&scratch) else { return };
    let file = disk.file("inbox.db");
    let program = serve(&place(&file));
    let mut sender = Sender::connect(&program);
    let mut committed = vec![event("0", "x", "y")];
    assert!(sender.send(&committed[0]).unwrap().is_committed());
    let filler = disk.fill();
    loop {
        let body = event(&committed.len().to_string(), &"x".repeat(3000), "y");
        let answer = sender.send(&body).unwrap();
        if answer.is_try_again() {
            break;
        }
        assert!(answer.is_committed() && committed.len() < 1000, "{answer:?}");
        committed.push(body);
    }
    let (status, why) = fetch(program.address(), "/readyz");
    assert!(status == 503 && why.contains("full"), "{status} {why}");
    std::fs::remove_file(&filler).unwrap();
    let mut count = 0;
    committed.push(send_until_committed(&mut sender, Duration::from_secs(5), || {
        count += 1;
        event(&format!("after {count}"), "x", "y")
    }));
    assert_eq!(fetch(program.address(), "/readyz").0, 200);
    drop(program);
    let kept: Vec<_> = everything(&open(&file)).await.into_iter().map(|entry| entry.body).collect();
    assert!(committed.iter().all(|body| kept.iter().any(|kept| kept == body)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_hangs() {
    let scratch = Directory::new();
    let Some(shim) = failing_disk(&scratch) else { return };
    let (file, hang) = (scratch.file("inbox.db"), scratch.file("hang"));
    let program = start(&place(&file)).env("LD_PRELOAD", &shim).env("HANG_WHILE", &hang).serve_at(free_address());
    let mut sender = Sender::connect(&program);
    let before = event("before", "x", "y");
    assert!(sender.send(&before).unwrap().is_committed());

    std::fs::write(&hang, "").unwrap();
    let mut others: Vec<_> = (0..8).map(|_| Sender::connect(&program)).collect();
    let waiting: Vec<_> = others
        .drain(..)
        .enumerate()
        .map(|(number, mut sender)| {
            std::thread::spawn(move || {
                let begin = Instant::now();
                let answer = sender.send(&event(&format!("during {number}"), "x", "y")).unwrap();
                (answer, begin.elapsed())
            })
        })
        .collect();
    for waiting in waiting {
        let (answer, took) = waiting.join().unwrap();
        assert!(answer.is_try_again() && took < Duration::from_secs(5), "{answer:?} after {took:?}");
    }
    // New deliveries do not wait at all.
    let begin = Instant::now();
    assert!(sender.send(&event("late", "x", "y")).unwrap().is_try_again());
    assert!(begin.elapsed() < Duration::from_secs(1));

    std::fs::remove_file(&hang).unwrap();
    let mut count = 0;
    let after = send_until_committed(&mut sender, Duration::from_secs(5), || {
        count += 1;
        event(&format!("after {count}"), "x", "y")
    });
    drop(program);
    let kept = everything(&open(&file)).await;
    assert!([&before, &after].iter().all(|body| kept.iter().any(|entry| entry.body == body.as_bytes())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails() {
    let scratch = Directory::new();
    let Some(shim) = failing_disk(&scratch) else { return };
    let (file, fail) = (scratch.file("inbox.db"), scratch.file("fail"));
    let program = start(&place(&file)).env("LD_PRELOAD", &shim).env("FAIL_WHILE", &fail).serve_at(free_address());
    let mut sender = Sender::connect(&program);
    let mut committed = Vec::new();
    for round in 0..3 {
        for number in 0..20 {
            let body = event(&format!("{round} {number}"), "x", "y");
            assert!(sender.send(&body).unwrap().is_committed());
            committed.push(body);
        }
        std::fs::write(&fail, "").unwrap();
        for number in 0..5 {
            assert!(sender.send(&event(&format!("during {round} {number}"), "x", "y")).unwrap().is_try_again());
        }
        std::fs::remove_file(&fail).unwrap();
    }
    drop(program);
    let kept = everything(&open(&file)).await;
    let kept: Vec<_> =
        kept.iter().map(|entry| &entry.body[..]).filter(|body| committed.iter().any(|each| each.as_bytes() == *body)).collect();
    assert_eq!(kept, committed.iter().map(String::as_bytes).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_after_the_log_was_truncated_is_kept() {
    for length in [0, 5000, 20_000] {
        let scratch = Directory::new();
        let file = scratch.file("inbox.db");
        let mut program = serve(&place(&file));
        let mut sender = Sender::connect(&program);
        for number in 0..20 {
            assert!(sender.send(&event(&format!("before {number}"), "x", "y")).unwrap().is_committed());
        }
        std::fs::File::options().write(true).open(scratch.file("inbox.db-wal")).unwrap().set_len(length).unwrap();
        let committed: Vec<_> = (0..20)
            .map(|number| {
                send_until_committed(&mut sender, Duration::from_secs(10), || event(&format!("after {number}"), "x", "y"))
            })
            .collect();
        assert_eq!(fetch(program.address(), "/readyz").0, 200);
        program.kill();
        let kept: Vec<_> = everything(&open(&file)).await.into_iter().map(|entry| entry.body).collect();
        assert!(committed.iter().all(|body| kept.iter().any(|kept| kept == body)), "{length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_removed() {
    for ending in ["-wal", "-shm"] {
        let scratch = Directory::new();
        let file = scratch.file("inbox.db");
        let mut program = serve(&place(&file));
        let mut sender = Sender::connect(&program);
        let mut committed: Vec<_> = (0..20).map(|number| event(&format!("before {number}"), "x", "y")).collect();
        assert!(committed.iter().all(|body| sender.send(body).unwrap().is_committed()));

        let log = scratch.file(&format!("inbox.db{ending}"));
        // A different file at its path is no better than none.
        std::fs::remove_file(&log).unwrap();
        std::fs::write(&log, "").unwrap();
        let mut count = 0;
        committed.push(send_until_committed(&mut sender, Duration::from_secs(10), || {
            count += 1;
            event(&format!("during {count}"), "x", "y")
        }));
        std::fs::remove_file(&log).unwrap();
        let refused = sender.send(&event("after", "x", "y")).unwrap();
        assert!(refused.is_try_again(), "{refused:?}");
        let why = fetch(program.address(), "/readyz");
        assert!(why.0 == 200 || why.1.contains("-wal or -shm"), "{why:?}");
        committed.push(send_until_committed(&mut sender, Duration::from_secs(10), || event("after", "x", "y")));
        for number in 0..20 {
            committed.push(event(&format!("at last {number}"), "x", "y"));
            assert!(sender.send(committed.last().unwrap()).unwrap().is_committed());
        }
        assert_eq!(fetch(program.address(), "/readyz").0, 200);
        program.kill();
        let kept: Vec<_> = everything(&open(&file)).await.into_iter().map(|entry| entry.body).collect();
        assert!(committed.iter().all(|body| kept.iter().any(|kept| kept == body)), "{ending}");
    }
}
