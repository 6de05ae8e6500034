//! Tests of the file of targets: its mistakes, the secrets that it names, and its changes while the server runs.

use std::fs;

use rustix::process::Signal;

use crate::harness::cases::{Case, cases};
use crate::harness::ended::Ended;
use crate::harness::program::Start;

const SECRET: &str = "a-relay-secret-of-at-least-32-bytes";
const TARGET: &str = r#"
[[target]]
name = "app"
url = "http://127.0.0.1:9/livekit"
key = "APIrelayApp"
secret_file = "relay.secret"
"#;

/// What is wrong with each case of `table`, whose status is `status`.
fn wrong(table: &str, status: i32) -> Vec<String> {
    let is_wrong = |case: &Case| {
        let ended = Start::command(["relay", "check", "relay.toml"]).file("relay.toml", &case.file).run();
        let found = case.found(&ended, "relay.toml");
        let is_right = found == case.expected && ended.status == status && ended.stderr.is_empty();
        (!is_right).then(|| format!("=== {}: {}\n{}\n{}", case.name, ended.status, found.join("\n"), ended.stderr))
    };
    cases(table).iter().filter_map(is_wrong).collect()
}

#[test]
fn every_mistake_is_found_with_its_place() {
    assert!(cases("relay/mistakes.txt").iter().map(|case| case.expected.len()).sum::<usize>() >= 35, "a mistake got lost");
    assert_eq!(wrong("relay/mistakes.txt", 1).join("\n"), "");
}

#[test]
fn every_warning_is_given() {
    assert_eq!(wrong("relay/warnings.txt", 0).join("\n"), "");
}

#[test]
fn no_secret_in_the_file_is_shown() {
    for case in cases("relay/mistakes.txt").iter().filter(|case| case.file.contains("hush")) {
        let ended = Start::command(["relay", "check", "relay.toml"]).file("relay.toml", &case.file).run();
        assert!(!ended.stdout.contains("hush"), "{}: {ended:?}", case.name);
    }
}

/// Checks `TARGET` with `lines`, with its secrets.
fn check_secrets(lines: &str, secret: &[u8]) -> Ended {
    let start = Start::command(["relay", "check", "relay.toml", "--secrets"]).file("relay.toml", TARGET.to_owned() + lines);
    let start =
        start.env("LIVEKIT_KEYS", "APIone: the-secret-of-livekit-0123456789\nAPIrelay: another-secret-of-livekit-0123456789");
    let start = start.env("WHSEC", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").env("SHORT", "whsec_MfKQ9r8GKYqrTwjU");
    start.file("relay.secret", secret).file("not.pem", "x").run()
}

#[test]
fn secrets_are_read_only_if_that_is_asked_for() {
    let start = Start::command(["relay", "check", "relay.toml"]).file("relay.toml", TARGET);
    assert_eq!(start.run().done(), "relay.toml: 1 target, no mistakes\n");
    let ended = check_secrets("standard_webhooks_secret_env = \"WHSEC\"", format!("\"{SECRET}\"\n").as_bytes());
    assert_eq!(ended.done(), "relay.toml: 1 target, no mistakes\n");
}

#[test]
fn secrets_that_cannot_be_used() {
    for (lines, secret, expected) in [
        ("", "x".repeat(31), "the secret is shorter than 32 bytes"),
        ("", "secret".to_owned(), "the secret is shorter than 32 bytes"),
        ("", "the-secret-of-livekit-0123456789\n".to_owned(), "its secret is that of LiveKit's key \"APIone\""),
        ("standard_webhooks_secret_env = \"UNSET\"", SECRET.to_owned(), "cannot read the variable UNSET: it is not set"),
        ("standard_webhooks_secret_env = \"SHORT\"", SECRET.to_owned(), "at least 24 bytes in base64"),
        ("standard_webhooks_secret_file = \"relay.secret\"", SECRET.to_owned(), "must be \"whsec_\""),
        ("ca_file = \"missing.pem\"", SECRET.to_owned(), "cannot read the file missing.pem"),
        ("ca_file = \"not.pem\"", SECRET.to_owned(), "contains no certificate"),
    ] {
        let ended = check_secrets(lines, secret.as_bytes());
        assert_eq!(ended.status, 1, "{expected}: {ended:?}");
        let said = &ended.stdout;
        assert!(said.contains("relay.toml:2:1: mistake: ") && said.contains(expected), "{expected}: {said}");
        assert!(!said.contains(secret.trim()) || secret == "secret", "{said}");
    }
    assert!(check_secrets("", &[0xff; 40]).stdout.contains("is not UTF-8"));
}

#[test]
fn a_key_with_the_name_of_one_of_livekits() {
    let start = Start::command(["relay", "check", "relay.toml", "--secrets"]).file("relay.toml", TARGET);
    let start = start.env("LIVEKIT_KEYS", format!("APIrelayApp: {}", "x".repeat(32))).file("relay.secret", SECRET);
    let ended = start.run();
    assert_eq!((ended.status, ended.stdout.contains("LiveKit has a key of this name too")), (1, true), "{ended:?}");
}

#[test]
fn a_file_that_cannot_be_read() {
    for flags in [&[][..], &["--secrets"]] {
        let check = || Start::command([&["relay", "check", "relay.toml"], flags].concat());
        let ended = check().run();
        assert_eq!((ended.status, ended.stdout.as_str()), (2, ""));
        assert!(ended.stderr.contains("relay.toml: cannot read it: "), "{ended:?}");
        let ended = check().file("relay.toml", b"# \n# \xff").run();
        assert_eq!((ended.status, ended.stderr.as_str()), (1, ""));
        assert!(ended.stdout.contains("relay.toml:2:3: mistake: it is not UTF-8"), "{ended:?}");
    }
}

/// A server with `TARGET`.
fn relaying() -> Start {
    let start = Start::new().env("ROOMKEY_RELAY", "relay.toml").file("relay.toml", TARGET).file("relay.secret", SECRET);
    start.secret_file("keys.yaml", "APIone: the-secret-of-livekit-0123456789\n").env("LIVEKIT_KEYS_FILE", "keys.yaml")
}

#[test]
fn a_server_does_not_start_with_a_mistake() {
    let ended = relaying().file("relay.toml", TARGET.replace("APIrelayApp", "")).run();
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("the targets relay.toml: line 5, column 7: \"key\" must be"), "{ended:?}");
    let ended = relaying().file("relay.secret", "short").run();
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("line 2, column 1: the target \"app\": the secret is shorter"), "{ended:?}");
    let ended = relaying().env("ROOMKEY_INBOX", "none").run();
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("ROOMKEY_INBOX is none"), "{ended:?}");
    let ended = relaying().env("ROOMKEY_INBOX_KEEP", "1d").run();
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("shorter than ROOMKEY_INBOX_KEEP"), "{ended:?}");
}

