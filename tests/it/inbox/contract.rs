//! The contract of every backend. Each test runs over all available backends.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use roomkey::UnixTime;
use roomkey::inbox::{Appended, Arrival, Cursor, Filter, PageLimit, ReadError, Retention};

use super::support::{ALL, Backend, KEYS, append, append_all, arrival, backends, delivery_of, event, everything, read_all};
use crate::harness::clock::TestClock;
use crate::harness::wait::eventually;

/// Runs `test` over every backend.
async fn over_all<F: Future<Output = ()>>(test: impl Fn(Box<dyn Backend>) -> F) {
    for (name, backend) in backends() {
        eprintln!("over {name}");
        test(backend).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_is_there_after_a_restart_once_and_to_the_byte() {
    over_all(async |backend| {
        let inbox = backend.inbox();
        let now = UnixTime::from_millis(1_795_317_315_123);
        let body = event("EV_1", "room_started", "daily");
        let at = |body: String| Arrival::new(delivery_of(KEYS[0], body), now);
        assert_eq!(inbox.append(at(body.clone())).await, Ok(Appended::Committed));
        assert_eq!(inbox.append(at(body.clone())).await, Ok(Appended::Duplicate));
        assert_eq!(inbox.append(at(body.clone() + " ")).await, Ok(Appended::Conflict));
        inbox.close().await;
        drop(inbox);

        let inbox = backend.inbox();
        let entries = everything(&inbox).await;
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].body, body);
        assert_eq!(
            (&*entries[0].id, &*entries[0].event, &*entries[0].room, &*entries[0].key, entries[0].received),
            ("EV_1", "room_started", "daily", "APIone", now)
        );
        assert_eq!(inbox.append(at(body)).await, Ok(Appended::Duplicate));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_that_comes_twice_at_the_same_moment_under_two_keys_is_one_entry() {
    over_all(async |backend| {
        let inbox = backend.inbox();
        for number in 0..50 {
            let body = event(&format!("EV_{number}"), "egress_ended", "daily");
            let [one, other] = KEYS.map(|key| Arrival::new(delivery_of(key, body.clone()), UnixTime::now()));
            let (one, other) = tokio::join!(inbox.append(one), inbox.append(other));
            let outcomes = [one.unwrap(), other.unwrap()];
            assert!(outcomes.contains(&Appended::Committed) && outcomes.contains(&Appended::Duplicate), "{outcomes:?}");
        }
        assert_eq!(everything(&inbox).await.len(), 50);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_id_the_body_identifies_the_event() {
    over_all(async |backend| {
        let inbox = backend.inbox();
        let bodies = [
            r#"{"event":"no id"}"#,
            r#"{"event":"empty id","id":""}"#,
            r#"{"event":"other empty id","id":""}"#,
            r#"{"event":"a number","id":7}"#,
            r#"{"event":"another number","id":7,"x":1}"#,
            r#"{"event":"null","id":null}"#,
            r#"{"event":"its id is the next body","id":"no JSON"}"#,
            "no JSON",
            "[1]",
            "",
        ];
        for body in bodies {
            assert_eq!(append(&inbox, body).await, Appended::Committed, "{body}");
        }
        for body in bodies {
            assert_eq!(append(&inbox, body).await, Appended::Duplicate, "{body}");
        }
        let kept = everything(&inbox).await;
        assert_eq!(kept.iter().map(|entry| &entry.body[..]).collect::<Vec<_>>(), bodies.map(str::as_bytes));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authentic_body_that_is_no_json_nor_text_is_kept() {
    over_all(async |backend| {
        let inbox = backend.inbox();
        let body = b"\xff\x00\xfe not text \n".to_vec();
        assert_eq!(append(&inbox, body.clone()).await, Appended::Committed);
        let kept = everything(&inbox).await;
        assert_eq!(kept[0].body, body);
        assert_eq!((&*kept[0].id, &*kept[0].event, &*kept[0].room), ("", "", ""));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entrys_room_is_the_first_that_the_payload_names() {
    over_all(async |backend| {
        let inbox = backend.inbox();
        for (body, room) in [
            (r#"{"id":"1","room":{"name":"a"},"egressInfo":{"roomName":"b"}}"#, "a"),
            (r#"{"id":"2","egressInfo":{"roomName":"b"},"ingressInfo":{"roomName":"c"}}"#, "b"),
            (r#"{"id":"3","ingressInfo":{"roomName":"c"},"job":{"room":{"name":"d"}}}"#, "c"),
            (r#"{"id":"4","job":{"room":{"name":"d"}}}"#, "d"),
            (r#"{"id":"5","room":{"name":7}}"#, ""),
        ] {
            append(&inbox, body).await;
            assert_eq!(everything(&inbox).await.last().unwrap().room, room, "{body}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_strictly_increase_as_values_and_as_text_whatever_the_clock_does() {
    over_all(async |backend| {
        let test_clock = TestClock::at(UnixTime::from_secs(2_000_000_000));
        let inbox = backend.open(Retention::default(), test_clock.clock());
        for number in 0_u64..30 {
            // The clock moves ahead, back, and not at all.
            let now = UnixTime::from_secs(2_000_000_000 + [0, 50, 10][usize::try_from(number % 3).unwrap()] * number);
            let body = event(&number.to_string(), "x", "y");
            inbox.append(Arrival::new(delivery_of(KEYS[0], body), now)).await.unwrap();
        }
        let entries = everything(&inbox).await;
        let ids: Vec<_> = entries.iter().map(|entry| entry.id.clone()).collect();
        assert_eq!(ids, (0..30).map(|number| number.to_string()).collect::<Vec<_>>());
        for pair in entries.windows(2) {
            let (one, other) = (pair[0].cursor, pair[1].cursor);
            assert!(one < other && one.to_string() < other.to_string());
            assert_eq!(one.to_string().parse(), Ok(one));
        }
    })
    .await;
}

#[test]
fn a_malformed_cursor_is_refused() {
    for text in [
        "",
        "0",
        "000000000000000",
        "00000000000000000",
        "000000000000000G",
        "000000000000000A",
        "+00000000000001f",
        "8000000000000000",
    ] {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
    assert!("7fffffffffffffff".parse::<Cursor>().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_bounded_and_the_next_one_continues_after_it() {
    over_all(async |backend| {
        let inbox = backend.inbox();
        append_all(&inbox, (0..10).map(|number| event(&number.to_string(), "x", "y"))).await;
        let filter = Arc::new(Filter::default());
        let (mut after, mut ids) = (None, Vec::new());
        for _ in 0..4 {
            let page = inbox.read(after, &filter, PageLimit { entries: 3, bytes: usize::MAX }).await.unwrap();
            assert!(page.entries.len() <= 3);
            ids.extend(page.entries.into_iter().map(|entry| entry.id));
            after = Some(page.next);
        }
        assert_eq!(ids, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());

        // A body larger than the limit is returned alone.
        let one = event("0", "x", "y").len();
        let page = inbox.read(None, &filter, PageLimit { entries: 10, bytes: one - 1 }).await.unwrap();
        assert_eq!(page.entries.len(), 1);
        let page = inbox.read(None, &filter, PageLimit { entries: 10, bytes: one + 1 }).await.unwrap();
        assert_eq!(page.entries.len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_page_has_a_cursor_too() {
    over_all(async |backend| {
        let inbox = backend.inbox();
        let filter = Arc::new(Filter::default());
        let page = inbox.read(None, &filter, ALL).await.unwrap();
        assert!(page.entries.is_empty() && page.is_last);
        append(&inbox, event("1", "x", "y")).await;
        let page = inbox.read(Some(page.next), &filter, ALL).await.unwrap();
        assert_eq!(page.entries.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_gets_what_it_wants_and_skips_the_rest() {
    over_all(async |backend| {
        let inbox = backend.inbox();
        let named = |number: usize| (["a", "b"][number % 2], ["x", "y", "z"][number % 3]);
        append_all(&inbox, (0..2500).map(|number| event(&number.to_string(), named(number).1, named(number).0))).await;

        let filter = Filter { room: Some("b".to_owned()), events: vec!["x".to_owned(), "z".to_owned()] };
        let ids: Vec<_> = read_all(&inbox, filter).await.unwrap().into_iter().map(|entry| entry.id).collect();
        let wanted = (0..2500).filter(|number| number % 2 == 1 && number % 3 != 1).map(|number| number.to_string());
        assert_eq!(ids, wanted.collect::<Vec<_>>());

        // No entry is wanted, but the reader still advances.
        let nothing = Arc::new(Filter { room: None, events: vec!["w".to_owned()] });
        let (mut after, mut reads) = (None, 0);
        loop {
            let page = inbox.read(after, &nothing, ALL).await.unwrap();
            assert!(page.entries.is_empty());
            (after, reads) = (Some(page.next), reads + 1);
            if page.is_last {
                break;
            }
        }
        assert!(reads > 1, "one read looks at a bounded number");
        assert_eq!(after, everything(&inbox).await.last().map(|entry| entry.cursor));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_sender_sends_one_after_the_other_stays_in_that_order() {
    over_all(async |backend| {
        let inbox = backend.inbox();
        let senders = (0..20).map(|sender| {
            let inbox = inbox.clone();
            tokio::spawn(async move {
                for number in 0..50 {
                    append(&inbox, event(&format!("{sender} {number}"), "x", &sender.to_string())).await;
                }
            })
        });
        for sender in senders.collect::<Vec<_>>() {
            sender.await.unwrap();
        }
        for sender in 0..20 {
            let filter = Filter { room: Some(sender.to_string()), events: Vec::new() };
            let ids: Vec<_> = read_all(&inbox, filter).await.unwrap().into_iter().map(|entry| entry.id).collect();
            assert_eq!(ids, (0..50).map(|number| format!("{sender} {number}")).collect::<Vec<_>>());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_that_are_cut_and_come_back_miss_nothing_and_see_nothing_twice() {
    const FOLLOWERS: u64 = 50;
    const EVENTS: usize = 400;
    over_all(async |backend| {
        let inbox = backend.inbox();
        let followers: Vec<_> = (0..FOLLOWERS)
            .map(|seed| {
                let inbox = inbox.clone();
                tokio::spawn(async move {
                    let (mut ids, mut cursor, mut luck) = (Vec::new(), None, seed);
                    while ids.len() < EVENTS {
                        let mut follower = inbox.follow(cursor, Filter::default());
                        luck = luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let cut = tokio::time::sleep(Duration::from_micros(luck >> 50));
                        tokio::pin!(cut);
                        loop {
                            tokio::select! {
                                biased;
                                page = follower.next(PageLimit { entries: 7, bytes: 4096 }) => {
                                    ids.extend(page.unwrap().entries.into_iter().map(|entry| entry.id));
                                    cursor = follower.cursor();
                                    if ids.len() >= EVENTS { break }
                                }
                                () = &mut cut => break,
                            }
                        }
                    }
                    ids
                })
            })
            .collect();
        let appended = (0..EVENTS).map(|number| number.to_string());
        for id in appended.clone() {
            append(&inbox, event(&id, "x", "y")).await;
        }
        for follower in followers {
            assert_eq!(follower.await.unwrap(), appended.clone().collect::<Vec<_>>());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_wakes_as_soon_as_there_is_something_for_it() {
    over_all(async |backend| {
        let inbox = backend.inbox();
        let mut follower = inbox.follow(None, Filter { room: Some("b".to_owned()), events: Vec::new() });
        assert!(follower.poll(ALL).await.unwrap().entries.is_empty());
        let following = tokio::spawn(async move { follower.next(ALL).await.unwrap() });
        for (id, room) in [("1", "a"), ("2", "a"), ("3", "b")] {
            tokio::time::sleep(Duration::from_millis(20)).await;
            append(&inbox, event(id, "x", room)).await;
        }
        let page = tokio::time::timeout(Duration::from_secs(2), following).await.unwrap().unwrap();
        assert_eq!(page.entries.len(), 1);
        assert_eq!(page.entries[0].id, "3");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_is_deleted_and_is_no_longer_a_duplicate() {
    over_all(async |backend| {
        let test_clock = TestClock::at(UnixTime::now());
        let retention = Retention { age: Duration::from_secs(3000), ..Retention::default() };
        let inbox = backend.open(retention, test_clock.clock());
        let appended = |ids: std::ops::Range<usize>| {
            let (inbox, now) = (inbox.clone(), test_clock.now());
            async move {
                for id in ids {
                    let arrival = Arrival::new(delivery_of(KEYS[0], event(&id.to_string(), "x", "y")), now);
                    assert_eq!(inbox.append(arrival).await, Ok(Appended::Committed));
                }
            }
        };
        appended(0..300).await;
        test_clock.advance(Duration::from_secs(2500));
        appended(300..310).await;
        let (first, last) = {
            let entries = everything(&inbox).await;
            (entries[0].cursor, entries[309].cursor)
        };
        test_clock.advance(Duration::from_secs(1000));
        eventually("the old ones go", async || everything(&inbox).await.len() == 10).await;

        // A reader that was too slow learns where the remaining entries begin.
        let filter = Arc::new(Filter::default());
        let Err(ReadError::Gone { oldest }) = inbox.read(Some(first), &filter, ALL).await else { panic!("not gone") };
        assert_eq!(inbox.read(Some(oldest), &filter, ALL).await.unwrap().entries.len(), 10);
        appended(0..5).await;

        // All are deleted, and cursors keep increasing, also after a restart. An hour at once would be a leap.
        test_clock.advance(Duration::from_secs(2500));
        eventually("more go", async || everything(&inbox).await.len() == 5).await;
        test_clock.advance(Duration::from_secs(2500));
        eventually("all go", async || everything(&inbox).await.is_empty()).await;
        assert!(inbox.read(Some(last), &filter, ALL).await.is_err());
        inbox.close().await;
        drop(inbox);
        let inbox = backend.open(retention, test_clock.clock());
        inbox.append(Arrival::new(delivery_of(KEYS[0], event("0", "x", "y")), test_clock.now())).await.unwrap();
        let entries = everything(&inbox).await;
        assert_eq!(entries.len(), 1);
        assert!(entries[0].cursor > last);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exceeds_the_limit_is_deleted_oldest_first() {
    const MOST: u64 = 2 << 20;
    over_all(async |backend| {
        let inbox = backend.open(Retention { bytes: MOST, ..Retention::default() }, roomkey::clock::Clock::system());
        let padding = "x".repeat(4000);
        append_all(&inbox, (0..1000).map(|number| event(&number.to_string(), &padding, "y"))).await;
        // A store may count its bytes only when it looks for the excess.
        let has_shrunk = async || everything(&inbox).await.len() < 600 && inbox.usage().is_some_and(|usage| usage.bytes <= MOST);
        eventually("it shrinks", has_shrunk).await;
        let ids: Vec<usize> = everything(&inbox).await.into_iter().map(|entry| entry.id.parse().unwrap()).collect();
        assert!((100..600).contains(&ids.len()), "{} are left", ids.len());
        assert_eq!(ids, (1000 - ids.len()..1000).collect::<Vec<_>>());
        assert_eq!(inbox.usage().unwrap().entries, u64::try_from(ids.len()).unwrap());
        // The oldest event is new again, the newest is not.
        assert_eq!(append(&inbox, event("0", &padding, "y")).await, Appended::Committed);
        assert_eq!(append(&inbox, event("999", &padding, "y")).await, Appended::Duplicate);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_duplicate_is_missed_among_many_nor_after_a_restart() {
    const MANY: usize = 40_000;
    over_all(async |backend| {
        let inbox = backend.inbox();
        let bodies = || (0..MANY).map(|number| event(&number.to_string(), "x", "y"));
        assert_eq!(append_all(&inbox, bodies()).await, HashSet::from([Appended::Committed]));
        assert_eq!(append_all(&inbox, bodies().step_by(7)).await, HashSet::from([Appended::Duplicate]));
        inbox.close().await;
        drop(inbox);
        let inbox = backend.inbox();
        assert_eq!(append_all(&inbox, bodies().step_by(5)).await, HashSet::from([Appended::Duplicate]));
        let ids: BTreeSet<_> = everything(&inbox).await.into_iter().map(|entry| entry.id).collect();
        assert_eq!(ids.len(), MANY);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_count_what_was_done() {
    over_all(async |backend| {
        let inbox = backend.inbox();
        for body in [event("1", "x", "y"), event("2", "x", "y"), event("1", "x", "y"), event("1", "other", "y")] {
            append(&inbox, body).await;
        }
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        let statistics = inbox.statistics();
        assert_eq!(
            [&statistics.committed, &statistics.duplicates, &statistics.conflicts, &statistics.refused].map(load),
            [2, 1, 1, 0]
        );
        assert_eq!((statistics.batch_size.count(), statistics.batch_size.sum()), (4, 4));
        let follower = inbox.follow(None, Filter::default());
        assert_eq!(load(&statistics.followers), 1);
        drop(follower);
        assert_eq!(load(&statistics.followers), 0);
        assert!(inbox.is_ready().is_ok());
    })
    .await;
}

#[tokio::test]
async fn without_an_inbox_nothing_is_kept() {
    let inbox = roomkey::inbox::Inbox::none();
    assert_eq!(inbox.append(arrival("{}")).await, Ok(Appended::NotKept));
    assert!(matches!(inbox.read(None, &Arc::new(Filter::default()), ALL).await, Err(ReadError::NotKept)));
    assert!(inbox.is_ready().is_ok() && !inbox.keeps());
    inbox.close().await;
}
