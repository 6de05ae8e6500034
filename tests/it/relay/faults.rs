//! Tests of what a target's answers do to the order: an event that failed is sent again before anything else of its room.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::arrivals::Arrivals;
use super::site::{Site, has_taken_everything, id, room, send, status_of};
use crate::harness::receiver::{Received, Receiver, Reply};
use crate::harness::wait::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_sent_again_before_the_next_event_of_its_room() {
    let faults: [(&str, Reply); 7] = [
        ("reset", Reply::Reset),
        ("closed", Reply::Close("")),
        ("torn", Reply::Close("HTTP/1.1 200")),
        ("no HTTP", Reply::Close("SSH-2.0-x\r\n\r\n")),
        ("redirected", Reply::With(307, "location: /elsewhere", "")),
        ("wrong", Reply::Status(500)),
        ("busy", Reply::Status(429)),
    ];
    let rooms: Vec<_> = faults.iter().map(|(name, _)| *name).collect();
    let arrivals = Arrivals::default();
    let (taking, mut failed) = (arrivals.clone(), BTreeSet::new());
    let receiver = Receiver::start(move |received| {
        let fault = faults.iter().find(|(name, _)| *name == room(received)).map(|(_, fault)| fault.clone());
        fault.filter(|_| failed.insert(id(received))).unwrap_or_else(|| taking.take(received))
    })
    .await;
    let site = Site::new(&receiver, "");
    let program = site.start();
    for count in 0..3 {
        rooms.iter().for_each(|room| send(&program, &format!("EV_{room}_{count}"), room));
    }
    has_taken_everything(&program, "app").await;
    arrivals.assert_order();
    assert_eq!((arrivals.count(), arrivals.repeated()), (3 * rooms.len(), 0));
    let received = receiver.received();
    assert!(received.iter().all(|received| received.head.starts_with("POST / ")), "a redirect was followed");
    for room_name in rooms {
        let mut ids: Vec<_> = received.iter().filter(|received| room(received) == room_name).map(id).collect();
        assert!(ids.len() >= 6, "each failed once: {ids:?}");
        ids.dedup();
        assert_eq!(ids.len(), 3, "something was sent before what had failed: {ids:?}");
    }
}

/// A target that answers `first` to `EV_first` as long as the clock is right, and takes everything else, beside one that takes
/// everything. `EV_first` and `EV_second` are sent, each in its room. Returns which of them arrived before the clock was moved by an
/// hour, and which after that.
async fn around_an_hour(first: Reply, rooms: [&str; 2]) -> Option<[Vec<String>; 2]> {
    let (other, others) = Arrivals::accepting().await;
    let arrivals = Arrivals::default();
    let (taking, mut is_first) = (arrivals.clone(), true);
    let fails = move |received: &Received| if std::mem::take(&mut is_first) { first.clone() } else { taking.take(received) };
    let receiver = Receiver::start(fails).await;
    let site = Site::new(&receiver, "hold = \"2h\"").with_target("crm", other.port(), "").with_clock()?;
    let program = site.start();
    send(&program, "EV_first", rooms[0]);
    eventually("it fails", async || !status_of(&program, "app")["lastError"].as_str().unwrap_or("").is_empty()).await;
    send(&program, "EV_second", rooms[1]);
    // It takes longer to arrive at the other target, to be committed there, and to be asked for.
    has_taken_everything(&program, "crm").await;
    assert_eq!(others.count(), 2);
    let moved = Instant::now();
    site.move_clock(Duration::from_secs(3601));
    has_taken_everything(&program, "app").await;
    arrivals.assert_order();
    let (before, after): (Vec<_>, Vec<_>) = arrivals.all().into_iter().partition(|arrival| arrival.at < moved);
    Some([before, after].map(|arrivals| arrivals.into_iter().map(|arrival| arrival.id).collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_with_429_and_503_holds_up_the_whole_target() {
    for status in [429, 503] {
        let answer = Reply::With(status, "retry-after: 3600", "");
        let Some([before, mut after]) = around_an_hour(answer, ["a", "b"]).await else { return };
        after.sort();
        assert_eq!((before.len(), after), (0, ["EV_first", "EV_second"].map(str::to_owned).into()), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_with_any_other_status_holds_up_the_room() {
    let answer = Reply::With(400, "retry-after: 3600", "");
    let Some([before, after]) = around_an_hour(answer.clone(), ["a", "b"]).await else { return };
    assert_eq!((before, after), (vec!["EV_second".to_owned()], vec!["EV_first".to_owned()]), "another room goes on");
    let Some([before, after]) = around_an_hour(answer, ["a", "a"]).await else { return };
    assert_eq!((before.len(), after), (0, ["EV_first", "EV_second"].map(str::to_owned).into()), "its own room waits");
}
