//! Runs the sessions on the guide's page on the command line, and compares what they print with what the page shows.

use std::path::Path;
use std::process::Command;

use roomkey::UnixTime;

use super::{block, blocks};
use crate::harness::directory::Directory;
use crate::harness::program::Program;
use crate::harness::sender::authorization_at;

const PAGE: &str = "src/guide/cli.md";
const KEY: (&str, &str) = ("APImyKey", "a-secret-of-at-least-32-bytes-0123");

/// Runs a command and returns whether it succeeded, and what it printed to stdout and stderr.
pub(super) fn run(directory: &Path, command: &str) -> (bool, String, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_roomkey")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let key = [("PATH", path.as_str()), ("LIVEKIT_API_KEY", KEY.0), ("LIVEKIT_API_SECRET", KEY.1)];
    let output = Command::new("sh").args(["-ec", command]).env_clear().envs(key).current_dir(directory).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// The words of each line, without what differs each time: numbers, durations, ids.
pub(super) fn shape(text: &str) -> Vec<String> {
    const UNITS: [&str; 9] = ["day", "days", "hour", "hours", "minute", "minutes", "second", "seconds", "ms"];
    let word = |word: &str| {
        let bare = word.trim_matches(|each: char| "(),:".contains(each));
        let number = bare.chars().all(|each| each.is_ascii_digit() || each == '.');
        if number || UNITS.contains(&bare) || matches!(bare, "ago" | "now") {
            return None;
        }
        let random = ["EV_", "cursor="].into_iter().find(|prefix| word.starts_with(prefix));
        Some(random.map_or_else(|| word.replace(|each: char| each.is_ascii_digit(), "0"), str::to_owned))
    };
    text.trim_end().lines().map(|line| line.split_whitespace().filter_map(word).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_tokens_of_the_examples_are_created() {
    let directory = Directory::new();
    for command in block(PAGE, "sh", "token create").lines() {
        let (done, stdout, stderr) = run(directory.path(), command);
        assert!(done && stdout.contains("eyJ"), "{command}: {stdout}{stderr}");
    }
}

#[test]
fn the_commands_print_what_the_page_shows() {
    let server = crate::harness::program::Start::new().env("LIVEKIT_API_KEY", KEY.0).env("LIVEKIT_API_SECRET", KEY.1).serve();
    let directory = Directory::new();
    let authorization = authorization_at(UnixTime::now(), KEY, r#"{"event": "room_started", "id": "EV_1"}"#);
    directory.write("delivery.head", format!("POST /webhook HTTP/1.1\r\nAuthorization: {authorization}\r\n\r\n"));
    directory.write("delivery.body", r#"{"event":"room_started","id":"EV_1"}"#);
    for session in blocks(PAGE, "console") {
        let (command, shown) = session.strip_prefix("$ ").unwrap().split_once('\n').unwrap();
        let printed = printed_by(command, &server, directory.path());
        assert_eq!(shape(&printed), shape(shown), "{command} prints:\n{printed}");
    }
}

/// What a command prints as its result. A command that follows is run without `--follow`, because it would not end.
fn printed_by(command: &str, server: &Program, directory: &Path) -> String {
    let command = command.replace("localhost:6080", &server.address().to_string()).replace(" --follow", "");
    let (done, stdout, stderr) = run(directory, &command);
    if done { stdout } else { stderr }
}
