//! Tests of the thread that the relay runs on.

use std::fs;

use super::site::{Site, send};
use crate::harness::program::{Program, Start};
use crate::harness::receiver::Receiver;

/// The names and the nice values of its threads (proc_pid_stat(5)).
fn threads(program: &Program) -> Vec<(String, i32)> {
    let threads = fs::read_dir(format!("/proc/{}/task", program.id())).unwrap();
    let stats = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("stat")).unwrap());
    let named = stats.map(|stat| {
        let (name, rest) = stat.split_once('(').unwrap().1.rsplit_once(") ").unwrap();
        (name.to_owned(), rest.split(' ').nth(16).unwrap().parse().unwrap())
    });
    named.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_gives_way_to_everything_else() {
    let receiver = Receiver::accepting().await;
    let mut site = Site::new(&receiver, "");
    // Many begin at once, and start threads that read the inbox.
    for target in 0..40 {
        site = site.with_target(&format!("target-{target}"), receiver.port(), "");
    }
    let program = site.start();
    send(&program, "EV_1", "a");
    receiver.has_received(41).await;
    let (relay, rest): (Vec<_>, Vec<_>) = threads(&program).into_iter().partition(|(name, _)| name == "relay");
    let own = rest.iter().find(|(name, _)| name == "roomkey").unwrap().1;
    assert_eq!(relay, [("relay".to_owned(), 19)]);
    assert!(rest.iter().all(|(_, niceness)| *niceness == own), "{rest:?}");
}

#[test]
fn without_targets_there_is_no_thread_for_them() {
    let program = Start::new().env("SERVER_BIND", "127.0.0.1").serve();
    assert!(threads(&program).iter().all(|(name, _)| name != "relay"));
}
