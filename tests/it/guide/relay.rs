//! Checks the guide's page on the relay: its example is the fixture and can be used, and its table has every key.

use std::fs;

use super::{block, blocks, page};
use crate::fixtures;
use crate::harness::directory::Directory;
use crate::harness::outside::is_installed;
use crate::harness::program::Start;

const PAGE: &str = "src/guide/relay.md";

fn fixture(name: &str) -> String {
    fs::read_to_string(fixtures::path("fixtures/relay").join(name)).unwrap()
}

#[test]
fn the_example_is_the_fixture() {
    assert_eq!(blocks(PAGE, "toml").next().unwrap(), fixture("relay.toml"));
    assert_eq!(block("README.md", "toml", "[[target]]"), fixture("relay.toml"));
}

#[test]
fn the_first_target_can_be_used() {
    if !is_installed("openssl", "version") {
        return;
    }
    let directory = Directory::new();
    directory.write("relay.toml", fixture("relay.toml"));
    super::commands::run_in(directory.path(), &block(PAGE, "sh", "openssl rand"));
}

#[test]
fn the_table_has_every_key() {
    let (page, file) = (page(PAGE), fixture("everything.toml"));
    let checked = Start::command(["relay", "check", "relay.toml"]).file("relay.toml", &file).run();
    assert_eq!(checked.done(), "relay.toml: 1 target, no mistakes\n");
    let table = page.split("## The keys of a target").nth(1).unwrap().split("\n## ").next().unwrap();
    let keys: Vec<&str> = file.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    for key in &keys {
        assert!(table.contains(&format!("`{key}`")), "the table lacks {key}");
    }
    let first = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert!(first.clone().count() > 10);
    for key in first {
        let is_known = keys.contains(&key) || keys.contains(&key.replace("_file", "_env").as_str());
        assert!(is_known, "everything.toml lacks {key}");
    }
}
