//! Tests of files that cannot be used while the program runs: it keeps its keys, and logs the line but not its text.

use std::fs;
use std::process::Command;

use super::support::{FILE, NEW, OLD, Rotating, list, wait_for_looks};

/// Must not appear in the log.
const HUSH: &str = "hushhush";

#[test]
fn a_file_that_is_of_no_use() {
    let mut rotating = Rotating::with(&[OLD]);
    let new = list(&[NEW]);
    for (content, parts) in [
        (String::new(), &["no key"][..]),
        ("# hushhush\n\n".to_owned(), &["no key"]),
        ("---\n".to_owned(), &["no key"]),
        (format!("{new}hushhush\n"), &["line 2", "key: secret"]),
        (format!("# a comment\n\n{new}APIshort: hushhush\n"), &["line 4", "32 bytes"]),
        (format!("{new}APIshort: \"hushhush\" # hushhush-hushhush-hushhush-hushhush\n"), &["line 2", "32 bytes"]),
        (format!("{new}APIshort: hushhush # hushhush-hushhush-hushhush-hushhush\n"), &["line 2", "32 bytes"]),
        (format!("{new}APIopen: \"hushhush-hushhush-hushhush-hushhush\n"), &["line 2", "key: secret"]),
        (format!("{new}APImore: 'hushhush-hushhush-hushhush-hushhush' hushhush\n"), &["line 2", "key: secret"]),
        (format!("{{APIflow: hushhush-hushhush-hushhush-hushhush, {HUSH}: 1}}\n"), &["line 1", "key: secret"]),
        (format!("- APIitem: hushhush-hushhush-hushhush-hushhush\n{new}"), &["line 1", "key: secret"]),
        (format!("{new}APItag: !hushhush hushhush-hushhush-hushhush-hushhush\n"), &["line 2", "key: secret"]),
        ("keys:\n  APInested: hushhush-hushhush-hushhush-hushhush\n".to_owned(), &["line 1", "32 bytes"]),
        (format!("{new}: hushhush-hushhush-hushhush-hushhush\n"), &["line 2", "empty"]),
        (format!("{new}---\nAPInext: hushhush-hushhush-hushhush-hushhush\n"), &["line 2", "key: secret"]),
        (format!("{new}{}: hushhush-hushhush-hushhush-hushhush\n", NEW.0), &["line 2", NEW.0]),
        (format!("{new}{}", format!("APIlong: {HUSH}\n").repeat(100_000)), &["large"]),
    ] {
        rotating.replace(&content);
        let warning = rotating.ask_for("stay as they were");
        assert_told(&warning, parts);
        assert_eq!([OLD, NEW].map(|key| rotating.delivered(key)), [200, 401], "{parts:?}");
        assert_eq!(rotating.minting(), OLD.0);
    }
    for content in [&b"\xff\xfeA\0P\0I\0"[..], b"APIbinary: hushhush\xff-hushhush-hushhush-hushhush-hushhush\n", b"\0\0\0\0"] {
        rotating.replace(content);
        assert_told(&rotating.ask_for("stay as they were"), &["line 1", "key: secret"]);
    }
    rotating.replace(list(&[NEW]));
    rotating.ask_for("keys reloaded");
    assert_eq!([OLD, NEW].map(|key| rotating.delivered(key)), [401, 200]);
    let log = rotating.program.stop();
    assert!(!log.iter().any(|line| line.contains(HUSH)), "{log:#?}");
}

fn assert_told(warning: &str, parts: &[&str]) {
    assert!(warning.contains("WARN") && warning.contains("LIVEKIT_KEYS_FILE") && warning.contains(FILE), "{warning}");
    for part in parts {
        assert!(warning.contains(part), "{part:?} is missing: {warning}");
    }
    assert!(!warning.contains(HUSH), "{warning}");
}

#[test]
fn what_is_no_file() {
    let mut rotating = Rotating::with(&[OLD]);
    fs::remove_file(rotating.path(FILE)).unwrap();
    assert_told(&rotating.ask_for("stay as they were"), &["cannot read"]);
    fs::create_dir(rotating.path(FILE)).unwrap();
    assert_told(&rotating.ask_for("stay as they were"), &["not a regular file"]);
    fs::remove_dir(rotating.path(FILE)).unwrap();
    // A pipe that nobody writes to.
    assert!(Command::new("mkfifo").arg(rotating.path(FILE)).status().unwrap().success());
    assert_told(&rotating.ask_for("stay as they were"), &["not a regular file"]);
    assert_eq!((rotating.delivered(OLD), rotating.minting().as_str()), (200, OLD.0));
    fs::remove_file(rotating.path(FILE)).unwrap();
    rotating.replace(list(&[NEW]));
    rotating.assert_soon_mints_with(NEW);
}

#[test]
fn a_broken_file_is_told_once() {
    let mut rotating = Rotating::with(&[OLD]);
    rotating.replace("hushhush\n");
    rotating.program.wait_for("line 1");
    wait_for_looks();
    rotating.replace("\nhushhush\n");
    rotating.program.wait_for("line 2");
    wait_for_looks();
    let log = rotating.program.stop();
    assert_eq!(log.iter().filter(|line| line.contains("WARN")).count(), 2, "{log:#?}");
}
