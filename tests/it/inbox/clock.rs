//! A wrong clock deletes no entries, and leaves none that are never deleted.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use roomkey::UnixTime;
use roomkey::clock::Clock;
use roomkey::inbox::{Appended, Arrival, Filter, Inbox, Retention};

use super::sender::{Sender, place, start};
use super::support::{ALL, Backend, KEYS, Sqlite, backends, delivery_of, event, everything, open_sqlite};
use crate::harness::clock::TestClock;
use crate::harness::directory::Directory;
use crate::harness::disk::failing_disk;
use crate::harness::program::free_address;
use crate::harness::wait::eventually;

const MINUTE: Duration = Duration::from_secs(60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Long enough for the inbox to look at the clock more than once.
const LOOKS: Duration = Duration::from_millis(2500);

async fn append(inbox: &Inbox, ids: std::ops::Range<usize>, received: UnixTime) {
    for id in ids {
        let arrival = Arrival::new(delivery_of(KEYS[0], event(&id.to_string(), "x", "y")), received);
        assert_eq!(inbox.append(arrival).await, Ok(Appended::Committed));
    }
}

/// Runs `test` over every backend.
async fn a_year_ahead(backend: Box<dyn Backend>, ahead: usize) {
    let test_clock = TestClock::at(UnixTime::now());
    let retention = Retention { age: MINUTE * 30, ..Retention::default() };
    let mut inbox = backend.open(retention, test_clock.clock());
    append(&inbox, 0..300, test_clock.now()).await;
    tokio::time::sleep(LOOKS).await;
    test_clock.advance(YEAR);
    append(&inbox, 300..300 + ahead, test_clock.now()).await;
    let all = 300 + ahead;
    for what in ["a leap", "a start"] {
        tokio::time::sleep(LOOKS).await;
        assert_eq!(everything(&inbox).await.len(), all, "deleted after {what}");
        inbox.close().await;
        drop(inbox);
        inbox = backend.open(retention, test_clock.clock());
    }

    // No sender gets two answers, or none.
    let last = everything(&inbox).await.last().unwrap().cursor;
    test_clock.turn_back(YEAR);
    test_clock.advance(MINUTE * 10);
    append(&inbox, all..all + 10, test_clock.now()).await;
    let later = inbox.read(Some(last), &Arc::new(Filter::default()), ALL).await.unwrap();
    assert_eq!(later.entries.len(), 10);
    tokio::time::sleep(LOOKS).await;
    test_clock.advance(MINUTE * 25);
    eventually("correctly dated entries are deleted by their age", async || everything(&inbox).await.len() == ahead + 10).await;
    tokio::time::sleep(LOOKS).await;
    test_clock.advance(MINUTE * 30);
    eventually("misdated entries are deleted with the later ones", async || everything(&inbox).await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_leaps_ahead_deletes_nothing_and_retention_works_when_it_is_right_again() {
    for (name, backend) in backends() {
        eprintln!("over {name}");
        a_year_ahead(backend, 5).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_entries_of_the_future_do_not_keep_later_ones() {
    a_year_ahead(Box::new(Sqlite(Directory::new())), 3000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_the_future_are_deleted_at_their_age_since_they_were_seen() {
    let test_clock = TestClock::at(UnixTime::now());
    let backend = Sqlite(Directory::new());
    let inbox = backend.open(Retention { age: Duration::from_secs(3), ..Retention::default() }, test_clock.clock());
    append(&inbox, 0..2000, test_clock.now().saturating_add(YEAR)).await;
    eventually("they go", async || inbox.usage().is_some_and(|usage| usage.entries == 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_at_the_end_of_time_does_not_end_appending() {
    for (name, backend) in backends() {
        eprintln!("over {name}");
        let inbox = backend.open(Retention::default(), Clock::system());
        let times = [2_000_000_000, 8_785_000_000, 9_000_000_000, 1 << 50, 2_000_000_000, 2_000_000_001];
        for (number, seconds) in times.into_iter().enumerate() {
            append(&inbox, number..number + 1, UnixTime::from_secs(seconds)).await;
        }
        let entries = everything(&inbox).await;
        assert_eq!(entries.len(), times.len());
        assert!(entries.windows(2).all(|pair| pair[0].cursor.to_string() < pair[1].cursor.to_string()));
        let rest = inbox.read(Some(entries[2].cursor), &Arc::new(Filter::default()), ALL).await.unwrap();
        assert_eq!(rest.entries.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_warns_of_a_leap() {
    let scratch = Directory::new();
    let Some(library) = failing_disk(&scratch) else { return };
    let (file, ahead, said) = (scratch.file("inbox.db"), scratch.file("ahead"), scratch.file("stderr"));
    let start = start(&place(&file)).env("LD_PRELOAD", &library).env("AHEAD_BY", &ahead);
    let program = start.stderr(fs::File::create(&said).unwrap()).serve_at(free_address());
    let mut sender = Sender::connect(&program);
    for number in 0..300 {
        assert!(sender.send(&event(&number.to_string(), "x", "y")).unwrap().is_committed());
    }
    fs::write(scratch.file("new"), YEAR.as_secs().to_string()).unwrap();
    fs::rename(scratch.file("new"), &ahead).unwrap();
    eventually("it warns", async || fs::read_to_string(&said).unwrap().contains("the clock is far ahead")).await;
    tokio::time::sleep(LOOKS).await;
    fs::remove_file(&ahead).unwrap();
    tokio::time::sleep(LOOKS).await;
    drop(program);
    let said = fs::read_to_string(&said).unwrap();
    assert_eq!(said.lines().filter(|line| !line.contains("policy")).count(), 1, "{said}");
    let inbox = open_sqlite(&file, Retention::default(), Clock::system());
    assert_eq!(inbox.usage().unwrap().entries, 300);
}
