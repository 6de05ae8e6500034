//! Measures how long a policy of 100 rules takes to decide, when only the last one matches.
//!
//!     cargo bench --bench policy
//!
//! criterion measures each policy by itself. The table after that has the fastest turns, to which other work on the machine adds least.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for the terminal")]

mod rounds;

use std::hint::black_box;

use criterion::Criterion;
use roomkey::RoomName;
use roomkey::policy::{Policy, PolicyRules, TokenRequest};
use rounds::{Work, work};
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
    let mut criterion = Criterion::default().configure_from_args();
    for (name, mut work) in works() {
        criterion.bench_function(name, |bencher| bencher.iter_custom(&mut work));
    }
    criterion.final_summary();
    if std::env::args().any(|argument| argument == "--bench") {
        let works = works();
        let names = works.each_ref().map(|(name, _)| *name);
        println!("\n{}, the fastest turns:\n\n| {RULES} rules that match | µs |\n|---|--:|", rounds::machine());
        for (name, time) in names.into_iter().zip(rounds::compare(works.map(|(_, work)| work))) {
            println!("| {name} | {:.1} |", time / 1_000.0);
        }
    }
}

fn works() -> [(&'static str, Work); 5] {
    let claims = json!({
        "iss": "https://id.school.example", "aud": "classroom", "sub": "7", "exp": 1_900_000_000, "name": "Alice",
        "role": "role-100", "course": "maths", "groups": ["group-a", "group-b", "group-100"],
    });
    [
        ("a claim", "claims = { role = 'role-N' }\nroom = '{claims.course}-*'"),
        ("an element of a list", "claims = { groups = { has = 'group-N' } }\nroom = '*'"),
        ("a room", "room = 'maths-N-a'"),
        ("a room by a claim, a star and an end", "room = '{claims.course}*-N-a'"),
        ("a room by a claim, a middle and a star", "room = '{claims.course}-N-*'"),
    ]
    .map(|(name, matched)| {
        let rules = PolicyRules::parse(&policy(matched)).unwrap();
        let caller = rules.caller("school", claims.as_object().unwrap().clone()).unwrap();
        let request = TokenRequest { room: Some(RoomName::new("maths-100-a").unwrap()), ..TokenRequest::default() };
        (name, work(move || rules.token(black_box(&caller), black_box(&request), &Policy::default()).unwrap()))
    })
}

/// The rules, each with what it matches: `N` is its number.
fn policy(matched: &str) -> String {
    let rule = |number: usize| {
        let matched = matched.replace('N', &number.to_string());
        format!("[[rule]]\nname = \"rule-{number}\"\ncaller = \"school\"\n{GIVEN}{matched}\n")
    };
    CALLER.to_owned() + &(1..=RULES).map(rule).collect::<String>()
}
