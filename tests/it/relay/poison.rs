//! Tests of what is wrong with one event or one target while everything else goes on.

use std::time::Duration;

use serde_json::json;

use super::arrivals::Arrivals;
use super::site::{Site, has_taken_everything, id, nothing_owed, status_of};
use crate::harness::program::free_address;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::wait::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn one_poison_event_among_10_000_holds_up_its_room_and_then_only_itself() {
    const POISON: &str = "EV_107";
    let (other, others) = Arrivals::accepting().await;
    let arrivals = Arrivals::default();
    let taking = arrivals.clone();
    let receiver =
        Receiver::start(move |received| if id(received) == POISON { Reply::Status(500) } else { taking.take(received) }).await;
    receiver.forget();
    let Some(site) = Site::new(&receiver, "").with_target("crm", other.port(), "").with_clock() else { return };
    site.fill(9_999, 100);
    let program = site.start();
    has_taken_everything(&program, "crm").await;
    others.assert_order();
    assert_eq!((others.count(), others.repeated()), (10_000, 0), "the other target");

    // Its room has 98 events behind it, and one before.
    let owes = async |owed| eventually("it owes this", async || status_of(&program, "app")["owed"] == owed).await;
    owes(json!({"held": 99, "aside": 0, "dead": 0})).await;
    let of_room: Vec<_> =
        arrivals.all().into_iter().filter(|arrival| arrival.room == "room-7").map(|arrival| arrival.id).collect();
    assert_eq!((arrivals.count(), of_room), (9_901, vec!["EV_7".to_owned()]));

    let hold = Duration::from_secs(15 * 60);
    site.move_clock(hold);
    owes(json!({"held": 0, "aside": 1, "dead": 0})).await;
    arrivals.assert_order();
    assert_eq!((arrivals.count(), arrivals.repeated()), (9_999, 0));

    receiver.answer(arrivals.taking());
    site.move_clock(hold + Duration::from_secs(31 * 60));
    has_taken_everything(&program, "app").await;
    let all = arrivals.all();
    let late: Vec<_> = all.iter().filter(|arrival| arrival.is_late).map(|arrival| &*arrival.id).collect();
    assert_eq!((all.len(), late), (10_000, vec![POISON]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_target_gets_everything_beside_dead_ones() {
    let (receiver, arrivals) = Arrivals::accepting().await;
    let hanging = Receiver::start(|_| Reply::Hang).await;
    let site = Site::new(&receiver, "").with_target("dead", free_address().port(), "");
    let site = site.with_target("hanging", hanging.port(), "timeout = \"1s\"");
    site.fill(1_999, 50);
    let program = site.start();
    has_taken_everything(&program, "app").await;
    arrivals.assert_order();
    assert_eq!((arrivals.count(), arrivals.repeated()), (2_000, 0));
    for target in ["dead", "hanging"] {
        eventually("it is down", async || status_of(&program, target)["circuit"] == "open").await;
        let status = status_of(&program, target);
        assert_eq!((&status["owed"], &status["lag"]["entries"]), (&nothing_owed(), &json!(2_000)), "{target}");
    }
}
