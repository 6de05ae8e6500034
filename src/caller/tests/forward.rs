//! The application's own sessions: what it is asked, what its answers mean, and how often it is asked.

use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::NOW;
use super::fake_server::{FakeServer, Reply, raw, reply};
use super::request::{Asks, Subject, application, caller, callers, named, path, who};
use crate::caller::matchers::{Matcher, Matchers};
use crate::caller::observer::ForwardOutcome::{Busy, Failed, Forbidden, NotSignedIn, SignedIn, Suspended};
use crate::caller::refused::Refused;
use crate::caller::settings::{Forward, Proof};

const ALICE: &str = r#"{"sub":"alice","plan":"gold"}"#;

fn app(server: &FakeServer, change: impl FnOnce(&mut Forward)) -> Subject {
    let mut forward = application(&server.url("/me?full=1"));
    change(&mut forward);
    callers(vec![caller("app", Proof::Forward(forward))])
}

fn session(id: &str) -> Asks {
    Asks::new().header("cookie", &format!("sid={id}"))
}

/// Whether the application cannot say now who it is.
fn is_unknown<T>(answer: &Result<T, Refused>) -> bool {
    matches!(answer, Err(Refused::Unknown { retry_after, .. }) if *retry_after == Duration::from_secs(1))
}

#[tokio::test]
async fn the_application_gets_its_own_credentials_and_nothing_else_of_the_request() {
    let server = FakeServer::start(|_| reply("200 OK", "set-cookie: sid=new\r\n", ALICE)).await;
    let subject = app(&server, |_| {});
    let asks = Asks::new()
        .header("cookie", "theme=dark; sid=in=1; other=x")
        .header("cookie", "remember=\"me\";sid2=x ; sid =twice")
        .header("accept", "text/html")
        .header("x-secret", "of another");
    let caller = asks.clone().room("daily").of(&subject.callers).await.unwrap();
    assert_eq!((&*caller.name, caller.subject.as_deref(), caller.ends), ("app", Some("alice"), None));
    assert_eq!(json!(caller.claims), json!({"sub": "alice", "plan": "gold"}));
    let requests = server.requests();
    let mut lines: Vec<_> = requests[0].split_terminator("\r\n").filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    let host = format!("host: {}", server.url("").trim_start_matches("http://"));
    let agent = concat!("user-agent: roomkey/", env!("CARGO_PKG_VERSION"));
    let expected = [
        "GET /me?full=1 HTTP/1.1",
        "accept: application/json",
        "cookie: sid=in=1; remember=\"me\"; sid =twice",
        &host,
        agent,
        "x-forwarded-for: 192.0.2.7",
        "x-request-id: r1",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn authorization_is_passed_on_as_it_came_if_it_is_wanted() {
    let server = FakeServer::start(|_| reply("200 OK", "", ALICE)).await;
    let subject = app(&server, |forward| forward.authorization = true);
    let both = session("in").header("authorization", "bearer  opaque");
    assert_eq!(who(&both.of(&subject.callers).await), named("app", "alice"));
    let head = &server.requests()[0];
    assert!(head.contains("authorization: bearer  opaque\r\n") && head.contains("cookie: sid=in\r\n"), "{head}");
}

#[tokio::test]
async fn the_room_is_told_percent_encoded_if_it_is_wanted() {
    let server = FakeServer::start(|_| reply("200 OK", "", ALICE)).await;
    let subject = app(&server, |forward| forward.ask_room = true);
    for (room, expected) in [
        (None, "GET /me?full=1 "),
        (Some("daily"), "GET /me?full=1&room=daily "),
        (Some("a b+c&d=é%"), "GET /me?full=1&room=a%20b%2Bc%26d%3D%C3%A9%25 "),
        (Some("x HTTP/1.1\r\nevil: 1"), "GET /me?full=1&room=x%20HTTP%2F1.1%0D%0Aevil%3A%201 "),
    ] {
        let asks = room.into_iter().fold(session("in"), Asks::room);
        assert!(asks.of(&subject.callers).await.is_ok());
        let requests = server.requests();
        let head = requests.last().unwrap();
        assert!(head.starts_with(expected) && !head.contains("evil: 1\r\n"), "{head}");
    }
    // Each room is a question of its own.
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    let too_long = format!("{{\"sub\":\"alice\",\"x\":\"{}\"}}", "x".repeat(64 * 1024));
    let ok = |body: &str| reply("200 OK", "", body);
    let status = |status: &str| reply(status, "", ALICE);
    let server = FakeServer::start(|_| Reply::Hang).await;
    for (name, answer, expected) in [
        ("a subject", ok(ALICE), SignedIn),
        ("a subject that is an integer", ok(r#"{"sub":7}"#), SignedIn),
        ("an empty subject", ok(r#"{"sub":""}"#), NotSignedIn),
        ("a subject that is a fraction", ok(r#"{"sub":7.5}"#), NotSignedIn),
        ("a subject that is null", ok(r#"{"sub":null}"#), NotSignedIn),
        ("no subject", ok("{}"), NotSignedIn),
        ("null", ok("null"), NotSignedIn),
        ("a list", ok("[]"), NotSignedIn),
        ("204", Reply::Raw("HTTP/1.1 204 No Content\r\n\r\n".into()), NotSignedIn),
        ("401", status("401 Unauthorized"), NotSignedIn),
        ("302", reply("302 Found", "location: /login\r\n", ALICE), NotSignedIn),
        ("303", reply("303 See Other", "location: /login\r\n", ""), NotSignedIn),
        ("307", reply("307 Temporary Redirect", "location: /login\r\n", ""), NotSignedIn),
        ("403", status("403 Forbidden"), Forbidden),
        ("an empty 200", ok(""), Failed),
        ("a page", ok("<html>"), Failed),
        ("a subject twice", ok(r#"{"sub":"alice","sub":"bob"}"#), Failed),
        ("more than 64 KiB", ok(&too_long), Failed),
        ("201", status("201 Created"), Failed),
        ("400", status("400 Bad Request"), Failed),
        ("404", status("404 Not Found"), Failed),
        ("429", status("429 Too Many Requests"), Failed),
        ("500", status("500 Internal Server Error"), Failed),
        ("503", status("503 Service Unavailable"), Failed),
        ("half an answer", Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".into()), Failed),
        ("no HTTP", Reply::Raw("hello\r\n\r\n".into()), Failed),
    ] {
        server.answer(move |_| answer.clone());
        let subject = app(&server, |forward| forward.authorization = true);
        let by_cookie = session("in").of(&subject.callers).await;
        let by_bearer = Asks::bearer("opaque").of(&subject.callers).await;
        let is_right = match expected {
            SignedIn => by_cookie.is_ok() && by_bearer.is_ok() && &*by_cookie.as_ref().unwrap().name == "app",
            NotSignedIn => {
                let is_anonymous = by_cookie.as_ref().is_ok_and(|caller| &*caller.name == "anonymous");
                is_anonymous && matches!(by_bearer, Err(Refused::Unauthorized(_)))
            }
            Forbidden => [&by_cookie, &by_bearer].iter().all(|answer| matches!(answer, Err(Refused::Forbidden { .. }))),
            _ => is_unknown(&by_cookie) && is_unknown(&by_bearer),
        };
        assert!(is_right, "{name}: {by_cookie:?}, {by_bearer:?}");
        assert_eq!(*subject.reports.questions.lock().unwrap(), [expected, expected], "{name}");
    }
}

#[tokio::test]
async fn an_application_that_hangs_or_is_not_there_says_nothing() {
    let server = FakeServer::start(|_| Reply::Hang).await;
    let hanging = app(&server, |forward| forward.timeout = Duration::from_millis(1));
    assert!(is_unknown(&session("in").of(&hanging.callers).await));
    let gone = app(&server, |forward| forward.url = "http://127.0.0.1:1/me".parse().unwrap());
    assert!(is_unknown(&session("in").of(&gone.callers).await));
}

#[tokio::test]
async fn what_a_caller_requires_is_required_of_the_applications_claims_too() {
    let server = FakeServer::start(|_| reply("200 OK", "", ALICE)).await;
    let requires = |plan: &str| {
        let mut caller = caller("app", Proof::Forward(application(&server.url("/me"))));
        caller.require = Matchers(vec![(path("plan"), Matcher::OneOf(vec![plan.into()]))]);
        callers(vec![caller])
    };
    assert!(session("in").of(&requires("gold").callers).await.is_ok());
    assert!(matches!(session("in").of(&requires("silver").callers).await, Err(Refused::Unauthorized(_))));
}

#[tokio::test]
async fn the_next_application_is_asked_if_one_knows_nobody() {
    let server = FakeServer::start(|head| match head.split(' ').nth(1).unwrap() {
        "/first" => reply("401 Unauthorized", "", ""),
        _ => reply("200 OK", "", ALICE),
    })
    .await;
    let of = |name: &str| caller(name, Proof::Forward(application(&server.url(&format!("/{name}")))));
    let subject = callers(vec![of("first"), of("second")]);
    assert_eq!(who(&session("in").of(&subject.callers).await), named("second", "alice"));
}

#[tokio::test]
async fn an_answer_is_kept_as_long_as_it_may_be() {
    let server = FakeServer::start(|_| Reply::Hang).await;
    for (name, headers, status, kept) in [
        ("nothing said", "", "200 OK", 10),
        ("max-age that is shorter", "cache-control: private, max-age=3\r\n", "200 OK", 3),
        ("max-age that is longer", "cache-control: max-age=3600\r\n", "200 OK", 10),
        ("max-age of none", "cache-control: max-age=0\r\n", "200 OK", 0),
        ("no-store", "cache-control: no-store\r\n", "200 OK", 0),
        ("no-cache and max-age", "Cache-Control: Max-Age=5\r\ncache-control: No-Cache\r\n", "200 OK", 0),
        ("not signed in", "cache-control: max-age=60\r\n", "401 Unauthorized", 1),
        ("forbidden", "", "403 Forbidden", 1),
        ("a failure", "cache-control: max-age=60\r\n", "500 Internal Server Error", 0),
    ] {
        server.answer(move |_| reply(status, headers, ALICE));
        let subject = app(&server, |_| {});
        let before = server.requests().len();
        let asked = async |seconds: u64| {
            let _ = session("in").at(NOW + seconds).of(&subject.callers).await; // only how often it is asked counts
            server.requests().len() - before
        };
        // The end is later by the time that the answer took, so not exactly on the second.
        let expected = if kept == 0 { 2 } else { 1 };
        assert_eq!((asked(0).await, asked(kept.max(1) - 1).await), (1, expected), "{name}");
        assert_eq!(asked(kept + 2).await, expected + 1, "{name}");
        assert_eq!(*subject.reports.reused.lock().unwrap(), usize::from(kept > 0), "{name}");
    }
}

#[tokio::test]
async fn answers_are_kept_apart_by_all_that_was_asked() {
    let server = FakeServer::start(|head| {
        let id = head.split("sid=").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or("nobody");
        reply("200 OK", "", &json!({"sub": id}).to_string())
    })
    .await;
    let subject = app(&server, |forward| forward.authorization = true);
    let different = [
        session("a"),
        session("b"),
        session("a").header("authorization", "Bearer x"),
        session("a").header("authorization", "Bearer y"),
        Asks::bearer("x"),
        Asks::new().header("cookie", "remember=a"),
        Asks::new().header("cookie", "sid=a; remember=a"),
        Asks::new().header("cookie", "remember=a; sid=a"),
    ];
    for (index, asks) in different.iter().enumerate() {
        for _ in 0..2 {
            let _ = asks.of(&subject.callers).await; // only how often it is asked counts
            assert_eq!(server.requests().len(), index + 1, "{asks:?}");
        }
    }
    assert_eq!(who(&session("b").of(&subject.callers).await), named("app", "b"));
}

#[tokio::test]
async fn one_question_at_a_time_for_the_same_session_even_if_the_first_who_asked_is_gone() {
    let (open, gate) = watch::channel(false);
    let answer = raw("200 OK", "cache-control: no-store\r\n", ALICE);
    let server = FakeServer::start(move |_| Reply::After(gate.clone(), answer.clone())).await;
    let subject = app(&server, |_| {});
    let asks = session("in");
    {
        let first = asks.of(&subject.callers);
        tokio::select! { biased; _ = first => panic!("it has no answer yet"), () = server.has_requests(1) => {} }
    }
    let ((second, third), ()) =
        tokio::join!(async { tokio::join!(asks.of(&subject.callers), asks.of(&subject.callers)) }, async {
            tokio::task::yield_now().await;
            open.send_replace(true);
        });
    assert_eq!([who(&second), who(&third)], [named("app", "alice"), named("app", "alice")]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn one_question_at_a_time_for_the_same_session_also_about_different_rooms() {
    let (open, gate) = watch::channel(false);
    let answer = raw("200 OK", "", ALICE);
    let server = FakeServer::start(move |_| Reply::After(gate.clone(), answer.clone())).await;
    let subject = app(&server, |forward| (forward.ask_room, forward.timeout) = (true, Duration::from_secs(10)));
    let rooms: Vec<_> = (0..10).map(|room| session("in").room(&room.to_string())).collect();
    let all = futures_util::future::join_all(rooms.iter().map(|asks| asks.of(&subject.callers)));
    let other = session("other").room("0");
    let other = async {
        server.has_requests(1).await;
        let asked = async {
            server.has_requests(2).await;
            tokio::time::sleep(Duration::from_millis(50)).await; // a third would have come by now
            open.send_replace(true);
            server.requests().len()
        };
        tokio::join!(other.of(&subject.callers), asked)
    };
    let (answers, (other, in_flight)) = tokio::join!(all, other);
    assert_eq!((who(&other), in_flight), (named("app", "alice"), 2));
    assert!(answers.iter().all(|answer| who(answer) == named("app", "alice")));
    assert_eq!(server.requests().len(), 11);
}

#[tokio::test]
async fn a_question_about_another_room_waits_only_as_long_as_the_application_may_take() {
    let server = FakeServer::start(|_| Reply::Hang).await;
    let subject = app(&server, |forward| (forward.ask_room, forward.timeout) = (true, Duration::from_millis(100)));
    let rooms: Vec<_> = (0..100).map(|room| session("in").room(&room.to_string())).collect();
    let answers = futures_util::future::join_all(rooms.iter().map(|asks| asks.of(&subject.callers))).await;
    assert!(answers.iter().all(is_unknown));
    assert!(server.requests().len() < 10, "most could not wait for those before them");
    let questions = subject.reports.questions.lock().unwrap();
    assert_eq!(questions.len(), 100);
    assert!(questions.iter().filter(|outcome| **outcome == Busy).count() > 35, "at most 64 wait");
}

#[tokio::test]
async fn at_most_64_questions_are_in_flight() {
    let (open, gate) = watch::channel(false);
    let answer = raw("200 OK", "", ALICE);
    let server = FakeServer::start(move |_| Reply::After(gate.clone(), answer.clone())).await;
    let subject = app(&server, |_| {});
    let sessions: Vec<_> = (0..64).map(|id| session(&id.to_string())).collect();
    let all = futures_util::future::join_all(sessions.iter().map(|asks| asks.of(&subject.callers)));
    let one_more = async {
        server.has_requests(64).await;
        let refused = session("one more").of(&subject.callers).await;
        open.send_replace(true);
        refused
    };
    let (answers, refused) = tokio::join!(all, one_more);
    assert!(is_unknown(&refused) && answers.iter().all(Result::is_ok), "{refused:?}");
    assert!(session("one more").of(&subject.callers).await.is_ok(), "there is room again");
    let questions = subject.reports.questions.lock().unwrap();
    assert_eq!(questions.iter().filter(|outcome| **outcome == Busy).count(), 1);
}

#[tokio::test]
async fn after_five_failures_the_application_is_asked_once_a_second_until_it_answers() {
    let server = FakeServer::start(|_| reply("500 Internal Server Error", "", "")).await;
    let subject = app(&server, |_| {});
    let asked = async |id: u64, seconds: u64| {
        let answer = session(&id.to_string()).at(NOW + seconds).of(&subject.callers).await;
        (answer.is_ok(), server.requests().len())
    };
    for id in 1..=5 {
        assert_eq!(asked(id, 0).await, (false, id.try_into().unwrap()));
    }
    // Another session makes no difference.
    for (id, seconds, requests) in [(6, 0, 6), (7, 0, 6), (8, 0, 6), (9, 1, 7), (10, 1, 7)] {
        assert_eq!(asked(id, seconds).await, (false, requests), "{id}");
    }
    server.answer(|_| reply("200 OK", "", ALICE));
    assert_eq!(asked(11, 1).await, (false, 7));
    assert_eq!(asked(12, 2).await, (true, 8));
    assert_eq!(asked(13, 2).await, (true, 9));
    let questions = subject.reports.questions.lock().unwrap();
    assert_eq!(questions.iter().filter(|outcome| **outcome == Suspended).count(), 4);
}
