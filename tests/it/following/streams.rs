//! Tests of streams: their form, to the byte and for a parser from another project, and the step from replay to live.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::timeout;

use super::client::send;
use super::support::{ALL, SSE, Server, bearer, cursor_at, event, over_all};
use crate::fixtures::NOW;
use crate::harness::wait::PATIENCE;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_and_what_comes_is_one_stream() {
    over_all(async |server| {
        server.append_ids(0..500).await;
        let mut events = server.events("/events").await;
        let mut cursors = Vec::new();
        for id in 0..1000 {
            if id == 500 {
                server.append_ids(500..1000).await;
            }
            let next = events.next().await.unwrap();
            assert_eq!(next.event.as_deref(), Some("room_started"));
            assert_eq!(next.data.unwrap(), event(&id.to_string(), "room_started", "daily"));
            cursors.push(next.id.unwrap());
        }
        assert!(cursors.is_sorted_by(|a, b| a < b));
        // After any of them, the stream continues with the next.
        for at in [0, 499, 500, 998] {
            let mut events = server.events(&format!("/events?after={}", cursors[at])).await;
            assert_eq!(events.next().await.unwrap().id.as_ref(), Some(&cursors[at + 1]));
            let headers = [SSE, ("authorization", &*bearer(ALL)), ("last-event-id", &*cursors[at])];
            let target = format!("/events?after={}&limit=1&wait=0", cursors[0]);
            let mut events = super::client::Events::read(send(server.address, "GET", &target, &headers).await);
            assert_eq!(events.next().await.unwrap().id.as_ref(), Some(&cursors[at + 1]));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_room_and_the_events_that_are_asked_for() {
    over_all(async |server| {
        let mut events = server.events("/events?room=daily&event=a&event=c").await;
        for id in 0..60 {
            server.append(event(&id.to_string(), ["a", "b", "c"][id % 3], ["daily", "other"][id % 2])).await;
        }
        for id in (0..60).filter(|id| id % 2 == 0 && id % 3 != 1) {
            let expected = event(&id.to_string(), ["a", "b", "c"][id % 3], "daily");
            assert_eq!(events.next().await.unwrap().data.unwrap(), expected);
        }
    })
    .await;
}

/// The stream's first bytes, once they end with `end`.
async fn raw(server: &Server, target: &str, end: &str) -> String {
    let answer = send(server.address, "GET", target, &[SSE, ("authorization", &bearer(ALL))]).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["cache-control"].as_bytes()), (200, &b"no-store"[..]));
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let mut body = answer.into_body();
    let mut received = String::new();
    while !received.ends_with(end) {
        let frame = timeout(PATIENCE, body.frame()).await.unwrap_or_else(|_| panic!("{received:?}")).unwrap().unwrap();
        received.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    received
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_a_body_is_a_line_of_data() {
    for (body, name, data) in [
        (r#"{"event":"a"}"#, "event: a\n", r#"data: {"event":"a"}"#.to_owned()),
        (
            "{\"event\":\n\"a\"\r\n,\r\"id\":\n\n\"1\"}\n",
            "event: a\n",
            "data: {\"event\":\ndata: \"a\"\ndata: ,\ndata: \"id\":\ndata: \ndata: \"1\"}\ndata: ".to_owned(),
        ),
        (" {\"event\":\"a\"}", "event: a\n", "data:  {\"event\":\"a\"}".to_owned()),
        // A name cannot begin another field or event.
        (
            "{\"event\":\"a\\n\\ndata: b\\r\\nid: 7\\r\"}",
            "event: adata: bid: 7\n",
            "data: {\"event\":\"a\\n\\ndata: b\\r\\nid: 7\\r\"}".to_owned(),
        ),
        ("{}", "", "data: {}".to_owned()),
        ("no\r\nJSON", "", "data: \"no\\r\\nJSON\"".to_owned()),
        ("", "", "data: \"\"".to_owned()),
    ] {
        let server = Server::start().await;
        server.append(body).await;
        let cursor = server.get("/events").await.json()["next"].as_str().unwrap().to_owned();
        let end = format!("{data}\n\n");
        assert_eq!(raw(&server, "/events", &end).await, format!("retry: 1000\n\nid: {cursor}\n{name}{end}"), "{body:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_many_lines_is_put_together_again() {
    over_all(async |server| {
        let long = format!(
            "{{\"event\":\"long\",\r\n\"a\":\"{}\",\n{}\n\"b\":\"{}\"}}",
            "x".repeat(200_000),
            "\n".repeat(50_000),
            "y".repeat(40_000)
        );
        server.append(&long).await;
        server.append_ids(["next"]).await;
        let mut events = server.events("/events").await;
        // The reader gets LF for each line end. In JSON they are white space.
        assert!(events.next().await.unwrap().data.unwrap() == long.replace("\r\n", "\n"));
        assert_eq!(events.next().await.unwrap().data.unwrap(), event("next", "room_started", "daily"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_says_that_all_is_well() {
    let server = Server::limited(|limits| limits.silence = Duration::from_millis(200)).await;
    let quiet = tokio::time::Instant::now();
    let expected = format!("retry: 1000\n\nid: {}\n\n:\n\n:\n\n", cursor_at(NOW));
    assert_eq!(raw(&server, "/events?room=daily", ":\n\n:\n\n").await, expected, "the clock stands still");
    assert!((Duration::from_millis(600)..Duration::from_secs(5)).contains(&quiet.elapsed()), "{:?}", quiet.elapsed());
    // Events that the reader may not see do not end the silence, and a comment is not an event.
    let mut events = server.events("/events?room=daily").await;
    for id in 0..20 {
        server.append(event(&id.to_string(), "x", "another")).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.append_ids(["own"]).await;
    assert_eq!(events.next().await.unwrap().data.unwrap(), event("own", "room_started", "daily"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_is_what_accept_prefers() {
    let server = Server::start().await;
    let bearer = bearer(ALL);
    for (accept, form) in [
        ("text/event-stream", "text/event-stream"),
        ("text/event-stream, application/json;q=0.5", "text/event-stream"),
        ("text/event-stream;q=0.5, application/json", "application/json"),
        ("text/event-stream;q=0", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
    ] {
        let answer = send(server.address, "GET", "/events", &[("authorization", &bearer), ("accept", accept)]).await;
        assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, form), "{accept}");
    }
    let head = server.ask("HEAD", "/events", &[SSE, ("authorization", &bearer)]).await;
    assert_eq!((head.status, head.header("content-type"), head.body.len()), (200, Some("text/event-stream"), 0));
}
