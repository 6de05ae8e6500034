//! Tests of the warning about refused webhooks: when it is logged, what it says, and how often.

use std::collections::BTreeSet;

use roomkey::UnixTime;
use serde_json::Value;

use crate::fixtures::{EGRESS_KEY, HEADER, SERVER_KEY, digest, forge};
use crate::harness::client::{post, post_head, request};
use crate::harness::program::{Program, Start};
use crate::harness::sender::{STRANGER, authorization_at};

const TYPE: (&str, &str) = ("Content-Type", "application/webhook+json");

fn start() -> Start {
    let keys = format!("{}: {}\n{}: {}\n", SERVER_KEY.0, SERVER_KEY.1, EGRESS_KEY.0, EGRESS_KEY.1);
    let start = Start::new().env("LIVEKIT_KEYS", keys).env("LIVEKIT_URL", "ws://livekit.internal");
    start.env("LOG_FORMAT", "json").env("ROOMKEY_INBOX", "none")
}

/// The warnings in the log of `program`, which ends.
fn warnings(program: Program) -> Vec<Value> {
    let lines = program.stop();
    let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["level"] == "WARN").collect()
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_else(|| panic!("no {field} in {line}"))
}

#[test]
fn every_refused_webhook_is_warned_of_with_its_key_and_reason() {
    let now = UnixTime::now();
    let wrong = authorization_at(now, (SERVER_KEY.0, STRANGER.1), "");
    let stranger = format!("Bearer {}", authorization_at(now, STRANGER, ""));
    let expired = authorization_at(UnixTime::from_secs(1), EGRESS_KEY, "");
    let other = authorization_at(now, SERVER_KEY, "another body");
    let early = authorization_at(UnixTime::from_secs(now.as_secs() + 3600), SERVER_KEY, "");
    let fine = authorization_at(now, SERVER_KEY, "");
    let no_digest = forge(HEADER, format!(r#"{{"iss":"{}","exp":{}}}"#, SERVER_KEY.0, now.as_secs() + 60));
    let no_expiry = forge(HEADER, format!(r#"{{"iss":"{}","sha256":"{}"}}"#, SERVER_KEY.0, digest("")));
    let of = |token: &str| post("/webhook", &[("Authorization", token), TYPE], "");
    let program = start().serve();
    let huge = "x".repeat(17_000);
    let cases = [
        (401, of(&stranger), STRANGER.0, "is not known", "APIegressFixture"),
        (401, of(&wrong), SERVER_KEY.0, "signature", "secret"),
        (401, of(&expired), EGRESS_KEY.0, "expired", "clock"),
        (401, of(&other), SERVER_KEY.0, "not the one", "webhook verify"),
        (401, of(&early), SERVER_KEY.0, "not valid before", "clock"),
        (401, of(&no_digest), SERVER_KEY.0, "no sha256", ""),
        (401, of(&no_expiry), SERVER_KEY.0, "no expiry", ""),
        (400, of("no token"), "", "base64url", ""),
        (400, post("/webhook", &[], ""), "", "Authorization", "prox"),
        (400, post("/livekit/webhook/", &[("Host", "two")], ""), "", "Host", ""),
        (413, post_head("/webhook", &[("Authorization", &fine)], 9_000_000), SERVER_KEY.0, "8388608", ""),
        (431, post("/webhook", &[("Authorization", &fine), ("X", &huge)], ""), SERVER_KEY.0, "head is too large", ""),
    ];
    let names = [SERVER_KEY.0, EGRESS_KEY.0];
    let mut ids = BTreeSet::new();
    for (status, request, ..) in &cases {
        let answer = program.ask(request);
        assert_eq!(answer.status, *status, "{}", String::from_utf8_lossy(request));
        ids.insert(answer.header("x-request-id").unwrap().to_owned());
        // The answer says no more than without the warning.
        assert!(!names.iter().any(|name| answer.error().contains(name)));
    }
    let warnings = warnings(program);
    assert_eq!(warnings.len(), cases.len(), "{warnings:#?}");
    for (line, (_, _, key, reason, help)) in warnings.iter().zip(&cases) {
        assert_eq!((text(line, "key"), text(line, "client")), (*key, "127.0.0.1"), "{line}");
        assert!(text(line, "path").contains("webhook") && ids.contains(text(line, "request")), "{line}");
        assert!(text(line, "reason").contains(reason), "{reason} in {line}");
        assert!(text(line, "help").contains(help), "{help} in {line}");
        assert!(text(line, "message").contains("refused"));
        assert!(![SERVER_KEY, EGRESS_KEY, STRANGER].iter().any(|(_, secret)| line.to_string().contains(secret)));
    }
    assert!(text(&warnings[0], "help").contains(SERVER_KEY.0), "every key of ours is named");
}

#[test]
fn a_webhook_at_another_path_is_warned_of_with_the_path() {
    let program = start().env("BASE_PATH", "/x").serve();
    let fine = authorization_at(UnixTime::now(), SERVER_KEY, "{}");
    for (status, path, content_type) in [
        (404, "/webhook", TYPE.1),
        (404, "/x/webhooks?secret", "Application/Webhook+JSON; charset=utf-8"),
        (404, "/", TYPE.1),
        (415, "/x/token", TYPE.1),
        (405, "/x/events", TYPE.1),
        (404, "/x/nothing", "application/json"),
    ] {
        for _ in 0..3 {
            let request = post(path, &[("Authorization", &fine), ("Content-Type", content_type)], "{}");
            assert_eq!(program.ask(request).status, status, "{path}");
        }
    }
    assert_eq!(program.ask(request("GET", "/x/other", &[TYPE], b"")).status, 404);
    assert_eq!(program.ask(request("GET", "/x/webhook", &[TYPE], b"")).status, 405);
    let warnings = warnings(program);
    let paths: Vec<_> = warnings.iter().map(|line| text(line, "path")).collect();
    assert_eq!(paths, ["/webhook", "/x/webhooks", "/", "/x/token", "/x/events"]);
    for line in &warnings {
        assert!(text(line, "help").contains("end with /x/webhook"), "{line}");
        assert!(!line.to_string().contains("?secret"));
    }
}

#[test]
fn what_repeats_is_warned_of_once_and_strangers_cannot_hide_a_key_of_ours() {
    let program = start().serve();
    let mut client = program.connect();
    let now = UnixTime::now();
    for number in 0..200 {
        let name = format!("{}{number}\u{202e}\n", "k".repeat(number));
        let authorization = authorization_at(now, (&name, STRANGER.1), "");
        for _ in 0..2 {
            assert_eq!(client.ask(post("/webhook", &[("Authorization", &authorization)], "")).status, 401);
        }
    }
    let ours = authorization_at(now, (EGRESS_KEY.0, STRANGER.1), "");
    for _ in 0..5 {
        assert_eq!(client.ask(post("/webhook", &[("Authorization", &ours)], "")).status, 401);
    }
    let warnings = warnings(program);
    assert_eq!(warnings.len(), 64 + 1 + 1, "each of 64, one for the others, and ours");
    assert_eq!(text(warnings.last().unwrap(), "key"), EGRESS_KEY.0);
    for line in &warnings {
        assert!(text(line, "key").chars().count() <= 128, "{line}");
    }
}
