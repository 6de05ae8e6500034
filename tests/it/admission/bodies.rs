//! Tests of when the body is read: after the credential, and before the application is asked about the room.

use serde_json::json;

use super::support::{Application, BODY, POLICY, bare, claims, signed_in, with_policy};
use crate::harness::client::{post, post_head};
use crate::harness::program::Program;

const COOKIE: (&str, &str) = ("Cookie", "theme=dark; sessionid=s1; other=x");

#[test]
fn a_request_without_a_credential_is_answered_without_its_body() {
    let program = with_policy(POLICY).serve();
    let mut client = program.connect();
    client.send(post_head("/token", &[], 1000));
    assert_eq!(client.answer().status, 401);
}

#[test]
fn an_application_is_asked_without_the_body() {
    let application = Application::start(|_| bare("401 Unauthorized"));
    let program = with_policy(&application.caller("")).serve();
    let mut client = program.connect();
    client.send(post_head("/token", &[COOKIE], 1000));
    assert_eq!(client.answer().status, 401);
    let questions = application.questions();
    assert_eq!(questions.len(), 1);
    let question = &questions[0];
    assert!(question.starts_with("GET /api/me HTTP/1.1\r\n"), "{question}");
    let question = question.to_lowercase();
    assert!(question.contains("\r\ncookie: sessionid=s1\r\n"), "only the named cookie: {question}");
    for header in ["x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http", "accept: application/json", "x-request-id: "] {
        assert!(question.contains(&format!("\r\n{header}")), "{header}: {question}");
    }
}

fn asks_room(application: &Application) -> Program {
    with_policy(&application.caller("ask_room = true")).serve()
}

#[test]
fn an_application_that_is_told_the_room() {
    let application = Application::start(|question| {
        if question.contains("?room=support-1%20%26%C3%A9") { signed_in(&json!({"id": "1 &é"})) } else { bare("403 Forbidden") }
    });
    let program = asks_room(&application);
    let body = json!({"roomName": "support-1 &é", "participantName": "a"}).to_string();
    assert_eq!(claims(&program.ask(post("/token", &[COOKIE], body)))["sub"], "customer-1 &é");
    let answer = program.ask(post("/token", &[COOKIE], BODY));
    answer.assert_error(403, "you may not join this room");
    // Without a credential, the body is not waited for.
    let mut client = program.connect();
    client.send(post_head("/token", &[], 1000));
    assert_eq!(client.answer().status, 401);
    assert_eq!(application.questions().len(), 2);
}

#[test]
fn what_is_wrong_with_the_body_comes_after_what_is_wrong_with_the_caller() {
    let application = Application::start(|question| {
        if question.contains("sessionid=good") { signed_in(&json!({"id": 1})) } else { bare("401 Unauthorized") }
    });
    let program = asks_room(&application);
    for body in ["no json", "{", r#"{"roomName":1}"#] {
        assert_eq!(program.ask(post("/token", &[COOKIE], body)).status, 401, "{body}");
        assert_eq!(program.ask(post("/token", &[("Cookie", "sessionid=good")], body)).status, 400, "{body}");
    }
    let large = post_head("/token", &[COOKIE], 1 << 30);
    assert_eq!(program.ask(large).status, 401);
    let large = post_head("/token", &[("Cookie", "sessionid=good")], 1 << 30);
    assert_eq!(program.ask(large).status, 413);
}

#[test]
fn bad_requests_do_not_suspend_the_application_for_others() {
    let application = Application::start(|question| {
        if question.contains("sessionid=good") { signed_in(&json!({"id": 1})) } else { bare("400 Bad Request") }
    });
    let program = asks_room(&application);
    for number in 0..20 {
        let cookie = format!("sessionid=bad{number}");
        assert_eq!(program.ask(post("/token", &[("Cookie", &cookie)], BODY)).status, 503);
    }
    // No room is that long, so the application is not asked about it.
    let long = json!({"roomName": "x".repeat(60_000), "participantName": "a"}).to_string();
    for _ in 0..6 {
        let answer = program.ask(post("/token", &[("Cookie", "sessionid=good")], &long));
        answer.assert_error(403, "you may not join this room");
    }
    let good = r#"{"roomName":"support-1","participantName":"a"}"#;
    assert_eq!(program.ask(post("/token", &[("Cookie", "sessionid=good")], good)).status, 200);
    assert!(application.questions().iter().all(|question| question.len() < 1000));
}

#[test]
fn a_refusal_counts_whatever_its_body_is() {
    for (status, expected) in [("401 Unauthorized", 401), ("302 Found", 401), ("403 Forbidden", 403)] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 70000\r\n\r\n{}", "x".repeat(70_000));
        let application = Application::start(move |_| answer.clone());
        let program = with_policy(&application.caller("")).serve();
        assert_eq!(program.ask(post("/token", &[COOKIE], BODY)).status, expected, "{status}");
    }
}
