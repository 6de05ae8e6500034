//! Owns the tests of the README: its commands are run, its tables held against the program.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use roomkey::UnixTime;

use crate::fixtures::{api_key, payload};
use crate::harness::client::{get, post};
use crate::harness::directory::Directory;
use crate::harness::program::{Program, Start};
use crate::harness::sender::authorization_at;

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// The fenced blocks of a language.
fn blocks(readme: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    readme.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The one block of a language that has `text` in it.
fn block_with(language: &str, text: &str) -> String {
    let mut blocks: Vec<String> = blocks(&readme(), language).into_iter().filter(|block| block.contains(text)).collect();
    assert_eq!(blocks.len(), 1, "{text} in {blocks:#?}");
    blocks.remove(0)
}

/// Runs a block of commands in `directory`.
fn run_in(directory: &Path, block: &str) {
    let path = std::env::var("PATH").unwrap();
    let status = Command::new("sh").args(["-ec", block]).env_clear().env("PATH", path).current_dir(directory).status();
    assert!(status.unwrap().success(), "{block}");
}

/// What a block of commands prints, with `program` in the place of the server that the README talks of.
fn run(block: &str, program: &Program) -> String {
    let path = std::path::Path::new(env!("CARGO_BIN_EXE_roomkey")).parent().unwrap();
    let path = format!("{}:{}", path.display(), std::env::var("PATH").unwrap());
    let block = block.replace("localhost:6080", &program.address().to_string());
    let output = Command::new("sh").args(["-c", &block]).env_clear().env("PATH", path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "CI needs {program}");
    if !there {
        eprintln!("SKIPPED: there is no {program}");
    }
    there
}

#[test]
fn its_first_screen_has_the_two_commands() {
    let readme = readme();
    assert_eq!(blocks(&readme, "sh").get(..2).unwrap(), ["cargo run --release\n", "cargo test\n"]);
    assert!(readme.find("cargo test\n").unwrap() < 1000, "not on the first screen");
}

#[test]
fn its_request_for_a_token_gets_one() {
    if !has("curl") {
        return;
    }
    let program = Program::start();
    let block = blocks(&readme(), "sh").into_iter().find(|block| block.contains("/token ")).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&run(&block, &program)).unwrap();
    assert_eq!(answer["token"].as_str().unwrap().split('.').count(), 3);
}

#[test]
fn its_way_to_follow_is_let_in() {
    if !has("curl") {
        return;
    }
    let program = Program::start();
    let block = blocks(&readme(), "sh").into_iter().find(|block| block.contains("/events ")).unwrap();
    // A stream has no end: a second of it is enough to see that it began.
    let answer = run(&block.replace("curl -N", "curl -N -m 1 -s -w '%{http_code}'"), &program);
    assert!(answer.starts_with("retry:") && answer.ends_with("200"), "{answer:?}");
}

#[test]
fn its_table_of_settings_is_the_programs() {
    let readme = readme();
    let section = readme.split("## Settings").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let told: BTreeSet<&str> = rows.iter().map(|row| row.split('`').nth(1).unwrap()).collect();
    let help = Start::bare().flags(&["--help"]).run().stdout;
    for name in &told {
        assert!(help.contains(name), "--help does not tell {name}");
    }
    for flag in help.lines().filter_map(|line| line.trim_start().strip_prefix("--")) {
        let flag = flag.split(' ').next().unwrap();
        assert!(section.contains(&format!("`--{flag}`")), "the table lacks --{flag}");
    }
}

#[test]
fn its_program_is_installed_before_it_is_used() {
    let commands = blocks(&readme(), "sh").concat();
    let installed = commands.find("cargo install --locked --path .\n").expect("it says how");
    let used = commands.lines().find(|line| line.starts_with("roomkey ") || line.contains("$(roomkey ")).unwrap();
    assert!(installed < commands.find(used).unwrap(), "{used}");
}

