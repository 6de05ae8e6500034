//! Tests of what commands print: a stdout or stderr that cannot be written, and names chosen by others, which must not harm the
//! terminal.

use std::fs::File;
use std::io;
use std::process::Stdio;

use super::assert_says;
use super::events::{deliver, event, server, url};
use crate::fixtures::{NOW, digest, forge_with};
use crate::harness::program::{Program, Start};

/// Characters that mislead: both kinds of control characters, and those that change the direction or the lines of a text.
const MISLEADING: &str = "a\u{1b}[31m\u{7f}\u{85}\u{9b}\u{61c}\u{200e}\u{2028}\u{202e}\u{2069}\n\u{feff}";

/// Every command that prints a result, with a valid delivery and a valid token.
fn commands(server: &Program) -> Vec<Vec<String>> {
    let (token, authorization) = (forge_with(""), forge_with(&format!(r#""sha256":"{}""#, digest("{}"))));
    let (at, url) = (NOW.to_string(), url(server));
    let hook = format!("{url}/webhook");
    let inbox = format!("sqlite:{}", server.directory().join("roomkey.db").display());
    let commands: &[&[&str]] = &[
        &["--help"],
        &["--version"],
        &["events", "--help"],
        &["token", "create", "--help"],
        &["completions", "zsh"],
        &["man"],
        &["token", "create", "--list", "--token-only"],
        &["token", "create", "--list", "--json"],
        &["token", "create", "--list"],
        &["token", "verify", &token, "--at", &at],
        &["token", "verify", &token, "--at", &at, "--json"],
        &["token", "inspect", &token, "--at", &at],
        &["token", "inspect", &token, "--at", &at, "--json"],
        &["webhook", "verify", "--body", "-", "--authorization", &authorization, "--at", &at],
        &["webhook", "verify", "--body", "-", "--authorization", &authorization, "--at", &at, "--json"],
        &["webhook", "send", "--url", &hook, "--event", "room_started"],
        &["webhook", "send", "--url", &hook, "--event", "room_started", "--json"],
        &["events", "--url", &url],
        &["events", "--url", &url, "--json"],
        &["events", "--url", &url, "--follow"],
        &["inbox", "export", "--inbox", &inbox],
    ];
    commands.iter().map(|words| words.iter().map(|word| (*word).to_owned()).collect()).collect()
}

fn server_with_an_event() -> Program {
    let server = server().serve();
    deliver(&mut server.connect(), event("1", "room_started", "daily"));
    server
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let server = server_with_an_event();
    for words in commands(&server) {
        for full in [File::options().write(true).open("/dev/full").unwrap(), File::open("/dev/null").unwrap()] {
            let ended = Start::command_with_keys(&words).stdin("{}").stdout(full).run();
            assert_eq!(ended.status, 2, "{words:?}: {ended:?}");
            let last = ended.stderr.lines().last().unwrap_or_else(|| panic!("{words:?} says nothing"));
            assert!(last.starts_with("roomkey: cannot write to stdout: "), "{words:?}: {ended:?}");
        }
    }
}

#[test]
fn a_command_whose_reader_is_gone_ends_quietly() {
    let server = server_with_an_event();
    for words in commands(&server) {
        let (_, gone) = io::pipe().unwrap();
        let ended = Start::command_with_keys(&words).stdin("{}").stdout(gone).run();
        let told: Vec<_> = ended.stderr.lines().filter(|line| !line.contains("valid for")).collect();
        assert_eq!((ended.status, told.as_slice()), (0, &[][..]), "{words:?}: {ended:?}");
    }
}

#[test]
fn a_blocked_stderr_changes_no_result() {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let gone = || Stdio::from(io::pipe().unwrap().1);
    for stderr in [full, gone] {
        let ended = Start::command_with_keys(["token", "create", "--list"]).stderr(stderr()).run();
        assert_eq!(ended.status, 0);
        assert_says(&ended.stdout, &["Access token: "]);
        assert_eq!(Start::command_with_keys(["token", "verify", "a.b.c"]).stderr(stderr()).run().status, 1);
        assert_eq!(Start::command_with_keys(["--nonsense"]).stderr(stderr()).run().status, 2);
        let both = Start::command_with_keys(["token", "create", "--list"])
            .stdout(File::options().write(true).open("/dev/full").unwrap());
        assert_eq!(both.stderr(stderr()).run().status, 2);
    }
    // A pipe that nobody reads, full from the start.
    let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    while io::Write::write(&mut &writer, &[0; 4096]).is_ok() {}
    writer.set_nonblocking(false).unwrap();
    let ended = Start::command_with_keys(["token", "create", "--list"]).stderr(std::os::fd::OwnedFd::from(writer)).run();
    assert_eq!(ended.status, 0);
    assert_says(&ended.stdout, &["Access token: "]);
    drop(reader);
}

#[test]
fn names_that_others_chose_are_printed_escaped() {
    let name = serde_json::to_string(MISLEADING).unwrap();
    let token = forge_with(&format!(
        r#""sub":{name},"name":{name},"metadata":{name},{name}:{name},"attributes":{{{name}:{name}}},"video":{{"roomJoin":true,"room":{name},{name}:1,"canPublishSources":[{name}]}},"roomConfig":{{"name":{name}}}"#
    ));
    let body = format!(r#"{{"event":{name},"id":{name},"room":{{"name":{name}}},"participant":{{"identity":{name}}}}}"#);
    let authorization = forge_with(&format!(r#""sha256":"{}""#, digest(&body)));
    let server = server().serve();
    deliver(&mut server.connect(), &body);
    let (at, url) = (NOW.to_string(), url(&server));
    let hook = format!("{url}/webhook");
    let inbox = format!("sqlite:{}", server.directory().join("roomkey.db").display());
    let named = MISLEADING.replace('\n', "");
    let commands: &[&[&str]] = &[
        &["token", "create", "--join", "--room", &named, "--identity", &named, "--attribute", &format!("{named}={named}")],
        &["token", "create", "--join", "--room", &named, "--identity", &named, "--name", &named, "--json"],
        &["token", "verify", &token, "--at", &at],
        &["token", "verify", &token, "--at", &at, "--json"],
        &["token", "verify", &format!("{token}{MISLEADING}")],
        &["token", "inspect", &token, "--at", &at],
        &["token", "inspect", &token, "--at", &at, "--json"],
        &["webhook", "verify", "--body", "-", "--authorization", &authorization, "--at", &at],
        &["webhook", "verify", "--body", "-", "--authorization", &authorization, "--at", &at, "--json"],
        &["webhook", "send", "--url", &hook, "--body", "-"],
        &["webhook", "send", "--url", &hook, "--body", "-", "--json"],
        &["webhook", "verify", "--body", &named, "--authorization", &authorization],
        &["events", "--url", &url],
        &["events", "--url", &url, "--json"],
        &["inbox", "export", "--inbox", &inbox],
    ];
    for words in commands {
        let ended = Start::command_with_keys(*words).stdin(body.as_str()).run();
        let printed = format!("{}{}", ended.stdout, ended.stderr);
        let misleads = |letter: char| {
            letter.is_control() && letter != '\n'
                || matches!(letter, '\u{61c}' | '\u{200e}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        };
        assert!(!printed.contains(misleads), "{words:?}: {printed:?}");
        assert!(!ended.stdout.is_empty() || ended.status != 0, "{words:?}: {ended:?}");
        if words.contains(&"--json") {
            let value: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
            let kept = value.to_string();
            assert!(kept.contains("\u{202e}") && ended.stdout.contains("\\u202e"), "{words:?}: {printed}");
        }
    }
}
