//! Tests of streams whose events were deleted before they were read: the reader is told once and continues.

use std::time::{Duration, Instant};

use roomkey::UnixTime;
use roomkey::inbox::Retention;
use serde_json::{Value, json};
use sse_stream::Sse;

use super::client::{Events, send};
use super::support::{ALL, DAILY, SSE, Server, append_at, event, token_until};
use crate::fixtures::NOW;
use crate::inbox::support::backends;

const LATER: u64 = NOW + 45 * 60;

fn bearer(video: &str) -> String {
    format!("Bearer {}", token_until(video, NOW + 2 * 60 * 60))
}

/// Runs `test` with a server over every backend, which keeps events for 30 minutes and waits long for slow readers.
async fn over_all<F: Future<Output = ()>>(test: impl Fn(Server) -> F) {
    for (name, backend) in backends() {
        eprintln!("over {name}");
        let retention = Retention { age: Duration::from_secs(30 * 60), ..Retention::default() };
        let patient = |limits: &mut roomkey::http::Limits| limits.write = Duration::from_secs(600);
        test(Server::keeping(retention, patient, backend.into()).await).await;
    }
}

async fn follow(server: &Server, target: &str, headers: &[(&str, &str)]) -> Events {
    let bearer = bearer(ALL);
    let headers = [&[SSE, ("authorization", &*bearer)], headers].concat();
    Events::read(send(server.address, "GET", target, &headers).await)
}

/// Deletes everything, and waits until the events after `after` are deleted. Returns the oldest cursor to continue from.
async fn delete_all(server: &Server, after: &str) -> String {
    server.set_time(LATER);
    let begin = Instant::now();
    loop {
        let page = server.ask("GET", &format!("/events?after={after}"), &[("authorization", &bearer(ALL))]).await;
        let all_gone =
            page.status == 410 && server.ask("GET", "/events", &[("authorization", &bearer(ALL))]).await.ids().0.is_empty();
        if all_gone {
            return page.error().split("begins after ").nth(1).unwrap().to_owned();
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "nothing is deleted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn append_late(server: &Server, id: &str) {
    append_at(&server.inbox, event(id, "room_started", "daily"), UnixTime::from_secs(LATER)).await;
}

fn data(event: &Sse) -> Value {
    serde_json::from_str(event.data.as_deref().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_older_than_what_is_kept_is_told_of_the_gap_and_goes_on() {
    over_all(async |server| {
        let (_, before) = server.get("/events").await.ids();
        server.append_ids(0..3).await;
        let oldest = delete_all(&server, &before).await;
        append_late(&server, "late").await;
        let what = json!({"after": before, "oldest": oldest});
        let after = format!("/events?after={before}");
        let queried = format!("/events?lastEventId={before}");
        for (target, headers) in [
            (after.as_str(), vec![]),
            (&queried, vec![]),
            ("/events", vec![("last-event-id", &*before)]),
            (&format!("{after}&room=daily&event=room_started"), vec![]),
        ] {
            let mut events = follow(&server, target, &headers).await;
            let gap = events.next().await.unwrap();
            assert_eq!((gap.event.as_deref(), gap.id.as_ref(), data(&gap)), (Some("gap"), Some(&oldest), what.clone()));
            let late = events.next().await.unwrap();
            assert_eq!((late.event.as_deref(), &data(&late)["id"]), (Some("room_started"), &json!("late")), "{target}");
            // A reader can reconnect with its id.
            let mut events = follow(&server, target, &[("last-event-id", &oldest)]).await;
            assert_eq!(data(&events.next().await.unwrap())["id"], "late");
        }
        let mut events = follow(&server, &format!("{after}&named=false"), &[]).await;
        let gap = events.next().await.unwrap();
        assert_eq!((gap.event.as_deref(), gap.id.as_ref(), data(&gap)), (None, Some(&oldest), json!({"gap": what})));
        assert_eq!(events.next().await.unwrap().event, None);
        // The reader of one room is told the same, and a page is refused.
        let mut events = Events::read(send(server.address, "GET", &after, &[SSE, ("authorization", &bearer(DAILY))]).await);
        assert_eq!(events.next().await.unwrap().event.as_deref(), Some("gap"));
        assert_eq!(server.ask("GET", &after, &[("authorization", &bearer(ALL))]).await.status, 410);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_falls_behind_is_told_and_goes_on() {
    const EVENTS: usize = 250;
    over_all(async |server| {
        // More than the kernel and the client buffer for a reader that does not read.
        let large = |id: usize| event(&id.to_string(), &"x".repeat(100 << 10), "daily");
        for id in 0..EVENTS {
            server.append(large(id)).await;
        }
        let mut events = follow(&server, "/events", &[]).await;
        let first = events.next().await.unwrap();
        assert_eq!(data(&first)["id"], "0");
        let oldest = delete_all(&server, first.id.as_ref().unwrap()).await;
        append_late(&server, "late").await;
        // If events are deleted in steps, there may be several gaps. Between them each event comes once and in order.
        let (mut place, mut expected, mut gaps) = (first.id.unwrap(), Some(1), 0);
        loop {
            let next = events.next().await.expect("it ends");
            let (data, id) = (data(&next), next.id.unwrap());
            assert!(id > place);
            if next.event.as_deref() == Some("gap") {
                assert_eq!(data, json!({"after": place, "oldest": id}));
                (expected, gaps) = (None, gaps + 1);
            } else if data["id"] == "late" {
                break;
            } else {
                let number: usize = data["id"].as_str().unwrap().parse().unwrap();
                assert_eq!(number, expected.unwrap_or(number));
                expected = Some(number + 1);
            }
            place = id;
        }
        assert!(gaps > 0 && place >= oldest, "{gaps} gaps, {place}, {oldest}");
        append_late(&server, "live").await;
        assert_eq!(data(&events.next().await.unwrap())["id"], "live", "once is enough");
    })
    .await;
}
