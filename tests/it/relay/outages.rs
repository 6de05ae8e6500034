//! Tests of outages: of a target, for a day, and of the inbox, while events arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use std::{fs, thread};

use rusqlite::Connection;

use super::arrivals::Arrivals;
use super::site::{Site, deliver, has_taken_everything, nothing_owed, status};
use crate::harness::client::Client;
use crate::harness::program::Program;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::redis_server::RedisServer;
use crate::harness::wait::eventually;

/// A target is down for a day while `events` wait. Then it takes the first `drained` of them.
async fn down_for_a_day(events: usize, drained: usize, probes: u32) {
    const ROOMS: usize = 100;
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    /// The unoptimized program uses 26 MB without any event. A million events, of which it knew nothing but the place, would need 200 MB.
    const MEMORY: usize = 48 << 20;
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let receiver = Receiver::start(move |_| {
        counting.fetch_add(1, Relaxed);
        Reply::Status(503)
    })
    .await;
    receiver.forget();
    let Some(site) = Site::new(&receiver, "").with_clock() else { return };
    site.fill(events - 1, ROOMS);
    let program = site.start();
    eventually("it is down", async || status(&program)["circuit"] == "open").await;
    for probe in 1..=probes {
        let asked_before = asked.load(Relaxed);
        site.move_clock(DAY * probe / probes);
        eventually("it is asked", async || asked.load(Relaxed) > asked_before).await;
    }
    let now = status(&program);
    assert_eq!((&now["owed"], &now["lag"]["entries"]), (&nothing_owed(), &events.into()), "nothing died");
    let during = program.resident_bytes();

    let arrivals = Arrivals::default();
    receiver.answer(arrivals.taking());
    site.move_clock(DAY + Duration::from_secs(600));
    arrivals.reach(drained).await;
    let after = program.resident_bytes();
    if events == drained {
        has_taken_everything(&program, "app").await;
        assert_eq!((arrivals.count(), arrivals.repeated()), (events, 0));
    }
    arrivals.assert_order();
    let mut next = BTreeMap::new();
    for arrival in arrivals.all() {
        let number: usize = arrival.id.strip_prefix("EV_").unwrap().parse().unwrap();
        let expected = next.insert(number % ROOMS, number + ROOMS).unwrap_or(number % ROOMS);
        assert_eq!(number, expected, "there is a gap");
    }
    eprintln!("{events} events wait: {during} bytes after a day, {after} when it is back");
    assert!(during.max(after) < MEMORY, "{during} bytes after a day, {after} when it is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_was_down_for_a_day_gets_everything_in_order() {
    down_for_a_day(20_000, 20_000, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes some 300 MB"]
async fn a_target_that_was_down_for_a_day_while_a_million_events_wait() {
    down_for_a_day(1_000_000, 5_000, 6).await;
}

/// Sends events of one room until `is_over`, each until it is taken. Counts those that were refused. Returns how many were sent.
fn send_all(address: SocketAddr, room: usize, is_over: &AtomicBool, refused: &AtomicUsize) -> usize {
    let mut client = Client::connect(address);
    let name = format!("room-{room}");
    for count in 0.. {
        while deliver(&mut client, &format!("EV_{room}_{count}"), &name) != Some(200) {
            refused.fetch_add(1, Relaxed);
            thread::sleep(Duration::from_millis(20));
        }
        if is_over.load(Relaxed) {
            return count + 1;
        }
    }
    unreachable!("there is always another event");
}

/// How an outage begins, and how it ends.
type Outage<'a> = [&'a dyn Fn(&Program); 2];

/// Has each outage begin while events arrive, and end once some were refused. Nothing is lost, and only what a lease covered that was
/// lost meanwhile is sent again.
async fn through_outages(site: &Site, arrivals: &Arrivals, outages: &[Outage<'_>]) {
    /// What was read from the inbox, and what was in flight.
    const AGAIN: usize = 1024 + 16;
    const ROOMS: usize = 4;
    let program = site.start();
    let (is_over, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let senders: Vec<_> = (0..ROOMS)
        .map(|room| {
            let (address, is_over, refused) = (program.listens_at(), Arc::clone(&is_over), Arc::clone(&refused));
            thread::spawn(move || send_all(address, room, &is_over, &refused))
        })
        .collect();
    for [begin, end] in outages {
        arrivals.reach(arrivals.events() + 100).await;
        begin(&program);
        let before = refused.load(Relaxed);
        eventually("events are refused", async || refused.load(Relaxed) > before).await;
        end(&program);
    }
    arrivals.reach(arrivals.events() + 100).await;
    is_over.store(true, Relaxed);
    let sent: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    has_taken_everything(&program, "app").await;
    arrivals.assert_order();
    let expected: BTreeSet<_> =
        sent.iter().enumerate().flat_map(|(room, count)| (0..*count).map(move |count| format!("EV_{room}_{count}"))).collect();
    assert_eq!(arrivals.ids(), expected);
    let lost = program.stop().iter().filter(|line| line.contains("the lease of this target is lost")).count();
    let again = arrivals.repeated();
    eprintln!("{} events through {} outages, {again} of them again, {lost} leases lost", expected.len(), outages.len());
    assert!(again <= lost * AGAIN, "{again} events were sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_redis_dies_or_hangs() {
    let Some(server) = RedisServer::start() else { return };
    let (receiver, arrivals) = Arrivals::accepting().await;
    let site = Site::new(&receiver, "").with_inbox(server.url());
    let dies: Outage<'_> = [&|_| server.kill(), &|_| server.run()];
    let hangs: Outage<'_> = [&|_| server.pause(), &|_| server.resume()];
    through_outages(&site, &arrivals, &[dies, hangs, dies]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_file_is_locked_or_full() {
    let (receiver, arrivals) = Arrivals::accepting().await;
    let site = Site::new(&receiver, "");
    let theirs = std::cell::OnceCell::new();
    let lock = |_: &Program| {
        let theirs = theirs.get_or_init(|| Connection::open(site.inbox_file()).unwrap());
        theirs.busy_timeout(Duration::from_secs(10)).unwrap();
        theirs.execute_batch("BEGIN IMMEDIATE").unwrap();
    };
    let unlock = |_: &Program| theirs.get().unwrap().execute_batch("ROLLBACK").unwrap();
    let limit = |program: &Program, size: &str| {
        let (id, limit) = (program.id().to_string(), format!("--fsize={size}:unlimited"));
        assert!(Command::new("prlimit").args(["--pid", &id, &limit]).status().unwrap().success());
    };
    let fill = |program: &Program| limit(program, &fs::metadata(site.inbox_file()).unwrap().len().to_string());
    let empty = |program: &Program| limit(program, "unlimited");
    through_outages(&site, &arrivals, &[[&lock, &unlock], [&fill, &empty], [&lock, &unlock]]).await;
}

/// Nothing that is taken can be committed, so the relay stops before too much would be sent again.
#[tokio::test(flavor = "multi_thread")]
async fn little_is_sent_while_the_inbox_cannot_commit() {
    const UNCOMMITTED: usize = 4096 + 16;
    let (receiver, arrivals) = Arrivals::accepting().await;
    let site = Site::new(&receiver, "");
    site.fill(9_999, 100);
    let mut program = site.start();
    arrivals.reach(1).await;
    let theirs = Connection::open(site.inbox_file()).unwrap();
    theirs.busy_timeout(Duration::from_secs(10)).unwrap();
    theirs.execute_batch("BEGIN IMMEDIATE").unwrap();
    let before = arrivals.count();
    program.wait_for("the lease of this target is lost");
    let sent = arrivals.count() - before;
    theirs.execute_batch("ROLLBACK").unwrap();
    has_taken_everything(&program, "app").await;
    arrivals.assert_order();
    let (count, repeated) = (arrivals.count(), arrivals.repeated());
    eprintln!("{sent} were sent while nothing could be committed, {repeated} of 10000 again");
    assert!(sent <= UNCOMMITTED && repeated <= UNCOMMITTED && count - repeated == 10_000);
}
