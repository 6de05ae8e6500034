//! Tests of readers that get no events: their cursor moves with the clock, so that retention does not overtake it. It tells them
//! nothing about other rooms, and they miss nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomkey::UnixTime;
use roomkey::inbox::Retention;

use super::client::{Events, send};
use super::support::{ALL, DAILY, SSE, Server, append_at, cursor_at, event, token_until};
use crate::fixtures::NOW;
use crate::inbox::support::{Backend, backends};

/// A mark moves within a second at this age, and the test's clock soon passes it.
const AGE: Duration = Duration::from_secs(8);

/// Runs `test` with a server over every backend. It keeps events for [`AGE`] and often sends silent readers a cursor.
async fn over_all<F: Future<Output = ()>>(test: impl Fn(Server) -> F) {
    for (name, backend) in backends() {
        eprintln!("over {name}");
        let backend: Arc<dyn Backend> = backend.into();
        let retention = Retention { age: AGE, ..Retention::default() };
        test(Server::keeping(retention, |limits| limits.silence = Duration::from_millis(200), backend).await).await;
    }
}

fn bearer(video: &str) -> String {
    format!("Bearer {}", token_until(video, NOW + 1_000_000))
}

async fn follow(server: &Server, video: &str, last: Option<&str>) -> Events {
    let bearer = bearer(video);
    let mut headers = vec![SSE, ("authorization", &*bearer)];
    headers.extend(last.map(|last| ("last-event-id", last)));
    Events::read(send(server.address, "GET", "/events", &headers).await)
}

async fn next_of(server: &Server, video: &str, query: &str) -> String {
    let (events, next) = server.ask("GET", &format!("/events{query}"), &[("authorization", &bearer(video))]).await.ids();
    assert!(events.is_empty(), "{events:?}");
    next
}

/// Waits until `next` of a page is `expected`.
async fn assert_moves_to(server: &Server, video: &str, expected: &str) {
    let begin = Instant::now();
    loop {
        let next = next_of(server, video, "").await;
        if next == expected {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{next} instead of {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_follower_meets_no_gap_when_it_comes_back() {
    over_all(async |server| {
        let other = |id: u64, at: u64| {
            let inbox = server.inbox.clone();
            async move { append_at(&inbox, event(&format!("other {id}"), "x", "other"), UnixTime::from_secs(at)).await }
        };
        let mut quiet = follow(&server, DAILY, None).await;
        let first = quiet.next_id_alone().await;
        assert_eq!(first, cursor_at(NOW));
        let page = next_of(&server, DAILY, "").await;
        // Time passes, and other rooms are busy. Their events are deleted.
        let mut last = first.clone();
        for step in 1..=4 {
            let now = NOW + step * 20;
            other(step, now - 10).await;
            server.set_time(now);
            other(100 + step, now).await;
            while last < cursor_at(now) {
                last = quiet.next_id_alone().await;
            }
            assert_eq!(last, cursor_at(now), "by the clock alone");
        }
        let begin = Instant::now();
        while server.ask("GET", &format!("/events?after={page}"), &[("authorization", &bearer(DAILY))]).await.status != 410 {
            assert!(begin.elapsed() < Duration::from_secs(20), "nothing is deleted");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // The reader was connected all the time, so it has no gap. It gets the next event, whatever its time.
        drop(quiet);
        append_at(&server.inbox, event("own", "x", "daily"), UnixTime::from_secs(NOW + 79)).await;
        let mut events = follow(&server, DAILY, Some(&last)).await;
        let own = events.next().await.unwrap();
        assert_eq!(own.data.unwrap(), event("own", "x", "daily"));
        assert!(own.id.unwrap() > last);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_rooms_do_not_show_in_where_a_reader_is() {
    over_all(async |server| {
        let filtered = "?event=never";
        let mut quiet = follow(&server, DAILY, None).await;
        for step in 0..3 {
            let now = NOW + step * 5;
            server.set_time(now);
            assert_moves_to(&server, DAILY, &cursor_at(now)).await;
            // A little later than the mark, like events that come between two of its moves.
            for id in 0..30 {
                let at = UnixTime::from_millis(now * 1000 + 700 + id);
                append_at(&server.inbox, event(&format!("{step} {id}"), "x", "other"), at).await;
            }
            assert_eq!(next_of(&server, DAILY, "").await, cursor_at(now));
            assert_eq!(next_of(&server, DAILY, &format!("?after={}", cursor_at(now))).await, cursor_at(now));
            assert_eq!(next_of(&server, ALL, filtered).await, cursor_at(now));
            let mut told = String::new();
            while told != cursor_at(now) {
                told = quiet.next_id_alone().await;
                assert!(told <= cursor_at(now), "{told}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_all_moves_on_too() {
    over_all(async |server| {
        append_at(&server.inbox, event("0", "x", "daily"), UnixTime::from_secs(NOW)).await;
        let mut events = follow(&server, ALL, None).await;
        let first = events.next().await.unwrap().id.unwrap();
        server.set_time(NOW + 100);
        while events.next_id_alone().await != cursor_at(NOW + 100) {}
        assert!(first < cursor_at(NOW + 100));
        // If the clock is set back, no reader moves back, and events still come.
        server.set_time(NOW + 50);
        append_at(&server.inbox, event("1", "x", "daily"), UnixTime::from_secs(NOW + 50)).await;
        let next = events.next().await.unwrap();
        assert_eq!(next.data.unwrap(), event("1", "x", "daily"));
        assert!(next.id.unwrap() > cursor_at(NOW + 100));
    })
    .await;
}
