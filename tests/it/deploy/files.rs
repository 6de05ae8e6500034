//! Tests of `roomkey deploy`, and of what can be said about its files without the programs that read them.

use std::collections::BTreeSet;
use std::fs;

use crate::fixtures;
use crate::harness::client::{Client, get};
use crate::harness::program::{Start, free_address};

fn file(name: &str) -> String {
    fs::read_to_string(fixtures::path("src/guide/deploy").join(name)).unwrap()
}

/// The names of metrics in `text`.
fn metrics(text: &str) -> BTreeSet<&str> {
    text.split(|each: char| !each.is_ascii_alphanumeric() && each != '_').filter(|word| word.starts_with("roomkey_")).collect()
}

#[test]
fn every_file_is_listed_and_printed_as_it_is() {
    let listed = Start::command(["deploy"]).run().done();
    let listed: BTreeSet<_> = listed.lines().map(|line| line.split_once("  ").unwrap().0.to_owned()).collect();
    let files = fs::read_dir(fixtures::path("src/guide/deploy")).unwrap();
    assert_eq!(listed, files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect());
    for name in listed {
        assert_eq!(Start::command(["deploy", &name]).run().done(), file(&name), "{name}");
    }
    let sentence = Start::command(["deploy", "roomkey.timer"]).run().wrong();
    assert!(sentence.contains("roomkey.service"), "{sentence}");
}

#[test]
fn every_setting_in_the_files_exists() {
    let help = Start::bare().flags(&["--help"]).run().stdout;
    for name in ["roomkey.service", "roomkey.socket", "compose.yaml", "kubernetes.yaml", "nginx.conf", "Caddyfile"] {
        let content = file(name);
        let words = content.split(|each: char| !each.is_ascii_alphanumeric() && each != '_');
        let is_setting = |word: &&str| {
            let is_upper = word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            is_upper && word.contains('_') && !matches!(*word, "AF_INET" | "AF_UNIX" | "NET_BIND_SERVICE" | "LIVEKIT_NODE_IP")
        };
        for setting in words.filter(is_setting) {
            assert!(help.contains(setting), "{name}: {setting} is no setting");
        }
    }
}

#[test]
fn every_metric_in_an_alert_exists() {
    let address = free_address();
    let _program = Start::new().env("METRICS_BIND", address.to_string()).serve();
    let served = String::from_utf8(Client::connect(address).ask(get("/metrics")).body).unwrap();
    let guide = fs::read_to_string(fixtures::path("src/guide/settings.md")).unwrap();
    let (rules, served, guide) = (file("prometheus-rules.yaml"), metrics(&served), metrics(&guide));
    for metric in metrics(&rules) {
        // Some appear with the first refusal or the first caller; the guide lists them all, and its own test compares it with the program.
        assert!(served.contains(metric) || guide.contains(metric), "there is no metric {metric}");
    }
}
