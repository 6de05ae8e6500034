//! Tests of the rules' rates: tokens for each caller, and for anonymous each client address.

use serde_json::json;

use super::support::{BACKEND_TOKEN, BODY, OPEN_HALL, POLICY, ask, claims, school_jwt, with_policy};
use crate::harness::client::{Answer, post};
use crate::harness::program::Program;

fn limited(rate: &str) -> String {
    let policy = format!("{POLICY}{OPEN_HALL}").replace("allow =", &format!("limit = \"{rate}\"\nallow ="));
    assert_eq!(policy.matches("limit").count(), 3);
    policy
}

/// Asks as a visitor from this address.
fn visit(program: &Program, client: &str) -> Answer {
    program.ask(post("/token", &[("X-Forwarded-For", client)], r#"{"roomName":"hall"}"#))
}

#[test]
fn one_caller_after_too_many() {
    let program = with_policy(&limited("2/h")).serve();
    let jwt = |subject: &str| school_jwt(json!({ "sub": subject }));
    for _ in 0..2 {
        claims(&ask(&program, &jwt("7"), BODY));
        claims(&ask(&program, BACKEND_TOKEN, BODY));
    }
    for bearer in [&*jwt("7"), BACKEND_TOKEN] {
        let refused = ask(&program, bearer, BODY);
        refused.assert_error(429, "too many tokens in a short time, try again later");
        let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1790..=1800).contains(&seconds), "{seconds}");
    }
    claims(&ask(&program, &jwt("8"), BODY));
    // What a rule denies does not count.
    for _ in 0..3 {
        assert_eq!(ask(&program, &school_jwt(json!({"sub": "9", "course": 2})), BODY).status, 403);
    }
    claims(&ask(&program, &jwt("9"), BODY));
}

#[test]
fn visitors_are_counted_by_address() {
    let program = with_policy(&limited("1/h")).env("TRUSTED_PROXIES", "127.0.0.1").serve();
    for (client, status) in [
        ("198.51.100.1", 200),
        ("198.51.100.1", 429),
        ("198.51.100.2", 200),
        ("2001:db8:1:2::1", 200),
        ("2001:db8:1:2::2", 429),
        ("2001:db8:1:3::1", 200),
        ("203.0.113.9, 198.51.100.1", 429),
    ] {
        assert_eq!(visit(&program, client).status, status, "{client}");
    }
    let program = with_policy(&limited("1/h")).serve();
    assert_eq!(visit(&program, "198.51.100.1").status, 200);
    assert_eq!(visit(&program, "198.51.100.2").status, 429, "no proxy is trusted");
}
