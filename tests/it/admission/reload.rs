//! Tests of a policy that changes: requests go on, a broken file changes nothing, and a removed credential ends at once.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;

use rustix::process::Signal;
use serde_json::json;

use super::support::{BACKEND_TOKEN, BODY, POLICY, SCHOOL_SECRET, ask, claims, school_jwt, with_policy};
use crate::harness::client::{Client, post};

#[test]
fn a_change_is_picked_up_and_a_mistake_is_not() {
    let mut program = with_policy(POLICY).serve();
    let path = program.directory().join("policy.toml");
    claims(&ask(&program, &school_jwt(json!({})), BODY));
    fs::write(&path, POLICY.replace("course-{claims.course}", "class-{claims.course}")).unwrap();
    program.wait_for("policy reloaded");
    assert_eq!(ask(&program, &school_jwt(json!({})), BODY).status, 403);
    fs::write(&path, POLICY.replace("subscribe", "subscrib")).unwrap();
    let line = program.wait_for("the policy stays as it was");
    assert!(line.contains("line 18, column 10") && line.contains("subscribe"), "{line}");
    assert_eq!(ask(&program, &school_jwt(json!({})), BODY).status, 403);
    fs::write(&path, POLICY).unwrap();
    program.wait_for("policy reloaded");
    claims(&ask(&program, &school_jwt(json!({})), BODY));
}

#[test]
fn a_secret_in_a_file_is_read_again() {
    let policy = POLICY.replace("token_env = \"BACKEND_TOKEN\"", "token_file = \"backend.token\"");
    let mut program = with_policy(&policy).file("backend.token", format!("{BACKEND_TOKEN}\n")).serve();
    claims(&ask(&program, BACKEND_TOKEN, BODY));
    fs::write(program.directory().join("backend.token"), "another-token-0123456789\n").unwrap();
    program.wait_for("policy reloaded");
    assert_eq!(ask(&program, BACKEND_TOKEN, BODY).status, 401);
    claims(&ask(&program, "another-token-0123456789", BODY));
}

#[test]
fn five_hundred_changes_fail_no_request() {
    let mut program = with_policy(POLICY).serve();
    let (address, path) = (program.address(), program.directory().join("policy.toml"));
    let (is_over, answers) = (AtomicBool::new(false), AtomicU32::new(0));
    let ask_on = |bearer: &str| {
        let (mut client, authorization) = (Client::connect(address), format!("Bearer {bearer}"));
        while !is_over.load(Relaxed) {
            let answer = client.ask(post("/token", &[("Authorization", &authorization)], BODY));
            assert_eq!(answer.status, 200);
            answers.fetch_add(1, Relaxed);
        }
    };
    let jwt = school_jwt(json!({"exp": roomkey::UnixTime::now().as_secs() + 3600}));
    thread::scope(|scope| {
        let threads = [scope.spawn(|| ask_on(&jwt)), scope.spawn(|| ask_on(BACKEND_TOKEN))];
        for turn in 0..500 {
            let policy = match turn % 3 {
                0 => format!("{POLICY}# {turn}\n"),
                1 => "not toml [".to_owned(),
                _ => POLICY.replace("10m", &format!("{}m", turn + 1)),
            };
            fs::write(&path, policy).unwrap();
            program.signal(Signal::HUP);
            if turn % 50 == 0 {
                program.wait_for(if turn % 3 == 1 { "stays as it was" } else { "policy reloaded" });
            }
        }
        is_over.store(true, Relaxed);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert!(answers.into_inner() > 100);
}

#[test]
fn keys_with_the_secret_of_a_caller_are_not_taken() {
    let start = with_policy(POLICY).secret_file("keys.yaml", "APIone: 0123456789abcdef0123456789abcdef\n");
    let mut program = start.env("LIVEKIT_KEYS_FILE", "keys.yaml").serve();
    fs::write(program.directory().join("keys.yaml"), format!("APIone: {SCHOOL_SECRET}\n")).unwrap();
    let line = program.wait_for("the keys stay as they were");
    assert!(line.contains("callers.school") && !line.contains(SCHOOL_SECRET), "{line}");
    claims(&ask(&program, &school_jwt(json!({})), BODY));
}
