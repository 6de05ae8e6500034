//! Tests of `roomkey check`: what it says is what the server does with the same settings, and it opens nothing.

use std::fs;
use std::net::TcpListener;

use crate::harness::directory::Directory;
use crate::harness::program::Start;

const SECRET: &str = "a-secret-of-at-least-32-bytes-0123";
const POLICY: &str = "[callers.backend]\nkind = \"api-token\"\ntoken_file = \"backend-token\"\n\n[[rule]]\nname = \"backend\"\n\
     caller = \"backend\"\nroom = \"{request.room}\"\nidentity = \"{request.identity}\"\nallow = [\"subscribe\"]\n";

fn check() -> Start {
    Start::command(["check"]).keeping_policy_warning()
}

fn with_keys(start: Start) -> Start {
    start
        .env("LIVEKIT_API_KEY", "APImyKey")
        .env("LIVEKIT_API_SECRET_FILE", "secret")
        .env("LIVEKIT_URL", "wss://livekit.example.com")
        .secret_file("secret", SECRET)
}

fn with_policy(start: Start) -> Start {
    start
        .env("ROOMKEY_POLICY", "policy.toml")
        .file("policy.toml", POLICY)
        .secret_file("backend-token", "0123456789-0123456789-0123456789")
}

#[test]
fn it_says_what_would_run_and_opens_nothing() {
    // Its port is in use, and the directory of its inbox does not exist.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let start =
        with_policy(with_keys(check())).flags(&["--base-path", "/x", "--server-bind", "127.0.0.1", "--server-port", &port]);
    let start = start.env("METRICS_BIND", "127.0.0.1:9464").env("ROOMKEY_INBOX", "sqlite:/nowhere/roomkey.db");
    let ended = start.run();
    assert_eq!(ended.stderr, "");
    let said = ended.done();
    for part in [
        &format!("port {port} of 127.0.0.1"),
        "/x/token",
        "127.0.0.1:9464",
        "APImyKey",
        "wss://livekit.example.com",
        "/nowhere/roomkey.db",
        "policy.toml",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains(SECRET));
}

#[test]
fn the_default_inbox_is_not_made() {
    let directory = Directory::new();
    let path = directory.file("roomkey.db");
    check().env("ROOMKEY_INBOX", format!("sqlite:{}", path.display())).run().done();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn it_warns_as_the_server_does() {
    let warnings = |lines: &str| -> Vec<String> {
        let of_line = |line: &str| Some(line.split_once(" WARN ")?.1.to_owned());
        let mut warnings: Vec<_> = lines.lines().filter_map(of_line).collect();
        warnings.sort();
        warnings
    };
    let settings = |start: Start| start.keeping_policy_warning().env("ROOMKEY_INBOXX", "none").env("ROOMKEY_INBOX", "none");
    let of_server = warnings(&settings(Start::new()).serve().stop().join("\n"));
    let of_check = warnings(&settings(check()).run().stderr);
    assert!(of_check.len() >= 3, "{of_check:#?}");
    assert_eq!(of_check, of_server);
}

#[test]
fn what_keeps_the_server_from_starting_has_status_2() {
    for (start, part) in [
        (check().env("SERVER_PORT", "many"), "SERVER_PORT"),
        (check().env("LIVEKIT_API_KEY", "APIhalf"), "LIVEKIT_API_SECRET"),
        (with_keys(check()).env("LIVEKIT_API_SECRET_FILE", "nowhere"), "nowhere"),
        (with_keys(check()).env("ROOMKEY_POLICY", "nowhere.toml"), "nowhere.toml"),
        (with_policy(with_keys(check())).file("policy.toml", "[callers"), "policy.toml"),
        (with_policy(with_keys(check())).env("ROOMKEY_POLICY", "policy.toml").file("backend-token", ""), "backend"),
        (check().flags(&["--log-level", "loud"]), "LOG_LEVEL"),
    ] {
        let sentence = start.run().wrong();
        assert!(sentence.contains(part) && !sentence.contains(SECRET), "{part}: {sentence}");
    }
}
