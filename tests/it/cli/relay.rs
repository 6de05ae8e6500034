//! Tests of `relay` against a server by script: what each command asks, and what it prints.

use serde_json::json;

use super::send_retry::{Request, Scripted};
use super::{assert_says, present};
use crate::fixtures::{SERVER_KEY, payload};
use crate::harness::program::Start;

const FIRST: &str = "1a20140363300000";
const SECOND: &str = "1a20140363300001";

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn relay(server: &Scripted, arguments: &[&str]) -> Start {
    Start::command_with_keys([&["relay"], arguments, &["--url", &server.url()]].concat())
}

/// The line and the body of a request, after a look at its token.
fn asked(request: &Request, grant: &str) -> (String, String) {
    let claims = payload(request.authorization().strip_prefix("Bearer ").unwrap());
    assert_eq!((&claims["iss"], &claims["video"]), (&json!(SERVER_KEY.0), &json!({grant: true})));
    assert!((present() + 1..=present() + 60).contains(&claims["exp"].as_u64().unwrap()));
    let line = request.head.split(" HTTP/1.1\r\n").next().unwrap().to_owned();
    (line, String::from_utf8(request.body.clone()).unwrap())
}

#[test]
fn each_command_that_steers_sends_one_request() {
    let time = "2026-11-22T03:15:15+01:00";
    for (arguments, verb, body, said) in [
        (&["retry", "app", FIRST, SECOND][..], "retry", json!({"cursors": [FIRST, SECOND]}), "app tries these events again\n"),
        (&["retry", "app", "--state", "dead"], "retry", json!({"state": "dead"}), "app tries these events again\n"),
        (&["replay", "app", "--since", time], "replay", json!({"since": time}), "app gets these events again\n"),
        (
            &["replay", "app", "--after", FIRST, "--until", SECOND],
            "replay",
            json!({"after": FIRST, "until": SECOND}),
            "app gets these events again\n",
        ),
        (&["skip", "app", FIRST], "skip", json!({"cursors": [FIRST]}), "app does not get these events any more\n"),
        (&["pause", "app"], "pause", json!(null), "app is paused\n"),
        (&["resume", "app", "--json"], "resume", json!(null), "{}\n"),
    ] {
        let server = Scripted::answering(&[&answer("200 OK", "{}")]);
        assert_eq!(relay(&server, arguments).run().done(), said, "{arguments:?}");
        let (line, sent) = asked(&server.requests()[0], "roomCreate");
        assert_eq!(line, format!("POST /webhook/relay/app/{verb}"));
        assert_eq!(serde_json::from_str(&sent).unwrap_or(json!(null)), body, "{arguments:?}");
    }
}

#[test]
fn status_shows_all_targets_or_one() {
    let target = |name: &str| {
        format!(
            r#"{{"name":"{name}","cursor":"{FIRST}","paused":false,"lag":{{"entries":0,"seconds":0}},"circuit":"closed","owed":{{"held":0,"aside":0,"dead":1}},"lastError":null}}"#
        )
    };
    let body = format!("{{\"targets\":[{},\n{}]}}", target("app"), target("other"));
    let line = |name: &str| format!("{name} up lag=0 held=0 aside=0 dead=1 cursor={FIRST}\n");
    for (arguments, printed) in [
        (&["status"][..], line("app") + &line("other")),
        (&["status", "other"], line("other")),
        (&["status", "--json"], target("app") + "\n" + &target("other") + "\n"),
    ] {
        let server = Scripted::answering(&[&answer("200 OK", &body)]);
        assert_eq!(relay(&server, arguments).run().done(), printed, "{arguments:?}");
        assert_eq!(asked(&server.requests()[0], "roomList"), ("GET /webhook/relay".to_owned(), String::new()));
    }
    let server = Scripted::answering(&[&answer("200 OK", &body)]);
    assert_says(&relay(&server, &["status", "third"]).run().refused(), &["no target third"]);
}

#[test]
fn owed_events_are_read_page_by_page() {
    let event = |cursor: &str| {
        format!(
            r#"{{"cursor":"{cursor}","lane":"daily","state":"dead","attempts":3,"first":null,"next":null,"status":500,"error":"no"}}"#
        )
    };
    let page = |events: &str, next: &str| answer("200 OK", &format!(r#"{{"owed":[{events}],"next":"{next}"}}"#));
    let pages = [page(&event(FIRST), FIRST), page(&event(SECOND), SECOND), page("", SECOND)];
    let server = Scripted::answering(&pages.each_ref().map(String::as_str));
    let line = |cursor: &str| format!("{cursor} dead room=\"daily\" attempts=3 status=500 error=\"no\"\n");
    assert_eq!(relay(&server, &["owed", "app", "--state", "dead"]).run().done(), line(FIRST) + &line(SECOND));
    let path = "GET /webhook/relay/app/owed?limit=1000&state=dead";
    let lines: Vec<_> = server.requests().iter().map(|request| asked(request, "roomList").0).collect();
    assert_eq!(lines, [path.to_owned(), format!("{path}&after={FIRST}"), format!("{path}&after={SECOND}")]);

    let server = Scripted::answering(&[&page(&event(FIRST), FIRST), &page(&event(FIRST), FIRST)]);
    let ended = relay(&server, &["owed", "app"]).run();
    assert_eq!((ended.status, ended.stdout.lines().count()), (1, 2), "the same page is not read forever: {ended:?}");
}

#[test]
fn a_refusal_is_one_sentence() {
    for (given, parts) in [
        (answer("404 Not Found", r#"{"errorMessage":"the relay has no target of this name"}"#), &["404", "no target"][..]),
        (answer("401 Unauthorized", "{}"), &["401", "APIrecorded", "one of its keys"]),
        (answer("503 Service Unavailable", r#"{"errorMessage":"not\u001b done"}"#), &["503", r"not\u{1b} done"]),
        (answer("200 OK", "<html>"), &["another server"]),
        (String::new(), &["no answer"]),
    ] {
        for arguments in [&["status"][..], &["owed", "app"], &["pause", "app", "--json"]] {
            let server = Scripted::answering(&[&given]);
            let sentence = relay(&server, arguments).run().refused();
            let parts = parts.iter().map(|part| if *part == "APIrecorded" { SERVER_KEY.0 } else { part });
            assert_says(&sentence, &parts.collect::<Vec<_>>());
            drop(server.requests());
        }
    }
}
