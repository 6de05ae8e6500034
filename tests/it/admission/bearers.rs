//! Tests of `roomkey policy test --bearer -`: a credential is verified as the server would.

use serde_json::{Value, json};

use super::support::{Application, BACKEND_TOKEN, POLICY, SCHOOL_SECRET, bare, school_jwt, signed_in};
use crate::harness::ended::Ended;
use crate::harness::program::Start;

/// Runs the command with `bearer` on stdin.
fn policy_test(policy: &str, bearer: &str, flags: &[&str]) -> (i32, Value) {
    let start = Start::command(["policy", "test", "policy.toml", "--bearer", "-", "--json"]).flags(flags);
    let start = start.file("policy.toml", policy).env("SCHOOL_SECRET", SCHOOL_SECRET).env("BACKEND_TOKEN", BACKEND_TOKEN);
    let Ended { status, stdout, stderr } = start.stdin(format!("{bearer}\n")).run();
    (status, serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}")))
}

#[test]
fn a_credential_that_holds() {
    let (status, answer) = policy_test(POLICY, &school_jwt(json!({})), &["--room", "course-1"]);
    assert_eq!((status, &answer["allowed"], &answer["rule"]), (0, &json!(true), &json!("pupil")), "{answer}");
    assert_eq!(answer["caller"], json!({"name": "school", "subject": "7"}));
    assert_eq!(answer["claims"]["sub"], "pupil-7");
    let (status, answer) = policy_test(POLICY, BACKEND_TOKEN, &["--room", "any", "--identity", "bot"]);
    assert_eq!((status, &answer["caller"]), (0, &json!({"name": "backend", "subject": null})));
}

#[test]
fn one_that_does_not_hold_is_denied_for_its_reason() {
    for (bearer, reason) in [(school_jwt(json!({"exp": 1})), "expired"), ("nonsense".to_owned(), "no caller")] {
        let (status, answer) = policy_test(POLICY, &bearer, &["--room", "course-1"]);
        assert_eq!((status, &answer["status"]), (1, &json!(401)), "{answer}");
        assert!(answer["why"].as_str().unwrap().contains(reason), "{answer}");
    }
    let (status, answer) = policy_test(POLICY, &school_jwt(json!({"role": "teacher"})), &["--room", "course-1"]);
    assert_eq!((status, &answer["status"]), (1, &json!(403)));
    assert!(answer["passed"][0]["why"].as_str().unwrap().contains("claims.role is \"teacher\""), "{answer}");
}

#[test]
fn the_application_is_asked() {
    let application = Application::start(|question| {
        if question.contains("Bearer good") { signed_in(&json!({"id": 1})) } else { bare("401 Unauthorized") }
    });
    let policy = application.caller("authorization = true");
    let (status, answer) = policy_test(&policy, "good", &[]);
    assert_eq!((status, &answer["claims"]["sub"]), (0, &json!("customer-1")), "{answer}");
    let (status, answer) = policy_test(&policy, "bad", &[]);
    assert_eq!((status, &answer["status"]), (1, &json!(401)));
}
