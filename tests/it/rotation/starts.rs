//! Tests of a start with a file of keys that cannot be used: status 2, and one sentence.

use std::process::Command;

use super::support::{FILE, NEW, OLD, list};
use crate::harness::ended::Ended;
use crate::harness::program::Start;

#[track_caller]
fn assert_mistake(start: Start, parts: &[&str]) {
    let Ended { status, stdout, stderr } = start.run();
    assert_eq!((status, stdout.as_str(), stderr.lines().count()), (2, "", 1), "{parts:?}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part} is missing: {stderr}");
    }
    assert!(![OLD.1, NEW.1, "hushhush"].iter().any(|secret| stderr.contains(secret)), "a secret is told: {stderr}");
}

fn start() -> Start {
    Start::new().env("LIVEKIT_KEYS_FILE", FILE)
}

#[test]
fn a_file_that_cannot_be_used() {
    assert_mistake(start(), &["LIVEKIT_KEYS_FILE", FILE]);
    assert_mistake(Start::new().flags(&["--keys-file", "nowhere/keys"]), &["LIVEKIT_KEYS_FILE", "nowhere/keys"]);
    assert_mistake(Start::new().flags(&["--keys-file", ""]), &["LIVEKIT_KEYS_FILE", "empty"]);
    assert_mistake(start().directory(FILE), &["LIVEKIT_KEYS_FILE", FILE, "not a regular file"]);
    for empty in ["", "\n\n", "# a comment\n", "---\n"] {
        assert_mistake(start().file(FILE, empty), &["LIVEKIT_KEYS_FILE", "no key"]);
    }
    for (line, part) in [
        ("hushhush", "key: secret"),
        ("APIshort: hushhush", "32 bytes"),
        ("APIopen: 'hushhush", "key: secret"),
        ("APIold: hushhush-0123456789-0123456789-012345APInew: hushhush-0123456789-0123456789-012345", "key: secret"),
        ("APIname:hushhush-0123456789-0123456789-012345 #note: hushhush-0123456789-0123456789-012345", "key: secret"),
        ("APIreturn: hushhush-0123456789-0123456789\r012345", "key: secret"),
        ("APIzero: \"hushhush-0123456789-0123456789\u{0}012345\"", "key: secret"),
        ("APIcolon: hushhush-0123456789-0123456789-012345:", "key: secret"),
    ] {
        let content = format!("# ours\r\n{}\r\n{line}\r\n", list(&[OLD]).trim());
        assert_mistake(start().file(FILE, content), &["LIVEKIT_KEYS_FILE", "line 3", part]);
    }
}

#[test]
fn a_pipe_that_nobody_writes_to() {
    let start = start();
    assert!(Command::new("mkfifo").arg(start.path(FILE)).status().unwrap().success());
    assert_mistake(start, &["LIVEKIT_KEYS_FILE", "not a regular file"]);
}

#[test]
fn a_file_beside_other_keys() {
    let start = || start().file(FILE, list(&[OLD])).file("s", NEW.1);
    assert_mistake(start().env("LIVEKIT_KEYS", list(&[NEW])), &["LIVEKIT_KEYS_FILE", "LIVEKIT_KEYS "]);
    assert_mistake(start().env("LIVEKIT_API_KEY", NEW.0), &["LIVEKIT_KEYS_FILE", "LIVEKIT_API_KEY"]);
    assert_mistake(start().env("LIVEKIT_API_SECRET", NEW.1), &["LIVEKIT_KEYS_FILE", "LIVEKIT_API_SECRET"]);
    assert_mistake(start().env("LIVEKIT_API_SECRET_FILE", "s"), &["LIVEKIT_KEYS_FILE", "LIVEKIT_API_SECRET_FILE"]);
    let pair = format!("LIVEKIT_API_KEY={}\nLIVEKIT_API_SECRET={}\n", NEW.0, NEW.1);
    assert_mistake(start().file(".env", pair), &["LIVEKIT_KEYS_FILE", "LIVEKIT_API_KEY"]);
}

#[test]
fn a_signing_key_that_is_not_there() {
    let part = &["LIVEKIT_SIGNING_KEY", NEW.0];
    assert_mistake(start().file(FILE, list(&[OLD])).env("LIVEKIT_SIGNING_KEY", NEW.0), part);
    assert_mistake(Start::new().env("LIVEKIT_KEYS", list(&[OLD])).flags(&["--signing-key", NEW.0]), part);
    assert_mistake(Start::new().env("LIVEKIT_SIGNING_KEY", NEW.0), part);
}
