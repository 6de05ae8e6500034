//! Tests of requests under way while keys change: none fails, and each ends with the keys it began with.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use roomkey::UnixTime;
use rustix::process::Signal;

use super::support::{Key, NEW, OLD, Rotating, list, minting, webhook};
use crate::fixtures::payload;
use crate::harness::client::{Client, post_head};
use crate::harness::sender::authorization_at;

const BODY: &str = r#"{"roomName":"daily","participantName":"alice"}"#;

#[test]
fn no_request_fails_while_keys_rotate() {
    let mut rotating = Rotating::with(&[OLD]);
    let address = rotating.program.address();
    let (begin, told_to_end) = (Instant::now(), AtomicBool::new(false));
    // So that the thread ends even if the test fails.
    let is_over = || told_to_end.load(Relaxed) || begin.elapsed() > Duration::from_secs(120);
    let answers = AtomicU32::new(0);
    let deliver = |key: Key| {
        let mut client = Client::connect(address);
        while !is_over() {
            assert_eq!(client.ask(webhook(key)).status, 200, "{}", key.0);
            answers.fetch_add(1, Relaxed);
        }
    };
    let mint = || {
        let mut client = Client::connect(address);
        while !is_over() {
            assert!([OLD.0, NEW.0].contains(&minting(&mut client).as_str()));
            answers.fetch_add(1, Relaxed);
        }
    };
    thread::scope(|scope| {
        // LiveKit signs with the old key until roomkey knows the new one.
        let old = [scope.spawn(|| deliver(OLD)), scope.spawn(|| deliver(OLD))];
        let minted = scope.spawn(mint);
        thread::sleep(Duration::from_millis(300));
        rotating.replace(list(&[OLD, NEW]));
        rotating.program.wait_for("keys reloaded");
        let new = scope.spawn(|| deliver(NEW));
        for turn in 0..60 {
            let keys = if turn % 2 == 0 { [NEW, OLD] } else { [OLD, NEW] };
            // Both ways to write, with a signal and without.
            if turn % 3 == 0 {
                rotating.write(list(&keys))
            } else {
                rotating.replace(list(&keys))
            }
            if turn % 4 == 0 {
                rotating.program.signal(Signal::HUP);
            }
            thread::sleep(Duration::from_millis(50));
        }
        rotating.write("no: good\n");
        rotating.program.wait_for("stay as they were");
        told_to_end.store(true, Relaxed);
        for thread in old.into_iter().chain([minted, new]) {
            thread.join().unwrap();
        }
    });
    assert!(answers.into_inner() > 100);
}

#[test]
fn a_request_ends_with_the_keys_it_began_with() {
    let mut rotating = Rotating::with(&[OLD]);
    let (begin, end) = BODY.split_at(10);
    let authorization = authorization_at(UnixTime::now(), OLD, BODY);
    let begun = |path: &str, headers: &[(&str, &str)]| {
        let mut client = rotating.program.connect();
        let headers = [&[("Expect", "100-continue")], headers].concat();
        client.send(post_head(path, &headers, BODY.len()));
        assert_eq!(client.answer().status, 100); // the program has its head
        client.send(begin);
        client
    };
    let mut delivery = begun("/webhook", &[("Authorization", &authorization)]);
    let tokens = ["/token", "/connection-details"].map(|path| (path, begun(path, &[("Content-Type", "application/json")])));

    rotating.replace(list(&[NEW]));
    rotating.ask_for("keys reloaded");
    assert_eq!([OLD, NEW].map(|key| rotating.delivered(key)), [401, 200]);
    assert_eq!(delivery.ask(end).status, 200);
    for (path, mut client) in tokens {
        let answer = client.ask(end);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let json = answer.json();
        let token = json.get("token").or(json.get("participant_token")).unwrap();
        assert_eq!(payload(token.as_str().unwrap())["iss"], OLD.0, "{path}");
        assert_eq!(minting(&mut client), NEW.0, "the next request on the same connection");
    }
}
