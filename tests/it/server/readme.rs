//! Owns the tests of the README: its commands are run, its tables held against the program.

use std::collections::BTreeSet;
use std::process::Command;

use super::program::{Program, Start};

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// The fenced blocks of a language.
fn blocks(readme: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    readme.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// What a block of commands prints, with `program` in the place of the server that the README talks of.
fn run(block: &str, program: &Program) -> String {
    let path = std::path::Path::new(env!("CARGO_BIN_EXE_roomkey")).parent().unwrap();
    let path = format!("{}:{}", path.display(), std::env::var("PATH").unwrap());
    let block = block.replace("localhost:6080", &program.address().to_string());
    let output = Command::new("sh").args(["-c", &block]).env_clear().env("PATH", path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn has_curl() -> bool {
    let there = Command::new("curl").arg("--version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "CI needs curl");
    if !there {
        eprintln!("SKIPPED: there is no curl");
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
    if !has_curl() {
        return;
    }
    let program = Program::start();
    let block = blocks(&readme(), "sh").into_iter().find(|block| block.contains("/token ")).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&run(&block, &program)).unwrap();
    assert_eq!(answer["token"].as_str().unwrap().split('.').count(), 3);
}

#[test]
fn its_way_to_follow_is_let_in() {
    if !has_curl() {
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
    let (_, help, _) = Start::bare().flags(&["--help"]).run();
    for name in &told {
        assert!(help.contains(name), "--help does not tell {name}");
    }
    for flag in help.lines().filter_map(|line| line.trim_start().strip_prefix("--")) {
        let flag = flag.split(' ').next().unwrap();
        assert!(section.contains(&format!("`--{flag}`")), "the table lacks --{flag}");
    }
}
