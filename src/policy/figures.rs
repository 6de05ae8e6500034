//! How long a decision takes. Prints figures, and asserts none.
//!
//!     cargo test --release --lib figures -- --ignored --nocapture
#![allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;

use criterion::Criterion;
use serde_json::json;

use crate::caller::Caller;
use crate::policy::Policy;
use crate::policy::asked::Asked;
use crate::policy::file::PolicyFile;

const RULES: usize = 100;

/// A caller, and rules of which only the last one matches. `rule` gives what the rule with this number matches.
fn policy(rule: impl Fn(usize) -> String) -> PolicyFile {
    let mut text =
        "[callers.school]\nkind = \"oidc\"\nissuer = \"https://id.school.example\"\naudience = \"classroom\"\n".to_owned();
    for number in 1..=RULES {
        let given = "identity = \"{subject}\"\ndisplay = \"{claims.name}\"\nallow = [\"publish\", \"subscribe\"]";
        writeln!(text, "[[rule]]\nname = \"rule-{number}\"\ncaller = \"school\"\n{given}\n{}", rule(number)).unwrap();
    }
    PolicyFile::parse(&text, Path::new("")).unwrap()
}

#[test]
#[ignore = "prints figures, which count in a release build only"]
fn decisions_over_100_rules() {
    let claims = json!({
        "iss": "https://id.school.example", "aud": "classroom", "sub": "7", "exp": 1_900_000_000, "name": "Alice",
        "role": "role-100", "course": "maths", "groups": ["group-a", "group-b", "group-100"],
    });
    let caller =
        Caller { name: "school".into(), subject: Some("7".to_owned()), claims: claims.as_object().unwrap().clone(), ends: None };
    let asked = Asked { room: Some("maths-100-a".into()), ..Asked::default() };
    let mut criterion = Criterion::default();
    for (name, policy) in [
        ("a decision over 100 rules that match a claim", {
            policy(|number| format!("claims = {{ role = \"role-{number}\" }}\nroom = \"{{claims.course}}-*\""))
        }),
        ("a decision over 100 rules that match a list", {
            policy(|number| format!("claims = {{ groups = {{ has = \"group-{number}\" }} }}\nroom = \"*\""))
        }),
        ("a decision over 100 rules that match a room", policy(|number| format!("room = \"maths-{number}-a\""))),
        ("a decision over 100 rules that match a room with a claim and a star", {
            policy(|number| format!("room = \"{{claims.course}}*-{number}-a\""))
        }),
        ("a decision over 100 rules that match a room only in its middle", {
            policy(|number| format!("room = \"{{claims.course}}-{number}-*\""))
        }),
    ] {
        criterion.bench_function(name, |bencher| {
            let random = &mut || Ok(String::new());
            bencher.iter(|| policy.rules.decide(black_box(&caller), black_box(&asked), &Policy::default(), random).unwrap());
        });
    }
}
