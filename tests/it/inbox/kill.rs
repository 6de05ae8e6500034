//! Every event that was answered with 200 is still there after the program is killed at any moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use roomkey::clock::Clock;
use roomkey::inbox::{Appended, Retention};
use rusqlite::Connection;

use super::sender::{Sender, place, serve};
use super::support::{append, event, everything, open_sqlite};
use crate::harness::directory::Directory;

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_event_outlives_a_kill_once_to_the_byte_and_in_its_senders_order() {
    const ROUNDS: u64 = 6;
    const SENDERS: usize = 16;
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    let mut acknowledged: Vec<Vec<(String, String)>> = vec![Vec::new(); SENDERS];
    for round in 0..ROUNDS {
        let mut program = serve(&place(&file));
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..SENDERS)
            .map(|number| {
                let (stop, mut sender) = (Arc::clone(&stop), Sender::connect(&program));
                std::thread::spawn(move || {
                    let mut sent = Vec::new();
                    for count in 0.. {
                        let id = format!("{round} {number} {count}");
                        let body = event(&id, &"x".repeat(count % 1500), &number.to_string());
                        match sender.send(&body) {
                            Some(answer) if answer.is_committed() => sent.push((id, body)),
                            Some(answer) => panic!("{answer:?}"),
                            None => break, // it was killed
                        }
                        if stop.load(Relaxed) {
                            break;
                        }
                    }
                    sent
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(150 + 130 * round));
        program.kill();
        stop.store(true, Relaxed);
        for (sender, acknowledged) in senders.into_iter().zip(&mut acknowledged) {
            acknowledged.extend(sender.join().unwrap());
        }
    }

    let inbox = open_sqlite(&file, Retention::default(), Clock::system());
    let entries = everything(&inbox).await;
    let kept: HashMap<_, _> = entries.iter().enumerate().map(|(place, entry)| (&*entry.id, (place, &entry.body))).collect();
    assert_eq!(kept.len(), entries.len(), "an event is there twice");
    for acknowledged in &acknowledged {
        assert!(!acknowledged.is_empty());
        let mut last = None;
        for (id, body) in acknowledged {
            let (place, kept) = kept.get(&**id).unwrap_or_else(|| panic!("{id} is lost"));
            assert_eq!(kept, &body.as_bytes());
            assert!(last < Some(*place), "{id} is out of order");
            last = Some(*place);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes some 500 MB"]
async fn it_starts_within_a_second_with_a_million_entries_after_a_kill() {
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    let inbox = open_sqlite(&file, Retention::default(), Clock::system());
    append(&inbox, event("first", "x", "y")).await;
    inbox.close().await;
    drop(inbox);
    // A million more, of which the maximum number is not in the index yet.
    Connection::open(&file)
        .unwrap()
        .execute_batch(
            "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
             INSERT INTO entry SELECT cursor + i, number + i, randomblob(16), received, key, 'EV_' || i, event, room,
                 zeroblob(300) FROM n, (SELECT * FROM entry);
             INSERT INTO fingerprint SELECT fingerprint, cursor FROM entry ORDER BY fingerprint;
             UPDATE inbox SET settled = (SELECT max(cursor) - 64000 FROM entry);",
        )
        .unwrap();

    let mut program = serve(&place(&file));
    let mut sender = Sender::connect(&program);
    for number in 0..500 {
        assert!(sender.send(&event(&format!("later {number}"), "x", "y")).unwrap().is_committed());
    }
    program.kill();
    let begin = Instant::now();
    let program = serve(&place(&file));
    assert!(Sender::connect(&program).send(&event("last", "x", "y")).unwrap().is_committed());
    let took = begin.elapsed();
    eprintln!("started with a million entries in {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    drop(program);

    let inbox = open_sqlite(&file, Retention::default(), Clock::system());
    assert_eq!(inbox.usage().unwrap().entries, 1_000_502);
    assert_eq!(append(&inbox, event("first", "x", "y")).await, Appended::Duplicate);
}
