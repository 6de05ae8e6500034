//! Tests of what a target is asked to do and cannot: events that it does not owe, and more than can wait.

use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::site::{Site, has_taken_everything, id, owed, send, status, steer, try_steer};
use crate::harness::client::Answer;
use crate::harness::program::{Program, free_address};
use crate::harness::receiver::{Received, Receiver, Reply};
use crate::harness::redis_server::RedisServer;
use crate::harness::wait::eventually_blocking;
use crate::inbox::support::guide_rules;

/// Later than every event.
const NEVER: &str = "7fffffffffffffff";

fn ids(receiver: &Receiver) -> Vec<String> {
    receiver.received().iter().map(id).collect()
}

fn cursor(received: &Received) -> String {
    received.header("roomkey-cursor").unwrap().to_owned()
}

fn named(cursors: &[&str]) -> String {
    json!({"cursors": cursors}).to_string()
}

/// A request that names events that are not owed: these.
#[track_caller]
fn assert_not_owed(answer: &Answer, cursors: &[&str]) {
    let error = format!("nothing is done, because the target does not owe {}", cursors.join(", "));
    assert_eq!((answer.status, answer.error()), (409, error));
}

/// The cursors of an event that the target refuses, which it owes, and of one that it took.
async fn poisoned(program: &Program, receiver: &Receiver) -> [String; 2] {
    send(program, "bad", "b");
    receiver.has_received(1).await;
    send(program, "good", "a");
    eventually_blocking("it is owed", || owed(program, "held").len() == 1);
    let received = receiver.received();
    ["bad", "good"].map(|wanted| cursor(received.iter().find(|each| id(each) == wanted).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_owed_can_be_retried_or_skipped() {
    let redis = RedisServer::start();
    // The guide's permissions are enough for the relay.
    let rules = ["the inbox", "the relay"].map(guide_rules).concat();
    for inbox in [None, redis.as_ref().map(|redis| redis.url_of_user(&rules))] {
        let receiver = Receiver::start(|received| Reply::Status(if id(received) == "bad" { 500 } else { 200 })).await;
        let mut site = Site::new(&receiver, "");
        if let Some(inbox) = inbox {
            site = site.with_inbox(inbox);
        }
        let program = site.start();
        let [bad, good] = poisoned(&program, &receiver).await;
        for verb in ["retry", "skip"] {
            assert_not_owed(&try_steer(&program, verb, &named(&[&good])), &[&good]);
            let several = [NEVER, &bad, &good, "0000000000000001"];
            assert_not_owed(&try_steer(&program, verb, &named(&several)), &[NEVER, &good, "0000000000000001"]);
        }
        let held = owed(&program, "held");
        assert_eq!((&held[0]["cursor"], held.len()), (&json!(bad), 1), "nothing was done");
        steer(&program, "retry", &named(&[&bad]));
        steer(&program, "skip", &named(&[&bad]));
        assert_not_owed(&try_steer(&program, "skip", &named(&[&bad])), &[&bad]);
        let before = receiver.received().len();
        steer(&program, "pause", "");
        steer(&program, "replay", &json!({"after": "0000000000000000", "until": good}).to_string());
        assert_eq!(status(&program)["paused"], true);
        steer(&program, "resume", "");
        receiver.has_received(before + 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_target_is_yet_to_get_can_be_skipped() {
    let address = free_address();
    let site = Site::at(address.port(), "");
    let program = site.start();
    for id in ["1", "2"] {
        send(&program, id, "a");
    }
    eventually_blocking("the target is down", || status(&program)["circuit"] == "open");
    let first = u64::from_str_radix(status(&program)["cursor"].as_str().unwrap(), 16).unwrap() + 1;
    assert_eq!(owed(&program, "held"), [] as [Value; 0]);
    steer(&program, "skip", &named(&[&format!("{first:016x}")]));
    let receiver = Receiver::listen(TcpListener::bind(address).await.unwrap(), |_| Reply::Status(200));
    eventually_blocking("the target has the rest", || status(&program)["lag"]["entries"] == 0);
    assert_eq!(ids(&receiver), ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_expired_can_only_be_skipped() {
    const OWED: &str =
        "INSERT INTO owed (target, cursor, lane, state, attempts, error, replay) VALUES ('app', 1, '', 'expired', 0, '', 0)";
    let receiver = Receiver::accepting().await;
    let site = Site::new(&receiver, "");
    let program = site.start();
    send(&program, "1", "a");
    has_taken_everything(&program, "app").await;
    program.stop();
    Connection::open(site.inbox_file()).unwrap().execute(OWED, []).unwrap();
    let program = site.start();
    let cursors = ["0000000000000001"];
    assert_not_owed(&try_steer(&program, "retry", &named(&cursors)), &cursors);
    assert_eq!(owed(&program, "expired").len(), 1);
    steer(&program, "skip", &named(&cursors));
    assert_eq!(owed(&program, "expired"), [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_for_the_holder_of_the_target_up_to_a_limit() {
    let Some(redis) = RedisServer::start() else { return };
    let receiver = Receiver::accepting().await;
    // Another roomkey relays to the target, and does nothing.
    redis.command(&["HSET", "{roomkey}:targets", "app:holder", "another", "app:until", "9999999999999"]);
    let site = Site::new(&receiver, "").with_inbox(redis.url());
    let program = site.start();
    for number in 1..=100 {
        redis.command(&["ZADD", "{roomkey}:steering", "0", &format!("app:{number:016}:{{\"pause\":true}}")]);
    }
    let answer = try_steer(&program, "pause", "");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(answer.error(), "too many requests of this target are not done yet: try again once it has done some of them");
}