#[test]
fn a_caller_with_the_targets_secret() {
    const POLICY: &str = "[callers.school]\nkind = \"jwt\"\nissuer = \"i\"\naudience = \"a\"\nsecret_file = \"relay.secret\"\n\n\
        [[rule]]\nname = \"a\"\ncaller = \"school\"\nroom = \"a\"\nidentity = \"{subject}\"\n";
    const TOKEN: &str = "kind = \"api-token\"\ntoken_file = \"relay.secret\"";
    let (before, rest) = POLICY.split_once("kind").unwrap();
    let by_token =
        format!("{before}{TOKEN}\n\n[[{}", rest.split_once("[[").unwrap().1).replace("{subject}", "{request.identity}");
    for policy in [POLICY, &by_token] {
        let ended = relaying().env("ROOMKEY_POLICY", "policy.toml").file("policy.toml", policy).run();
        assert_eq!(ended.status, 2, "{ended:?}");
        assert!(ended.stderr.contains("its secret is that of the policy's caller \"school\""), "{ended:?}");
    }
}

#[test]
fn a_check_of_all_settings_shows_it() {
    let start = Start::command(["check"]).env("ROOMKEY_RELAY", "relay.toml").file("relay.toml", TARGET);
    let ended = start.file("relay.secret", SECRET).run();
    assert!(ended.done().contains("relay        relay.toml"));
    let ended = Start::command(["check"]).env("ROOMKEY_RELAY", "relay.toml").file("relay.toml", TARGET).run();
    assert_eq!(ended.status, 2, "without the secret");
}

#[test]
fn a_change_is_picked_up_and_a_mistake_is_not() {
    let mut program = relaying().serve();
    let path = program.directory().join("relay.toml");
    fs::write(&path, TARGET.to_owned() + &TARGET.replace("\"app\"", "\"crm\"")).unwrap();
    assert!(program.wait_for("targets reloaded").contains("app crm"));
    fs::write(&path, TARGET.to_owned() + "concurrency = 1000").unwrap();
    let line = program.wait_for("the targets stay as they were");
    assert!(line.contains("line 7, column 15") && line.contains("from 1 to 256"), "{line}");
    fs::write(&path, TARGET).unwrap();
    program.wait_for("targets reloaded");
    program.signal(Signal::HUP);
    program.wait_for("targets reloaded");
    fs::write(program.directory().join("relay.secret"), "short").unwrap();
    assert!(program.wait_for("the targets stay as they were").contains("the secret is shorter"));
    fs::write(program.directory().join("relay.secret"), "x".repeat(40)).unwrap();
    program.wait_for("targets reloaded");
}

#[test]
fn a_door_that_takes_a_targets_key_later() {
    let mut program = relaying().serve();
    let path = program.directory().join("keys.yaml");
    fs::write(&path, format!("APIone: {SECRET}\n")).unwrap();
    let line = program.wait_for("the targets stay as they were");
    assert!(line.contains("its secret is that of LiveKit's key") && !line.contains(SECRET), "{line}");
    fs::write(&path, "APIone: the-secret-of-livekit-0123456789\n").unwrap();
    program.wait_for("targets reloaded");
}
