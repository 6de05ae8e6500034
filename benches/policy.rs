//! Measures how long a policy of 100 rules takes to decide, when only the last one matches.
//!
//!     cargo bench --bench policy
#![expect(clippy::unwrap_used, reason = "a program for the terminal")]

use std::hint::black_box;

use criterion::Criterion;
use roomkey::RoomName;
use roomkey::policy::{Policy, PolicyRules, TokenRequest};
use serde_json::json;

const RULES: usize = 100;
const CALLER: &str = r#"
[callers.school]
kind = "oidc"
issuer = "https://id.school.example"
audience = "classroom"
"#;
/// What each rule gives.
const GIVEN: &str = r#"identity = "{subject}"
display = "{claims.name}"
allow = ["publish", "subscribe"]
"#;

fn main() {
    let claims = json!({
        "iss": "https://id.school.example", "aud": "classroom", "sub": "7", "exp": 1_900_000_000, "name": "Alice",
        "role": "role-100", "course": "maths", "groups": ["group-a", "group-b", "group-100"],
    });
    let (room, bounds) = (RoomName::new("maths-100-a").unwrap(), Policy::default());
    let request = TokenRequest { room: Some(room), ..TokenRequest::default() };
    let mut criterion = Criterion::default().configure_from_args();
    for (name, matched) in [
        ("a claim", "claims = { role = 'role-N' }\nroom = '{claims.course}-*'"),
        ("an element of a list", "claims = { groups = { has = 'group-N' } }\nroom = '*'"),
        ("a room", "room = 'maths-N-a'"),
        ("a room by a claim, a star and an end", "room = '{claims.course}*-N-a'"),
        ("a room by a claim, a middle and a star", "room = '{claims.course}-N-*'"),
    ] {
        let rules = PolicyRules::parse(&policy(matched)).unwrap();
        let caller = rules.caller("school", claims.as_object().unwrap().clone()).unwrap();
        criterion.bench_function(&format!("{RULES} rules that match {name}"), |bencher| {
            bencher.iter(|| rules.token(black_box(&caller), black_box(&request), &bounds).unwrap());
        });
    }
    criterion.final_summary();
}

/// The rules, each with what it matches: `N` is its number.
fn policy(matched: &str) -> String {
    let rule = |number: usize| {
        let matched = matched.replace('N', &number.to_string());
        format!("[[rule]]\nname = \"rule-{number}\"\ncaller = \"school\"\n{GIVEN}{matched}\n")
    };
    CALLER.to_owned() + &(1..=RULES).map(rule).collect::<String>()
}
