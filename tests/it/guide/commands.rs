//! Runs the commands of the README and the guide, and compares the pages' tables with the program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use roomkey::UnixTime;

use super::{block, blocks, page};
use crate::fixtures::{api_key, payload};
use crate::harness::client::{get, post};
use crate::harness::directory::Directory;
use crate::harness::outside::is_installed;
use crate::harness::program::{Program, Start};
use crate::harness::redis_server::RedisServer;
use crate::harness::sender::authorization_at;
use crate::harness::wait::eventually_blocking;

/// `PATH`, with the program in it.
fn path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_roomkey")).parent().unwrap();
    format!("{}:{}", program.display(), std::env::var("PATH").unwrap())
}

/// Runs a block of commands in `directory`.
pub(super) fn run_in(directory: &Path, block: &str) {
    let output = Command::new("sh").args(["-ec", block]).env_clear().env("PATH", path()).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{block}: {output:?}");
}

/// What a block of commands prints, with `program` instead of the guide's server.
fn run(block: &str, program: &Program) -> String {
    let block = block.replace("localhost:6080", &program.address().to_string());
    let output = Command::new("sh").args(["-c", &block]).env_clear().env("PATH", path()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_first_screen_has_the_two_commands() {
    let readme = page("README.md");
    assert_eq!(blocks("README.md", "sh").take(2).collect::<Vec<_>>(), ["cargo run --release\n", "cargo test\n"]);
    assert!(readme.find("cargo test\n").unwrap() < 1000, "not on the first screen");
    assert!(readme.lines().count() <= 150, "the README has at most 150 lines: the rest belongs into the guide");
}

#[test]
fn the_requests_for_a_token_get_one() {
    if !is_installed("curl", "--version") {
        return;
    }
    let program = Program::start();
    for (name, path, member) in [
        ("README.md", "/token ", "token"),
        ("src/guide/http-api.md", "/token ", "token"),
        ("src/guide/http-api.md", "/connection-details ", "participant_token"),
    ] {
        let answer: serde_json::Value = serde_json::from_str(&run(&block(name, "sh", path), &program)).unwrap();
        assert_eq!(answer[member].as_str().unwrap().split('.').count(), 3, "{name}: {answer}");
    }
}

#[test]
fn the_curl_command_that_follows_is_accepted() {
    if !is_installed("curl", "--version") {
        return;
    }
    let program = Program::start();
    // A stream has no end: a second of it is enough to see that it began.
    let block = block("src/guide/inbox.md", "sh", "/events ").replace("curl -N", "curl -N -m 1 -s -w '%{http_code}'");
    let answer = run(&block, &program);
    assert!(answer.starts_with("retry:") && answer.ends_with("200"), "{answer:?}");
}

#[test]
fn the_readmes_command_that_follows_prints_an_event() {
    let program = Program::start();
    let address = format!("--url http://{}", program.address());
    assert!(run(&format!("roomkey webhook send {address}/webhook --event room_started"), &program).starts_with("200 OK"));
    // It would run forever.
    let command = block("README.md", "sh", "roomkey events").replace("--follow", &address);
    assert!(run(&command, &program).contains(" room_started "));
}

#[test]
fn the_table_of_settings_matches_the_program() {
    let page = page("src/guide/settings.md");
    let section = page.split("\n## ").next().unwrap();
    let help = Start::bare().flags(&["--help"]).run().stdout;
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let name = row.split('`').nth(1).unwrap();
        assert!(help.contains(name), "--help lacks {name}");
    }
    for flag in help.lines().filter_map(|line| line.trim_start().strip_prefix("--")) {
        let flag = flag.split(' ').next().unwrap();
        assert!(section.contains(&format!("`--{flag}`")), "the table lacks --{flag}");
    }
}

#[test]
fn help_names_the_guide() {
    let help = Start::bare().flags(&["--help"]).run().stdout;
    assert!(help.contains("https://docs.rs/roomkey/latest/roomkey/guide/"), "{help}");
}

#[test]
fn the_program_is_installed_before_it_is_used() {
    let commands = blocks("README.md", "sh").collect::<String>();
    let installed = commands.find("cargo install --locked --path .\n").expect("it says how");
    let used = commands.lines().find(|line| line.starts_with("roomkey ") || line.contains("$(roomkey ")).unwrap();
    assert!(installed < commands.find(used).unwrap(), "{used}");
}

#[test]
fn the_key_for_production_reaches_livekit_and_roomkey() {
    if !is_installed("openssl", "--version") {
        return;
    }
    let directory = Directory::new();
    run_in(directory.path(), &block("src/guide/settings.md", "sh", "> keys.yaml\n"));
    let file = directory.path().join("keys.yaml");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let content = fs::read_to_string(&file).unwrap();
    let key = content.trim_end().split_once(": ").unwrap();
    assert_eq!((content.lines().count(), key.0), (1, "APImyKey"));

    let of_livekit = block("src/guide/settings.md", "yaml", "key_file:");
    assert!(of_livekit.contains("key_file: keys.yaml\n") && of_livekit.contains("  api_key: APImyKey\n"), "{of_livekit}");

    let command = block("src/guide/settings.md", "sh", "LIVEKIT_KEYS_FILE=");
    let settings = command.trim_end().strip_suffix(" roomkey").unwrap().split(' ').map(|word| word.split_once('=').unwrap());
    let start = Start::new().secret_file("keys.yaml", &content);
    let program = settings.fold(start, |start, (name, value)| start.env(name, value)).serve();
    let authorization = authorization_at(UnixTime::now(), key, "{}");
    assert_eq!(program.ask(post("/webhook", &[("Authorization", &authorization)], "{}")).status, 200);
    let answer = program.ask(post("/connection-details", &[], "{}")).json();
    assert_eq!(answer["server_url"], "wss://livekit.example.com");
    assert_eq!(payload(answer["participant_token"].as_str().unwrap())["iss"], "APImyKey");
}

const DEVELOPMENT: (&str, &str) = ("devkey", "secret");

/// A server over the inbox at `place`.
fn serve(place: &str) -> Program {
    let program = Start::new().env("ROOMKEY_INBOX", place).serve();
    eventually_blocking("it is ready", || program.ask(get("/readyz")).status == 200);
    program
}

fn deliver(program: &Program, id: &str) {
    let body = format!(r#"{{"event":"room_started","id":"{id}"}}"#);
    let authorization = authorization_at(UnixTime::now(), DEVELOPMENT, &body);
    assert_eq!(program.ask(post("/webhook", &[("Authorization", &authorization)], body)).status, 200);
}

/// The ids of all events.
fn ids(program: &Program) -> Vec<String> {
    let reader = roomkey::AccessToken::new().with_grants(roomkey::VideoGrants { room_list: true, ..Default::default() });
    let token = reader.to_jwt(&api_key(DEVELOPMENT), UnixTime::now()).unwrap();
    let answer = program.ask(get(&format!("/events?access_token={token}"))).json();
    answer["events"].as_array().unwrap().iter().map(|entry| entry["event"]["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_restore_brings_back_what_was_backed_up_and_nothing_else() {
    if !is_installed("sqlite3", "--version") {
        return;
    }
    let directory = Directory::new();
    let place = format!("sqlite:{}", directory.path().join("roomkey.db").display());
    let program = serve(&place);
    deliver(&program, "EV_before");
    run_in(directory.path(), &block("src/guide/inbox.md", "sh", "sqlite3 roomkey.db"));
    // Killed while SQLite's log has an event that the backup lacks.
    deliver(&program, "EV_after");
    drop(program);
    assert!(directory.path().join("roomkey.db-wal").exists());
    run_in(directory.path(), &block("src/guide/inbox.md", "sh", "inbox restore"));
    assert_eq!(ids(&serve(&place)), ["EV_before"]);

    // A copy of a stopped inbox.
    serve(&place).stop();
    run_in(directory.path(), "test ! -e roomkey.db-wal; rm roomkey.db.before-restore*; cp roomkey.db copy.db");
    run_in(directory.path(), &block("src/guide/inbox.md", "sh", "inbox restore"));
    assert_eq!(ids(&serve(&place)), ["EV_before"]);
}

#[test]
fn an_inbox_moves_as_the_page_says() {
    let Some(redis) = RedisServer::start() else { return };
    let directory = Directory::new();
    let program = serve(&format!("sqlite:{}", directory.path().join("roomkey.db").display()));
    deliver(&program, "EV_1");
    let commands = block("src/guide/inbox.md", "sh", "inbox import").replace("redis://localhost:6379", &redis.url());
    run_in(directory.path(), &commands);
    assert_eq!(ids(&serve(&redis.url())), ["EV_1"]);
    // The lines have the form that the page shows.
    let shown = block("src/guide/inbox.md", "text", "roomkeyInbox");
    let export = fs::read_to_string(directory.path().join("events.jsonl")).unwrap();
    let members = |text: &str| -> Vec<Vec<String>> {
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(line).unwrap());
        lines.map(|line| line.into_iter().map(|(name, _)| name).collect()).collect()
    };
    assert_eq!(members(&export), members(&shown));
}
