//! Tests of whole runs: roomkey takes events as LiveKit sends them, and an application's endpoint receives them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::site::{Site, id, owed, room, send, status, steer};
use crate::harness::program::Program;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::wait::eventually;

/// The ids that arrived for each room, in order.
fn by_room(receiver: &Receiver) -> BTreeMap<String, Vec<String>> {
    let mut rooms = BTreeMap::<_, Vec<_>>::new();
    receiver.received().iter().for_each(|received| rooms.entry(room(received)).or_default().push(id(received)));
    rooms
}

/// Waits until it is committed that the target has taken everything.
async fn nothing_is_left(program: &Program) {
    eventually("nothing is left", async || status(program)["lag"]["entries"] == 0).await;
}

/// Waits until this many requests have arrived.
async fn receives(receiver: &Receiver, count: usize) {
    eventually("the requests arrive", async || receiver.received().len() >= count).await;
}

fn ids(receiver: &Receiver) -> BTreeSet<String> {
    receiver.received().iter().map(id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_arrives_once_in_the_order_of_its_room() {
    let receiver = Receiver::accepting().await;
    let site = Site::new(&receiver, "");
    let program = site.start();
    let expected = |room: usize| (0..20).map(|count| format!("EV_{room}_{count}")).collect::<Vec<_>>();
    for count in 0..20 {
        (0..5).for_each(|room| send(&program, &format!("EV_{room}_{count}"), &format!("room-{room}")));
    }
    receives(&receiver, 100).await;
    assert_eq!(by_room(&receiver), (0..5).map(|room| (format!("room-{room}"), expected(room))).collect());
    eventually("nothing is left", async || {
        let status = status(&program);
        status["lag"]["entries"] == 0 && status["owed"]["held"] == 0 && status["circuit"] == "closed"
    })
    .await;
    let log = program.stop();
    assert!(!log.iter().any(|line| line.contains("WARN") && line.contains("target")), "{log:#?}");
    let again = site.start();
    send(&again, "EV_last", "room-0");
    receives(&receiver, 101).await;
    assert_eq!(receiver.received().len(), 101, "nothing is sent twice after a stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_event_holds_up_its_own_room_and_then_only_itself() {
    let answer = |received: &_| if id(received).contains("poison") { Reply::Status(500) } else { Reply::Status(200) };
    let receiver = Receiver::start(answer).await;
    let site = Site::new(&receiver, "hold = \"3s\"");
    let program = site.start();
    send(&program, "EV_poison", "bad");
    send(&program, "EV_behind", "bad");
    (0..30).for_each(|count| send(&program, &format!("EV_{count}"), "good"));
    eventually("the other room goes on", async || ids(&receiver).len() == 31).await;
    assert!(!ids(&receiver).contains("EV_behind"), "its own room waits");
    eventually("its own room goes on", async || ids(&receiver).contains("EV_behind")).await;
    eventually("it is set aside", async || owed(&program, "aside").len() == 1).await;
    eventually("nothing else is owed", async || {
        status(&program)["owed"] == serde_json::json!({"held": 0, "aside": 1, "dead": 0})
    })
    .await;
    let poison = &owed(&program, "aside")[0];
    assert_eq!((poison["lane"].as_str(), poison["status"].as_u64()), (Some("bad"), Some(500)));

    receiver.answer(|_| Reply::Status(200));
    steer(&program, "retry", r#"{"state":"aside"}"#);
    eventually("it is taken", async || status(&program)["owed"]["aside"] == 0).await;
    let last = receiver.received().pop().unwrap();
    assert_eq!((id(&last).as_str(), last.header("roomkey-late")), ("EV_poison", Some("1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_was_down_gets_everything_in_order() {
    let receiver = Receiver::start(|_| Reply::Status(503)).await;
    let site = Site::new(&receiver, "");
    let program = site.start();
    for count in 0..20 {
        (0..3).for_each(|room| send(&program, &format!("EV_{room}_{count}"), &format!("room-{room}")));
    }
    eventually("the circuit opens", async || status(&program)["circuit"] == "open").await;
    assert_eq!(status(&program)["owed"], serde_json::json!({"held": 0, "aside": 0, "dead": 0}));
    let taken = Arc::new(AtomicUsize::new(0));
    receiver.answer({
        let taken = Arc::clone(&taken);
        move |_| {
            taken.fetch_add(1, SeqCst);
            Reply::Status(200)
        }
    });
    eventually("everything arrives", async || taken.load(SeqCst) == 60).await;
    let last: Vec<_> = receiver.received().into_iter().rev().take(60).collect();
    for number in 0..3 {
        let of_room = last.iter().rev().filter(|received| room(received) == format!("room-{number}"));
        assert!(of_room.map(id).eq((0..20).map(|count| format!("EV_{number}_{count}"))));
    }
    assert!(last.iter().all(|received| received.header("roomkey-late").is_none()));
    eventually("the circuit is closed", async || status(&program)["circuit"] == "closed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_paused_and_resumed_and_gets_events_again() {
    let receiver = Receiver::accepting().await;
    let site = Site::new(&receiver, "");
    let program = site.start();
    send(&program, "EV_1", "room");
    receives(&receiver, 1).await;
    steer(&program, "pause", "");
    assert_eq!(status(&program)["paused"], true);
    send(&program, "EV_2", "room");
    program.stop();
    let program = site.start();
    eventually("it goes on", async || status(&program)["lag"]["entries"] == 1).await;
    assert_eq!(receiver.received().len(), 1, "it stays paused after a restart");
    steer(&program, "resume", "{}");
    receives(&receiver, 2).await;
    nothing_is_left(&program).await;

    steer(&program, "replay", r#"{"since":"2020-01-01T00:00:00Z"}"#);
    receives(&receiver, 4).await;
    let replayed = &receiver.received()[2..];
    assert!(replayed.iter().map(id).eq(["EV_1", "EV_2"]));
    assert!(replayed.iter().all(|received| received.header("roomkey-replay") == Some("1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_answers_410_is_paused() {
    let receiver = Receiver::start(|_| Reply::Status(410)).await;
    let site = Site::new(&receiver, "");
    let mut program = site.start();
    send(&program, "EV_1", "room");
    program.wait_for("410");
    eventually("it is paused", async || status(&program)["paused"] == true).await;
    send(&program, "EV_2", "room");
    receiver.answer(|_| Reply::Status(200));
    steer(&program, "resume", "");
    receives(&receiver, 3).await;
    assert!(receiver.received().iter().map(id).eq(["EV_1", "EV_1", "EV_2"]), "in order");
}
