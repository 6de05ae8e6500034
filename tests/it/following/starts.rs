//! Tests of where a reader begins: now, after the last event that it got, or nowhere, to learn a cursor.

use std::time::Duration;

use roomkey::UnixTime;

use super::client::{Answer, Events, send};
use super::support::{ALL, DAILY, SSE, Server, append_at, bearer, event, over_all};
use crate::fixtures::NOW;

/// The id of the next event's payload.
async fn next_id(events: &mut Events) -> String {
    let data: serde_json::Value = serde_json::from_str(&events.next().await.unwrap().data.unwrap()).unwrap();
    data["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_begins_now() {
    over_all(async |server| {
        for round in 0..3 {
            // All within one millisecond of the server's clock.
            server.append_ids([format!("before {round}")]).await;
            let (ids, next) = server.get("/events?after=latest").await.ids();
            assert!(ids.is_empty(), "{ids:?}");
            server.append_ids([format!("between {round}")]).await;
            let mut events = server.events("/events?after=latest").await;
            let place = events.next_id_alone().await;
            server.append_ids([format!("after {round}")]).await;
            assert_eq!(next_id(&mut events).await, format!("after {round}"));
            assert_eq!(server.get(&format!("/events?after={place}")).await.ids().0, [format!("after {round}")]);
            let both = [format!("between {round}"), format!("after {round}")];
            assert_eq!(server.get(&format!("/events?after={next}")).await.ids().0, both);
        }
        // There are also entries from a clock that was ahead.
        append_at(&server.inbox, event("ahead", "x", "daily"), UnixTime::from_secs(NOW + 7200)).await;
        let (ids, next) = server.get_as(DAILY, "/events?after=latest").await.ids();
        assert!(ids.is_empty(), "{ids:?}");
        server.append_ids(["last"]).await;
        assert_eq!(server.get_as(DAILY, &format!("/events?after={next}")).await.ids().0, ["last"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_waits_for_what_comes() {
    over_all(async |server| {
        server.append_ids(["before"]).await;
        let (address, bearer) = (server.address, bearer(ALL));
        let waiting = tokio::spawn(async move {
            let target = "/events?after=latest&wait=30&room=daily";
            Answer::read(send(address, "GET", target, &[("authorization", &bearer)]).await).await
        });
        let begin = std::time::Instant::now();
        while server.inbox.statistics().followers.load(std::sync::atomic::Ordering::Relaxed) == 0 {
            assert!(begin.elapsed() < Duration::from_secs(20), "nobody waits");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server.append(event("other", "x", "other")).await;
        server.append_ids(["after"]).await;
        assert_eq!(waiting.await.unwrap().ids().0, ["after"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_came_for_what_comes_misses_nothing_when_it_comes_back() {
    over_all(async |server| {
        server.append_ids(["before"]).await;
        let mut events = server.events("/events?after=latest&room=daily").await;
        let place = events.next_id_alone().await;
        drop(events);
        server.append_ids(["meanwhile"]).await;
        // An `EventSource` reconnects with the same URL.
        let headers = [SSE, ("authorization", &*bearer(ALL)), ("last-event-id", &place)];
        let mut events = Events::read(send(server.address, "GET", "/events?after=latest&room=daily", &headers).await);
        assert_eq!(next_id(&mut events).await, "meanwhile");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_event_id_in_the_query_is_like_the_header() {
    let server = Server::start().await;
    server.append_ids(0..5).await;
    let page = server.get("/events").await.json();
    let cursor = |id: usize| page["events"][id]["cursor"].as_str().unwrap().to_owned();
    let (bearer, first, second, third) = (bearer(ALL), cursor(0), cursor(1), cursor(2));
    for (query, header, expected) in [
        (format!("lastEventId={first}"), "", &["1", "2", "3", "4"][..]),
        (format!("after={first}&lastEventId={second}"), "", &["2", "3", "4"]),
        (format!("lastEventId={second}&after=latest"), "", &["2", "3", "4"]),
        (format!("lastEventId={first}"), &*third, &["3", "4"]),
        (format!("lastEventId=&after={second}"), "", &["2", "3", "4"]),
        ("lastEventId=".to_owned(), "", &["0", "1", "2", "3", "4"]),
    ] {
        let headers = [("authorization", &*bearer), ("last-event-id", header)];
        assert_eq!(server.ask("GET", &format!("/events?{query}"), &headers).await.ids().0, expected, "{query} {header}");
        let mut events =
            Events::read(send(server.address, "GET", &format!("/events?{query}"), &[&headers[..], &[SSE]].concat()).await);
        assert_eq!(next_id(&mut events).await, expected[0]);
    }
    for bad in ["42", "latest", "%20"] {
        let answer = server.get(&format!("/events?lastEventId={bad}")).await;
        assert_eq!(answer.status, 400);
        assert!(answer.error().starts_with("lastEventId must be a cursor"), "{}", answer.error());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_page_tells_where_to_go_on() {
    over_all(async |server| {
        server.append_ids(0..3).await;
        let (ids, before) = server.get("/events?limit=0").await.ids();
        assert!(ids.is_empty(), "{ids:?}");
        assert_eq!(server.get(&format!("/events?after={before}")).await.ids().0, ["0", "1", "2"]);
        let (_, first) = server.get("/events?limit=1").await.ids();
        // It does not wait either, because it can hold no events.
        for query in ["limit=0", "limit=00", "limit=0&wait=30", "limit=0&wait=30&room=daily"] {
            assert_eq!(server.get(&format!("/events?after={first}&{query}")).await.ids(), (vec![], first.clone()), "{query}");
        }
        let (ids, now) = server.get("/events?after=latest&limit=0&wait=30").await.ids();
        assert!(ids.is_empty(), "{ids:?}");
        server.append_ids(["new"]).await;
        assert_eq!(server.get(&format!("/events?after={now}")).await.ids().0, ["new"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_names_every_event_is_a_message() {
    let server = Server::start().await;
    server.append(event("1", "a name that nobody knew", "daily")).await;
    for (query, name) in
        [("", Some("a name that nobody knew")), ("?named=true", Some("a name that nobody knew")), ("?named=false", None)]
    {
        let mut events = server.events(&format!("/events{query}")).await;
        let event = events.next().await.unwrap();
        assert_eq!((event.event.as_deref(), event.id.is_some()), (name, true), "{query}");
        assert_eq!(event.data.unwrap(), super::support::event("1", "a name that nobody knew", "daily"));
    }
    assert_eq!(server.get("/events?named=false").await.ids().0, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_is_unknown_is_refused() {
    let server = Server::start().await;
    server.append_ids(0..1).await;
    for (query, name) in [
        ("rooms=daily", "rooms"),
        ("room=daily&Event=x", "Event"),
        ("=x", ""),
        ("__=1", "__"),
        ("limit=1&last_event_id=1", "last_event_id"),
        ("a%0A%22%1b%5B2J=1", r#"a\n\"\u{1b}[2J"#),
        ("%E2%80%AE%FF=1", "\\u{202e}\u{fffd}"),
        (&format!("{}=1", "x".repeat(4000)), &"x".repeat(32)),
    ] {
        for accept in ["*/*", "text/event-stream"] {
            let headers = [("authorization", &*bearer(ALL)), ("accept", accept)];
            let answer = server.ask("GET", &format!("/events?{query}"), &headers).await;
            assert_eq!(answer.status, 400, "{query}");
            let error = answer.error();
            assert!(error.starts_with(&format!("the query must not have \"{name}\": ")), "{query}: {error}");
            assert!(error.ends_with("after, lastEventId, limit, wait, room, event, named, access_token"), "{error}");
        }
    }
    // The parameter that keeps caches from answering is not a filter.
    assert_eq!(server.get("/events?_=1795317315&limit=1&_=2").await.ids().0, ["0"]);
}
