//! A reader that advances with the clock misses nothing: with late entries, clocks that are set back, a restart, and a second roomkey.

use std::time::{Duration, Instant};

use roomkey::UnixTime;
use roomkey::inbox::{Appended, Arrival, Cursor, Filter, Inbox, Retention};

use super::support::{ALL, Backend, KEYS, Sqlite, backends, delivery_of, event};
use crate::harness::clock::TestClock;
use crate::harness::directory::Directory;
use crate::harness::redis_server::RedisServer;
use crate::harness::wait::eventually;

/// With this, marks move every second.
const RETENTION: Retention = Retention { age: Duration::from_secs(8), bytes: 1 << 30 };

async fn append_at(inbox: &Inbox, id: &str, room: &str, received: UnixTime) {
    let arrival = Arrival::new(delivery_of(KEYS[0], event(id, "x", room)), received);
    assert_eq!(inbox.append(arrival).await, Ok(Appended::Committed));
}

fn filter() -> Filter {
    Filter { room: Some("quiet".to_owned()), events: Vec::new() }
}

/// The cursor of a reader of a quiet room, once it is at least that of `time`.
async fn mark(inbox: &Inbox, time: UnixTime) -> Cursor {
    let at = format!("{:016x}", time.as_millis() << 20).parse().unwrap();
    let mut follower = inbox.follow(None, filter());
    let begin = Instant::now();
    loop {
        let page = follower.poll(ALL).await.unwrap();
        if page.next >= at {
            return page.next;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "it does not move on: {}", page.next);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a reader that continues after `after` gets.
async fn ids_after(inbox: &Inbox, after: Cursor) -> Vec<String> {
    let page = inbox.follow(Some(after), filter()).poll(ALL).await.unwrap();
    page.entries.into_iter().map(|entry| entry.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_late_or_by_a_clock_that_is_behind_comes_after_the_mark() {
    for (name, backend) in backends() {
        eprintln!("over {name}");
        let now = UnixTime::now();
        let test_clock = TestClock::at(now);
        // Nothing is too old here.
        let retention = Retention { age: Duration::from_secs(365 * 24 * 3600), ..RETENTION };
        let inbox = backend.open(retention, test_clock.clock());
        append_at(&inbox, "before", "busy", now).await;
        let first = mark(&inbox, now).await;
        append_at(&inbox, "late", "quiet", now.saturating_sub(Duration::from_secs(3600))).await;
        assert_eq!(ids_after(&inbox, first).await, ["late"]);
        inbox.close().await;
        drop(inbox);

        // After a restart, with a clock that is a day behind.
        let behind = TestClock::at(now.saturating_sub(Duration::from_secs(24 * 3600)));
        let inbox = backend.open(retention, behind.clock());
        eventually("it works again", async || inbox.is_ready().is_ok()).await;
        append_at(&inbox, "after a restart", "quiet", behind.now()).await;
        assert_eq!(ids_after(&inbox, first).await, ["late", "after a restart"]);
        let second = mark(&inbox, now).await;
        append_at(&inbox, "later", "quiet", behind.now()).await;
        assert_eq!(ids_after(&inbox, second).await.last().unwrap(), "later");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_alone_survives_the_end_of_the_process() {
    for (name, backend) in backends() {
        eprintln!("over {name}");
        let now = UnixTime::now();
        let inbox = backend.open(RETENTION, TestClock::at(now).clock());
        let given = mark(&inbox, now).await;
        inbox.close().await;
        drop(inbox);
        // No entry shows the earlier time.
        let behind = TestClock::at(now.saturating_sub(Duration::from_secs(3600)));
        let inbox = backend.open(RETENTION, behind.clock());
        eventually("it works again", async || inbox.is_ready().is_ok()).await;
        append_at(&inbox, "later", "quiet", behind.now()).await;
        assert_eq!(ids_after(&inbox, given).await, ["later"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_roomkeys_with_clocks_that_differ_keep_one_order() {
    let Some(redis) = RedisServer::start() else { return };
    let now = UnixTime::now();
    let (ahead, behind) = (TestClock::at(now), TestClock::at(now.saturating_sub(Duration::from_secs(60))));
    let retention = Retention { age: Duration::from_secs(3600), ..RETENTION };
    let (one, other) = (redis.open(retention, ahead.clock()), redis.open(retention, behind.clock()));
    for inbox in [&one, &other] {
        eventually("it is there", async || inbox.is_ready().is_ok()).await;
    }
    let given = mark(&one, now).await;
    append_at(&other, "of the one that is behind", "quiet", behind.now()).await;
    assert_eq!(ids_after(&one, given).await, ["of the one that is behind"]);
    assert_eq!(ids_after(&other, given).await, ["of the one that is behind"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_come_back_with_each_cursor_miss_nothing_while_marks_move() {
    const TIME: Duration = Duration::from_secs(5);
    for (name, backend) in backends() {
        eprintln!("over {name}");
        let inbox = backend.open(RETENTION, roomkey::clock::Clock::system());
        eventually("it is there", async || inbox.is_ready().is_ok()).await;
        let begin = Instant::now();
        let senders = ["quiet", "busy"].map(|room| {
            let inbox = inbox.clone();
            tokio::spawn(async move {
                let mut count = 0_u64;
                while begin.elapsed() < TIME {
                    // Some wait a while before they are committed.
                    let late = Duration::from_millis(count * 37 % 900);
                    append_at(&inbox, &format!("{room} {count}"), room, UnixTime::now().saturating_sub(late)).await;
                    count += 1;
                    tokio::time::sleep(Duration::from_millis(count % 7)).await;
                }
                count
            })
        });
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let inbox = inbox.clone();
                tokio::spawn(async move {
                    let (mut seen, mut after): (Vec<String>, _) = (Vec::new(), None);
                    loop {
                        let is_last_round = begin.elapsed() > TIME + Duration::from_secs(1);
                        let mut follower = inbox.follow(after, filter());
                        let page = follower.poll(ALL).await.expect("a gap");
                        seen.extend(page.entries.into_iter().map(|entry| entry.id));
                        // Live, as after a wake-up.
                        if let Ok(page) = tokio::time::timeout(Duration::from_millis(30), follower.next_page(ALL)).await {
                            let page = page.expect("a gap");
                            seen.extend(page.entries.into_iter().map(|entry| entry.id));
                        }
                        after = follower.cursor();
                        if is_last_round {
                            return seen;
                        }
                    }
                })
            })
            .collect();
        let [quiet, busy] = senders;
        let count = quiet.await.unwrap();
        assert!(busy.await.unwrap() > 0);
        let expected: Vec<_> = (0..count).map(|count| format!("quiet {count}")).collect();
        for reader in readers {
            assert!(reader.await.unwrap() == expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_while_nobody_reads() {
    let backend = Sqlite(Directory::new());
    let written = || std::fs::metadata(backend.0.file("inbox.db-wal")).unwrap().len();
    let test_clock = TestClock::at(UnixTime::now());
    let inbox = backend.open(RETENTION, test_clock.clock());
    mark(&inbox, test_clock.now()).await;
    // It moves once more, for the readers so far.
    test_clock.advance(Duration::from_secs(1));
    tokio::time::sleep(Duration::from_secs(4)).await;
    let before = written();
    for _ in 0..4 {
        test_clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(written(), before);
    // A reader that comes much later still gets a recent cursor.
    let page = inbox.follow(None, filter()).poll(ALL).await.unwrap();
    assert_eq!(page.next.to_string(), format!("{:016x}", test_clock.now().as_millis() << 20));
    assert!(written() > before);
}
