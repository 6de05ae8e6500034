//! Tests of who may read which events, and of what a page of another origin may do.

use super::client::Events;
use super::support::{ALL, DAILY, SSE, Server, bearer, event, token, token_until};
use crate::fixtures::{HEADER, NOW, SERVER_KEY, digest, first_recorded, forge, forge_with, sign};

/// An `Authorization` header with a key that the server does not know.
fn nobodies() -> Vec<(&'static str, Option<String>)> {
    let bearer = |token: String| Some(format!("Bearer {token}"));
    let all = token(ALL);
    let (input, _) = all.rsplit_once('.').unwrap();
    let other_key = forge(HEADER, format!(r#"{{"iss":"APIother","exp":{},"video":{ALL}}}"#, NOW + 60));
    vec![
        ("nothing", None),
        ("an empty header", Some(String::new())),
        ("no token", Some("Bearer".to_owned())),
        ("an empty token", Some("Bearer ".to_owned())),
        ("words", Some("Bearer let me in".to_owned())),
        ("another scheme", Some(format!("Basic {all}"))),
        ("a bare token", Some(all.clone())),
        ("another secret", bearer(sign(input, "another secret of 32 bytes and more"))),
        ("an unknown key", bearer(other_key)),
        ("an expired one", bearer(token_until(ALL, NOW - 61))),
        ("one without an end", bearer(forge(HEADER, format!(r#"{{"iss":"{}","video":{ALL}}}"#, SERVER_KEY.0)))),
        ("one that has not begun", bearer(forge_with(&format!(r#""nbf":{},"video":{ALL}"#, NOW + 61)))),
        ("a webhook's", bearer(first_recorded().authorization)),
        ("a webhook's with grants", bearer(forge_with(&format!(r#""sha256":"{}","video":{ALL}"#, digest("{}"))))),
        ("alg none", bearer(format!("{}.", forge(r#"{"alg":"none"}"#, "{}").rsplit_once('.').unwrap().0))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_that_holds_there_is_nothing() {
    let server = Server::start().await;
    server.append_ids(0..3).await;
    for (who, authorization) in nobodies() {
        for accept in ["*/*", "text/event-stream"] {
            let mut headers = vec![("accept", accept)];
            headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
            let answer = server.ask("GET", "/events?limit=1", &headers).await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{who}");
            assert!(answer.error().contains("token"), "{who}");
        }
        if let Some(token) = authorization.as_deref().and_then(|value| value.strip_prefix("Bearer ")) {
            let answer = server.get_without(&format!("/events?access_token={}", token.replace(' ', "+"))).await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{who}, in the query");
        }
    }
    let both = [("authorization", &*bearer(ALL)), ("authorization", &*bearer(ALL))];
    assert_eq!(server.ask("GET", "/events", &both).await.status, 401, "two of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_stand_in_the_header_or_in_the_query() {
    let server = Server::start().await;
    server.append_ids(0..1).await;
    let token = token(ALL);
    for scheme in ["Bearer", "bearer", "BEARER", "Bearer  "] {
        let answer = server.ask("GET", "/events", &[("authorization", &format!("{scheme} {token}"))]).await;
        assert_eq!(answer.ids().0, ["0"], "{scheme}");
    }
    assert_eq!(server.get_without(&format!("/events?access_token={token}")).await.ids().0, ["0"]);
    // As a browser's EventSource sends it.
    let target = format!("/events?limit=5&access_token={token}&room=daily");
    let answer = super::client::send(server.address, "GET", &target, &[SSE, ("origin", "https://app.example")]).await;
    assert_eq!(Events::read(answer).next().await.unwrap().data.unwrap(), event("0", "room_started", "daily"));
    // A token in the header counts, whatever the query says. A header with another scheme is for another program.
    let target = format!("/events?access_token={token}");
    assert_eq!(server.ask("GET", &target, &[("authorization", "Bearer x.y.z")]).await.status, 401);
    assert_eq!(server.ask("GET", &target, &[("authorization", "Basic dTpw")]).await.status, 200);
    assert_eq!(server.get_without(&format!("{target}&access_token={token}")).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn within_the_leeway_of_clocks_a_token_holds() {
    let server = Server::start().await;
    for (expiry, status) in [(NOW - 60, 200), (NOW - 61, 401)] {
        let authorization = format!("Bearer {}", token_until(ALL, expiry));
        assert_eq!(server.ask("GET", "/events", &[("authorization", &authorization)]).await.status, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_room_alone() {
    let server = Server::start().await;
    for (id, room) in ["daily", "other", "daily", "daily ", "Daily", "", "daily"].iter().enumerate() {
        server.append(event(&id.to_string(), "x", room)).await;
    }
    server.append("no JSON: daily").await;
    let expected = ["0", "2", "6"];
    assert_eq!(server.get_as(DAILY, "/events").await.ids().0, expected);
    assert_eq!(server.get_as(DAILY, "/events?room=daily").await.ids().0, expected);
    assert_eq!(server.get_as(DAILY, "/events?event=x").await.ids().0, expected);
    let mut events = server.events_as(DAILY, "/events").await;
    for id in expected {
        assert_eq!(events.next().await.unwrap().data.unwrap(), event(id, "x", "daily"));
    }
    for room in ["other", "", "Daily", "daily+", "%00"] {
        for headers in [&[("authorization", &*bearer(DAILY))][..], &[("authorization", &*bearer(DAILY)), SSE]] {
            let answer = server.ask("GET", &format!("/events?room={room}"), headers).await;
            assert_eq!(answer.status, 403, "{room:?}");
            answer.error();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_that_do_not_let_read() {
    let server = Server::start().await;
    for video in [
        "{}",
        r#"{"roomJoin":true,"room":"daily"}"#,
        r#"{"roomAdmin":true}"#,
        r#"{"roomAdmin":true,"room":""}"#,
        r#"{"roomAdmin":false,"room":"daily"}"#,
        r#"{"roomList":false}"#,
        r#"{"roomCreate":true,"roomRecord":true,"ingressAdmin":true,"room":"daily"}"#,
    ] {
        let answer = server.get_as(video, "/events").await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (403, None), "{video}");
        answer.error();
    }
    let without = format!("Bearer {}", forge_with(r#""sub":"alice""#));
    assert_eq!(server.ask("GET", "/events", &[("authorization", &without)]).await.status, 403);
    // A token that may list rooms may read all of them, whatever else it grants.
    server.append_ids(0..1).await;
    let both = r#"{"roomList":true,"roomAdmin":true,"room":"other"}"#;
    assert_eq!(server.get_as(both, "/events").await.ids().0, ["0"]);
    assert_eq!(server.get_as(both, "/events?room=other").await.ids().0, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin() {
    let server = Server::start().await;
    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization,last-event-id"),
    ];
    let answer = server.ask("OPTIONS", "/events", &preflight).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some("*")));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization, last-event-id"));
    for headers in [&[("authorization", &*bearer(ALL))][..], &[("authorization", &*bearer(ALL)), SSE]] {
        let answer = super::client::send(server.address, "GET", "/events", headers).await;
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    }
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(server.ask(method, "/events", &[("authorization", &bearer(ALL))]).await.status, 405);
    }
}
