//! Tests of several roomkeys on one Redis: one of them sends to a target at a time, and another goes on when it ends, crashes or sleeps.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use super::arrivals::Arrivals;
use super::site::{Site, has_taken_everything, kill, send};
use crate::harness::program::Program;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::redis_server::RedisServer;
use crate::harness::wait::eventually;

/// What a roomkey logs when it has got the lease.
const HOLDS: &str = "relaying to this target";

/// Two roomkeys, of which the first one holds the lease.
fn two(site: &Site) -> (Program, Program) {
    let mut first = site.start();
    if !first.log().iter().any(|line| line.contains(HOLDS)) {
        first.wait_for(HOLDS);
    }
    (first, site.start())
}

/// How long it takes from `at` until a roomkey holds the lease.
fn holds_after(at: Instant, program: &mut Program) -> Duration {
    program.wait_for(HOLDS);
    at.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_roomkey_goes_on_at_once_when_one_stops() {
    const SLOW: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let Some(server) = RedisServer::start() else { return };
    let (receiver, arrivals) = Arrivals::accepting().await;
    let site = Site::new(&receiver, "").with_inbox(server.url());
    let (mut first, mut second) = two(&site);
    let taking = arrivals.clone();
    receiver.answer(move |received| {
        taking.take(received);
        Reply::Slow(SLOW, Duration::from_millis(10))
    });
    send(&first, "EV_1", "room");
    arrivals.reach(1).await;
    // The first one waits for the answer, which is in flight.
    let at = Instant::now();
    first.signal(Signal::TERM);
    let took = holds_after(at, &mut second);
    assert!(took < Duration::from_secs(3), "the lease moved after {took:?}");
    assert!(first.wait().success());
    send(&second, "EV_2", "room");
    arrivals.reach(2).await;
    has_taken_everything(&second, "app").await;
    arrivals.assert_order();
    assert_eq!(arrivals.repeated(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_roomkey_goes_on_soon_when_one_crashes() {
    let Some(server) = RedisServer::start() else { return };
    let (receiver, arrivals) = Arrivals::accepting().await;
    let site = Site::new(&receiver, "").with_inbox(server.url());
    let (first, mut second) = two(&site);
    send(&second, "EV_1", "room");
    arrivals.reach(1).await;
    has_taken_everything(&second, "app").await;
    let at = Instant::now();
    kill(first);
    send(&second, "EV_2", "room");
    let took = holds_after(at, &mut second);
    assert!(took < Duration::from_secs(20), "the lease moved after {took:?}");
    arrivals.reach(2).await;
    has_taken_everything(&second, "app").await;
    arrivals.assert_order();
    assert_eq!(arrivals.repeated(), 0);
}

/// How many connections to `port` of this machine wait for an answer of the system.
fn connecting(port: u16) -> usize {
    const SYN_SENT: &str = "02";
    let remote = format!("0100007F:{port:04X}");
    let connections = fs::read_to_string("/proc/net/tcp").unwrap();
    let fields = connections.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|fields| fields[2] == remote && fields[3] == SYN_SENT).count()
}

/// The first roomkey falls asleep while its attempts wait for a connection, which the system makes meanwhile. When it wakes up, each
/// of them could send at once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes 20 s"]
async fn a_roomkey_that_was_asleep_sends_nothing() {
    const EVENTS: usize = 16;
    let Some(server) = RedisServer::start() else { return };
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    // The system makes no more connections than this until somebody accepts them.
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    let waiting: Vec<_> = std::iter::from_fn(connect).collect();
    let site = Site::at(address.port(), "timeout = \"60s\"").with_inbox(server.url());
    let (mut first, second) = two(&site);
    (0..EVENTS).for_each(|count| send(&first, &format!("EV_{count}"), &format!("room-{count}")));
    eventually("all attempts wait", async || connecting(address.port()) == EVENTS).await;
    first.signal(Signal::STOP);
    listener.listen(128).unwrap();
    listener.set_nonblocking(true).unwrap();
    let arrivals = Arrivals::default();
    let listener = tokio::net::TcpListener::from_std(listener.into()).unwrap();
    let receiver = Receiver::listen(listener, arrivals.taking());
    drop(waiting);
    eventually("the system makes the connections", async || connecting(address.port()) == 0).await;
    arrivals.reach(EVENTS).await;
    has_taken_everything(&second, "app").await;
    first.signal(Signal::CONT);
    first.wait_for("the lease of this target is lost");
    send(&first, "EV_last", "room-0");
    arrivals.reach(EVENTS + 1).await;
    has_taken_everything(&second, "app").await;
    arrivals.assert_order();
    assert_eq!(receiver.received().len(), EVENTS + 1, "the roomkey that was asleep has sent something");
}