#[test]
fn its_log_line_is_the_one_that_is_printed() {
    // A time, a request's id and an event's id are others each time.
    let shape = |line: &str| {
        let words = line.split_whitespace().map(|word| match word.split_once('=') {
            Some((name @ ("request" | "id"), _)) => name.to_owned(),
            _ if word.ends_with('Z') => word.chars().map(|each| if each.is_ascii_digit() { '0' } else { each }).collect(),
            _ => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let mut program = Program::start();
    let url = format!("http://{}/webhook", program.address());
    let event = ["--event", "participant_joined", "--room", "daily-standup", "--identity", "alice"];
    let status = Start::bare().flags(&[&["webhook", "send", "--url", &url][..], &event].concat()).run().status;
    assert_eq!(status, 0);
    assert_eq!(shape(&block_with("text", "INFO delivery")), shape(&program.wait_for("INFO delivery")));
}

#[test]
fn its_pair_for_production_reaches_livekit_and_roomkey() {
    if !has("openssl") {
        return;
    }
    let directory = Directory::new();
    run_in(directory.path(), &block_with("sh", "> keys.yaml\n"));
    let file = directory.path().join("keys.yaml");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let content = fs::read_to_string(&file).unwrap();
    let key = content.trim_end().split_once(": ").unwrap();
    assert_eq!((content.lines().count(), key.0), (1, "APImyKey"));

    let of_livekit = block_with("yaml", "key_file:");
    assert!(of_livekit.contains("key_file: keys.yaml\n") && of_livekit.contains("  api_key: APImyKey\n"), "{of_livekit}");

    let command = block_with("sh", "LIVEKIT_KEYS_FILE=");
    let settings = command.trim_end().strip_suffix(" roomkey").unwrap().split(' ').map(|word| word.split_once('=').unwrap());
    let start = Start::new().secret_file("keys.yaml", &content);
    let program = settings.fold(start, |start, (name, value)| start.env(name, value)).serve();
    let authorization = authorization_at(UnixTime::now(), key, "{}");
    assert_eq!(program.ask(post("/webhook", &[("Authorization", &authorization)], "{}")).status, 200);
    let answer = program.ask(post("/connection-details", &[], "{}")).json();
    assert_eq!(answer["server_url"], "wss://livekit.example.com");
    assert_eq!(payload(answer["participant_token"].as_str().unwrap())["iss"], "APImyKey");
}

#[test]
fn its_restore_brings_back_what_was_backed_up_and_nothing_else() {
    let directory = Directory::new();
    let development = ("devkey", "secret");
    let start = || Start::new().env("ROOMKEY_INBOX", format!("sqlite:{}", directory.path().join("roomkey.db").display())).serve();
    let deliver = |program: &Program, id: &str| {
        let body = format!(r#"{{"event":"room_started","id":"{id}"}}"#);
        let authorization = authorization_at(UnixTime::now(), development, &body);
        assert_eq!(program.ask(post("/webhook", &[("Authorization", &authorization)], body)).status, 200);
    };
    let program = start();
    deliver(&program, "EV_before");
    program.stop();
    run_in(directory.path(), "cp roomkey.db copy.db; test ! -e roomkey.db-wal");

    // Killed with a log that has more than the backup.
    let program = start();
    deliver(&program, "EV_after");
    drop(program);
    assert!(directory.path().join("roomkey.db-wal").exists());

    run_in(directory.path(), &block_with("sh", "copy.db roomkey.db"));
    let program = start();
    let reader = roomkey::AccessToken::new().with_grants(roomkey::VideoGrants { room_list: true, ..Default::default() });
    let token = reader.to_jwt(&api_key(development), UnixTime::now()).unwrap();
    let answer = program.ask(get(&format!("/events?access_token={token}"))).json();
    let ids: Vec<&str> =
        answer["events"].as_array().unwrap().iter().map(|entry| entry["event"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["EV_before"]);
}
