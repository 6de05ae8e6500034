//! Tests of pages: their form, where they begin and continue, what a query may ask for, and the wait for a first event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomkey::UnixTime;
use roomkey::clock::Clock;
use roomkey::inbox::{Cursor, Inbox, Retention};
use serde_json::{Value, json};

use super::client::{Answer, send};
use super::support::{ALL, Server, bearer, cursor_at, event, over_all};
use crate::fixtures::{NOW, recorded};
use crate::inbox::support::{Backend, backends};

fn ids(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|id| id.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_bears_each_body_to_the_byte() {
    let server = Server::start().await;
    let bodies: Vec<Vec<u8>> = recorded().into_iter().map(|delivery| delivery.body).collect();
    for (at, body) in bodies.iter().enumerate() {
        // Some were delivered twice, under two keys.
        if !bodies[..at].contains(body) {
            server.append(body).await;
        }
    }
    let mut expected: Vec<&Vec<u8>> = Vec::new();
    for body in &bodies {
        if !expected.contains(&body) {
            expected.push(body);
        }
    }
    let answer = server.get("/events").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!((answer.header("cache-control"), answer.header("vary")), (Some("no-store"), Some("Accept")));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let mut rest = std::str::from_utf8(&answer.body).unwrap().strip_prefix(r#"{"events":["#).unwrap();
    let mut cursors = Vec::new();
    for (at, body) in expected.iter().enumerate() {
        rest = rest.strip_prefix(if at == 0 { r#"{"cursor":""# } else { r#",{"cursor":""# }).unwrap();
        cursors.push(rest[..16].parse::<Cursor>().unwrap());
        rest =
            rest[16..].strip_prefix(r#"","receivedAt":"2026-11-22T03:15:15.000Z","event":"#).unwrap_or_else(|| panic!("{rest}"));
        rest = rest.strip_prefix(std::str::from_utf8(body).unwrap()).unwrap().strip_prefix("}").unwrap();
    }
    assert_eq!(rest, format!(r#"],"next":"{}"}}"#, cursors.last().unwrap()));
    assert!(cursors.is_sorted_by(|a, b| a < b));
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_on_gives_each_once_and_in_order() {
    over_all(async |server| {
        server.append_ids(0..250).await;
        let first = server.get("/events").await.ids();
        assert_eq!(first.0, ids(0..100), "the default is 100, from the oldest");
        let second = server.get(&format!("/events?after={}&limit=7", first.1)).await.ids();
        assert_eq!(second.0, ids(100..107));
        let third = server.get(&format!("/events?limit=1000&after={}", second.1)).await.ids();
        assert_eq!(third.0, ids(107..250));
        let end = server.get(&format!("/events?after={}", third.1)).await.ids();
        assert_eq!(end, (vec![], third.1.clone()), "an empty page has a cursor too");
        server.append_ids(["more"]).await;
        assert_eq!(server.get(&format!("/events?after={}", end.1)).await.ids().0, ["more"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_inbox_has_a_cursor() {
    over_all(async |server| {
        let (events, next) = server.get("/events").await.ids();
        assert_eq!(events, ids(0..0));
        server.append_ids(0..1).await;
        assert_eq!(server.get(&format!("/events?after={next}")).await.ids().0, ["0"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_page_is_whole() {
    over_all(async |server| {
        let large = "x".repeat(3_000);
        for id in 0..1_003 {
            server.append(event(&id.to_string(), &large, "daily")).await;
        }
        for limit in ["1000", "1001", "99999999999999999999999999"] {
            let answer = server.get(&format!("/events?limit={limit}")).await;
            assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
            let (events, next) = answer.ids();
            assert_eq!(events, ids(0..1_000), "{limit}: at most 1,000");
            assert_eq!(server.get(&format!("/events?after={next}")).await.ids().0, ids(1_000..1_003));
        }
        let head = server.ask("HEAD", "/events?limit=1", &[("authorization", &bearer(ALL))]).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_larger_than_all_that_is_read_ahead() {
    over_all(async |server| {
        let bodies = [10, 5_000_000, 20, 100_000].map(|length| event(&length.to_string(), &"x".repeat(length), "daily"));
        for body in &bodies {
            server.append(body).await;
        }
        let page = server.get("/events").await.json();
        let events: Vec<_> = page["events"].as_array().unwrap().iter().map(|entry| entry["event"].clone()).collect();
        assert!(events == bodies.map(|body| serde_json::from_str::<Value>(&body).unwrap()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_shown_as_text() {
    over_all(async |server| {
        let cases: [(&[u8], Value); 8] = [
            (b"", json!("")),
            (b"plain \"text\"\r\n\0", json!("plain \"text\"\r\n\0")),
            (b"{\"event\":\"cut", json!("{\"event\":\"cut")),
            (b"{\"a\":\"\xff\"}", json!("{\"a\":\"\u{fffd}\"}")),
            (b"\xe2\x82", json!("\u{fffd}")),
            (b"[1, 2]", json!([1, 2])),
            (b" \"text\" ", json!("text")),
            (b"{\"id\":7}", json!({"id": 7})),
        ];
        for (body, _) in &cases {
            server.append(body).await;
        }
        let page = server.get("/events").await;
        let shown: Vec<Value> = page.json()["events"].as_array().unwrap().iter().map(|entry| entry["event"].clone()).collect();
        assert_eq!(shown, cases.map(|(_, shown)| shown));
        assert!(String::from_utf8(page.body.to_vec()).unwrap().contains(r#""event": "text" }"#), "JSON stays to the byte");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_room_and_the_events_that_are_asked_for() {
    over_all(async |server| {
        let names = ["room_started", "participant_joined", "room_finished"];
        for id in 0..30 {
            server.append(event(&id.to_string(), names[id % 3], ["daily", "a b&c=ü"][id % 2])).await;
        }
        let all: Vec<usize> = (0..30).collect();
        for (query, wanted) in [
            ("room=daily", &(|id: usize| id.is_multiple_of(2)) as &dyn Fn(usize) -> bool),
            ("room=a+b%26c%3D%C3%BC", &|id| id % 2 == 1),
            ("event=room_started", &|id| id % 3 == 0),
            ("event=room_started&event=room_finished", &|id| id % 3 != 1),
            ("room=daily&event=participant_joined&_=1", &|id| id % 6 == 4),
            ("room=nowhere", &|_| false),
            ("event=", &|_| false),
        ] {
            let expected: Vec<_> = all.iter().filter(|id| wanted(**id)).map(ToString::to_string).collect();
            assert_eq!(server.get(&format!("/events?{query}")).await.ids().0, expected, "{query}");
        }
        // A page that skipped many events does not reveal how many.
        let (_, next) = server.get("/events?room=nowhere").await.ids();
        assert_eq!(next, cursor_at(NOW));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_room_among_thousands_of_others() {
    over_all(async |server| {
        for id in 0..2_500 {
            server.append(event(&id.to_string(), "x", if id == 2_400 { "rare" } else { "daily" })).await;
        }
        assert_eq!(server.get("/events?room=rare").await.ids().0, ["2400"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_cannot_be_meant() {
    let server = Server::start().await;
    let cursor = "0001d2a0b3c40000";
    for query in [
        "after=",
        "after=42",
        "after=0001D2A0B3C40000",
        "after=ffffffffffffffff",
        "after=%00",
        "after=0001d2a0b3c4000%20",
        "limit=",
        "limit=-1",
        "limit=1.5",
        "limit=+5",
        "limit=%2B5",
        "limit=ten",
        "wait=",
        "wait=-1",
        "wait=0.5",
        "wait=1s",
        "limit=1&limit=1",
        "wait=0&wait=0",
        "room=a&room=a",
        "named=",
        "named=no",
        "named=1",
        "named=True",
        "named=true&named=false",
        "lastEventId=x",
        "lastEventId=&lastEventId=",
    ] {
        for accept in ["*/*", "text/event-stream"] {
            let headers = [("authorization", &*bearer(ALL)), ("accept", accept)];
            let answer = server.ask("GET", &format!("/events?{query}"), &headers).await;
            assert_eq!(answer.status, 400, "{query}");
            let field = query.split('=').next().unwrap();
            assert!(answer.error().starts_with(field), "{query}: {}", answer.error());
        }
    }
    let twice = format!("/events?after={cursor}&after={cursor}");
    assert_eq!(server.get(&twice).await.status, 400);
    for last in ["x", "42", "\u{e9}"] {
        let headers = [("authorization", &*bearer(ALL)), ("last-event-id", last)];
        assert_eq!(server.ask("GET", "/events", &headers).await.status, 400);
    }
    for query in ["limit=1", "limit=007", "limit=0", "wait=0", "wait=00", "named=true", ""] {
        assert_eq!(server.get(&format!("/events?{query}")).await.status, 200, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_bounded() {
    let server = Server::start().await;
    server.append_ids(0..1).await;
    let names = |count: usize| "&event=room_started".repeat(count);
    assert_eq!(server.get(&format!("/events?limit=1{}", names(32))).await.ids().0, ["0"]);
    for query in [names(33), format!("&event={}", names(32)), format!("{}&%65vent=", names(32)), names(200)] {
        let answer = server.get(&format!("/events?limit=1{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.error().starts_with("event "), "{}", answer.error());
    }
    let long = |length: usize| format!("/events?_={}", "x".repeat(length - 2));
    assert_eq!(server.get(&long(8192)).await.status, 200);
    for length in [8193, 12_000] {
        let answer = server.get(&long(length)).await;
        assert_eq!(answer.status, 414);
        assert!(answer.error().contains("query"), "{}", answer.error());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_from_the_future_is_refused() {
    over_all(async |server| {
        server.append_ids(0..1).await;
        let at = |cursor: String, status: u16| {
            let server = &server;
            async move {
                let queried = server.get(&format!("/events?after={cursor}")).await;
                let headers = [("authorization", &*bearer(ALL)), ("last-event-id", &*cursor)];
                for (field, answer) in [("after", queried), ("Last-Event-ID", server.ask("GET", "/events", &headers).await)] {
                    assert_eq!(answer.status, status, "{cursor}");
                    assert!(status == 200 || answer.error().starts_with(field), "{}", answer.error());
                }
            }
        };
        at(cursor_at(NOW + 3600), 200).await;
        for seconds in [3601, 7200, 365 * 24 * 3600] {
            at(cursor_at(NOW + seconds), 400).await;
        }
        at("7fffffffffffffff".to_owned(), 400).await;
        // If a clock was set back, there are events from the future, and their cursors are valid.
        let ahead = UnixTime::from_secs(NOW + 7200);
        super::support::append_at(&server.inbox, event("ahead", "x", "daily"), ahead).await;
        at(cursor_at(NOW + 7200), 200).await;
        at(cursor_at(NOW + 7100), 200).await;
        at(cursor_at(NOW + 7201), 400).await;
        let next = server.get("/events").await.ids().1;
        assert_eq!(server.get(&format!("/events?after={next}")).await.ids().0, ids(0..0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_event_id_beats_the_query() {
    let server = Server::start().await;
    server.append_ids(0..4).await;
    let cursors: Vec<String> = server.get("/events").await.json()["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["cursor"].as_str().unwrap().to_owned())
        .collect();
    let after = format!("/events?after={}", cursors[0]);
    let headers = [("authorization", &*bearer(ALL)), ("last-event-id", &*cursors[2])];
    assert_eq!(server.ask("GET", &after, &headers).await.ids().0, ["3"]);
    let headers = [("authorization", &*bearer(ALL)), ("last-event-id", "")];
    assert_eq!(server.ask("GET", &after, &headers).await.ids().0, ids(1..4), "an empty one is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_the_first_event() {
    over_all(async |server| {
        let (_, next) = server.get("/events").await.ids();
        // There is no wait if there are events already.
        let begin = Instant::now();
        let (address, target, bearer) = (server.address, format!("/events?after={next}&wait=30&room=daily"), bearer(ALL));
        let waiting =
            tokio::spawn(async move { Answer::read(send(address, "GET", &target, &[("authorization", &bearer)]).await).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.append(event("other", "x", "another room")).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!waiting.is_finished());
        server.append_ids(["first"]).await;
        let answer = waiting.await.unwrap();
        assert_eq!(answer.ids().0, ["first"]);
        assert_eq!(server.get(&format!("/events?after={next}&wait=30")).await.ids().0, ["other", "first"]);
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_in_vain_ends_with_an_empty_page() {
    let server = Server::start().await;
    let begin = Instant::now();
    let (events, next) = server.get("/events?wait=1").await.ids();
    assert!(events.is_empty() && next.parse::<Cursor>().is_ok());
    assert!((Duration::from_secs(1)..Duration::from_secs(10)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_before_all_that_is_kept_is_gone() {
    for (name, backend) in backends() {
        eprintln!("over {name}");
        let retention = Retention { age: Duration::from_secs(30 * 60), ..Retention::default() };
        let server = Server::keeping(retention, |_| (), backend.into()).await;
        let (_, before) = server.get("/events").await.ids();
        server.append_ids(0..3).await;
        let last = server.get("/events").await.ids().1;
        server.set_time(NOW + 45 * 60);
        // The token has expired by that clock, so another one is needed.
        let bearer = format!("Bearer {}", super::support::token_until(ALL, NOW + 2 * 60 * 60));
        let begin = Instant::now();
        let gone = loop {
            let answer = server.ask("GET", &format!("/events?after={before}"), &[("authorization", &bearer)]).await;
            if answer.status != 200 {
                break answer;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "nothing is deleted");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert_eq!(gone.status, 410);
        assert!(gone.error().contains(&last), "{}: the oldest is {last}", gone.error());
        // From the oldest event, and from the cursor that the error named.
        for target in ["/events".to_owned(), format!("/events?after={last}")] {
            let answer = server.ask("GET", &target, &[("authorization", &bearer)]).await;
            let (events, next) = answer.ids();
            assert!(events.is_empty() && next >= last, "{next}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_inbox_there_is_nothing_to_follow() {
    struct Nothing;

    impl Backend for Nothing {
        fn open(&self, _: Retention, _: Clock) -> Inbox {
            Inbox::none()
        }
    }

    let server = Server::over(Arc::new(Nothing)).await;
    for accept in ["*/*", "text/event-stream"] {
        let answer = server.ask("GET", "/events", &[("authorization", &bearer(ALL)), ("accept", accept)]).await;
        assert_eq!((answer.status, &*answer.error()), (404, "this server keeps no events"));
    }
    assert_eq!(server.ask("GET", "/events", &[]).await.status, 401);
}
