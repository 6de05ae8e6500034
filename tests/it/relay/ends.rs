//! Tests of what is in flight, or was just taken, when something changes: the file of targets, the end of roomkey, a replay.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use super::site::{Site, id, send, status, steer};
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::wait::eventually;

/// An answer whose head takes this long.
fn slow(byte: Duration) -> Reply {
    Reply::Slow(b"HTTP/1.1 204 Now\r\n\r\n", byte)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_includes_what_was_taken_a_moment_ago() {
    let receiver = Receiver::accepting().await;
    let site = Site::new(&receiver, "");
    let program = site.start();
    for count in 1..=5 {
        let event = format!("EV_{count}");
        send(&program, &event, "room");
        let arrived = async |count| eventually("it arrives", async || receiver.received().len() == count).await;
        arrived(2 * count - 1).await;
        let before = receiver.received().pop().unwrap().header("roomkey-cursor").unwrap().to_owned();
        let before = format!("{:016x}", u64::from_str_radix(&before, 16).unwrap() - 1);
        steer(&program, "replay", &format!(r#"{{"after":"{before}"}}"#));
        arrived(2 * count).await;
        let replayed = receiver.received().pop().unwrap();
        assert_eq!((id(&replayed), replayed.header("roomkey-replay")), (event, Some("1")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_returns_waits_for_what_is_in_flight() {
    let receiver = Receiver::start(|_| slow(Duration::from_millis(100))).await;
    let site = Site::new(&receiver, "");
    let mut program = site.start();
    send(&program, "EV_1", "room");
    eventually("it is in flight", async || receiver.received().len() == 1).await;
    let file = fs::read_to_string(site.relay_file()).unwrap();
    for targets in [file.replace("\"app\"", "\"other\"").replace("\"oldest\"", "\"now\""), file] {
        fs::write(site.relay_file(), targets).unwrap();
        program.signal(Signal::HUP);
        program.wait_for("targets reloaded");
    }
    eventually("it is taken", async || status(&program)["lag"]["entries"] == 0).await;
    assert_eq!(receiver.received().len(), 1, "it is sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_at_the_end_has_ten_seconds() {
    let answer = |received: &_| slow(Duration::from_millis(if id(received) == "EV_1" { 200 } else { 400 }));
    let receiver = Receiver::start(answer).await;
    let site = Site::new(&receiver, "");
    let program = site.start();
    send(&program, "EV_1", "room");
    send(&program, "EV_2", "room");
    // It begins just before the lease is renewed for the first time.
    eventually("it is in flight", async || receiver.received().len() == 2).await;
    let log = tokio::task::spawn_blocking(|| program.stop()).await.unwrap();
    assert!(!log.iter().any(|line| line.contains("lease")), "{log:#?}");
    receiver.answer(|_| Reply::Status(200));
    let again = site.start();
    send(&again, "EV_3", "room");
    eventually("the next one arrives", async || receiver.received().len() > 2).await;
    assert!(receiver.received().iter().map(id).eq(["EV_1", "EV_2", "EV_3"]), "it is sent twice");
}
