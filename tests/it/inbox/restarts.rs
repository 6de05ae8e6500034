//! Two roomkeys share a Redis and are restarted in turn, as an update does it: nothing is lost or kept twice.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use super::sender::{Sender, start};
use super::support::{event, everything};
use crate::harness::program::{Program, free_address};
use crate::harness::redis_server::RedisServer;
use crate::harness::wait::eventually_blocking;

/// Delivers `body` to one after the other until one accepts it.
fn deliver(addresses: &[SocketAddr], body: &str) {
    for address in addresses.iter().cycle() {
        match Sender::connect_to(*address).and_then(|mut sender| sender.send(body)) {
            Some(answer) if answer.is_committed() => return,
            Some(answer) => assert!(answer.is_try_again(), "{answer:?}"),
            None => thread::sleep(Duration::from_millis(10)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_roomkeys_that_are_restarted_in_turn_lose_nothing() {
    let Some(server) = RedisServer::start() else { return };
    let serve = |address| start(&server.url()).serve_at(address);
    let addresses = [free_address(), free_address()];
    let mut programs = addresses.map(|address| Some(serve(address)));
    let (acknowledged, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let send = |room: usize| {
        let mut order = addresses;
        order.rotate_left(room % 2);
        let mut bodies = Vec::new();
        while !is_over.load(Relaxed) {
            let body = event(&format!("EV_{room}_{}", bodies.len()), "room_started", &room.to_string());
            deliver(&order, &body);
            bodies.push(body);
            acknowledged.fetch_add(1, Relaxed);
        }
        bodies
    };
    let send = &send;
    let sent: Vec<_> = thread::scope(|scope| {
        let senders: Vec<_> = (0..4).map(|room| scope.spawn(move || send(room))).collect();
        for turn in 0..4 {
            let before = acknowledged.load(Relaxed);
            eventually_blocking("some are delivered", || acknowledged.load(Relaxed) > before + 40);
            programs[turn % 2].take().map(Program::stop);
            programs[turn % 2] = Some(serve(addresses[turn % 2]));
        }
        is_over.store(true, Relaxed);
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let kept = everything(&server.inbox()).await;
    for (room, bodies) in sent.iter().enumerate() {
        let of_room = kept.iter().filter(|entry| entry.room == room.to_string());
        assert!(of_room.map(|entry| &entry.body[..]).eq(bodies.iter().map(String::as_bytes)), "of the room {room}");
    }
}
