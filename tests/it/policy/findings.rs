//! The tables of mistakes and warnings: each case is a file, and what `policy check` says about it, to the letter.

use std::fs;

use crate::fixtures;
use crate::harness::cases::{Case, cases};
use crate::harness::ended::Ended;
use crate::harness::program::Start;

fn check(file: &str, flags: &[&str]) -> Ended {
    let start = Start::command([&["policy", "check", "policy.toml"], flags].concat()).file("policy.toml", file);
    // What the cases name is there.
    let start = ["A", "B"].into_iter().fold(start, |start, name| start.env(name, "a-secret-of-at-least-32-bytes-0123"));
    start.file("a.pem", key()).env("TRUSTED_PROXIES", "127.0.0.1").run()
}

/// A public key.
fn key() -> Vec<u8> {
    fs::read(fixtures::path("fixtures/callers/p256-public.pem")).unwrap()
}

#[test]
fn what_the_file_names_is_read_too() {
    const POLICY: &str = r#"
[callers.a]
kind = "jwt"
issuer = "https://a"
audience = "a"
KEY

[[rule]]
name = "a"
caller = "a"
room = "a"
identity = "{subject}"
"#;
    let check = |key: &str| {
        let start = Start::command(["policy", "check", "policy.toml"]).file("policy.toml", POLICY.replace("KEY", key));
        let start = start.file("short", "short").file("a.pem", self::key()).env("LONG", "x".repeat(32)).env("SHORT", "short");
        start.env("LIVEKIT_API_KEY", "k").env("LIVEKIT_API_SECRET", "the-secret-of-livekit-0123456789abcdef").run()
    };
    for key in ["secret_env = \"LONG\"", "public_key_file = \"a.pem\""] {
        assert_eq!(check(key).status, 0, "{key}");
    }
    let unset = check("secret_env = \"UNSET\"");
    assert_eq!((unset.status, unset.stdout.contains("2:10: note: ")), (0, true), "{unset:?}");
    let token = |value: &str| {
        let policy = "[callers.a]\nkind = \"api-token\"\ntoken_env = \"TOKEN\"\n[[rule]]\nname = \"a\"\ncaller = \"a\"\nroom = \"a\"\nidentity = \"a\"";
        Start::command(["policy", "check", "policy.toml"]).file("policy.toml", policy).env("TOKEN", value).run()
    };
    for (value, status) in [("an-opaque-token", 0), ("an opaque token", 1), ("tokën", 1)] {
        assert_eq!(token(value).status, status, "{value}");
    }
    for key in ["secret_env = \"SHORT\"", "secret_file = \"short\"", "secret_file = \"missing\"", "public_key_file = \"short\""] {
        let wrong = check(key);
        assert_eq!((wrong.status, wrong.stdout.contains("2:10: mistake: ")), (1, true), "{key}: {wrong:?}");
    }
}

/// Checks each case with `flags`, and returns those whose status and findings are not the expected ones.
fn wrong(cases: &[Case], flags: &[&str], status: impl Fn(&Case) -> i32) -> Vec<String> {
    let mut wrong = Vec::new();
    for case in cases {
        let ended = check(&case.file, flags);
        let found = case.found(&ended, "policy.toml");
        if found != case.expected || ended.status != status(case) || !ended.stderr.is_empty() {
            wrong.push(format!("=== {}: {}\n{}\n{}", case.name, ended.status, found.join("\n"), ended.stderr));
        }
    }
    wrong
}

#[test]
fn every_mistake_is_found_with_its_place() {
    let cases = cases("policy/mistakes.txt");
    assert!(cases.iter().map(|case| case.expected.len()).sum::<usize>() >= 40, "a mistake got lost");
    let wrong = wrong(&cases, &[], |_| 1);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_warning_is_given_and_only_strict_refuses() {
    let cases = cases("policy/warnings.txt");
    let has_warning = |case: &Case| case.expected.iter().any(|line| line.contains(" warning: "));
    let wrong = [wrong(&cases, &[], |_| 0), wrong(&cases, &["--strict"], |case| has_warning(case).into())].concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_warnings_contain_the_word() {
    for name in ["classroom", "webinar"] {
        let path = fixtures::path("fixtures/policy").join(format!("{name}.toml"));
        let stdout = Start::command(["policy", "check", "--strict", path.to_str().unwrap()]).run().done();
        assert!(!stdout.contains("warning"), "{stdout}");
    }
    for case in cases("policy/mistakes.txt") {
        assert!(!check(&case.file, &[]).stdout.contains("warning"), "{}", case.name);
    }
}
