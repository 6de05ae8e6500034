//! A replica of Redis takes over, as planned or because the primary died: webhooks are refused until there is a primary at the address,
//! and nothing that was acknowledged and replicated is lost, duplicated or reordered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use roomkey::inbox::{Filter, Inbox, Retention};
use tokio::io::{AsyncReadExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::sender::{Sender, fetch, send_until_committed, serve};
use super::support::{ALL, event, everything};
use crate::harness::program::Program;
use crate::harness::redis_server::{RedisServer, SAFE};
use crate::harness::wait::eventually;

/// How soon the program accepts webhooks again once there is a primary.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// A primary and its replica.
struct Pair {
    primary: RedisServer,
    replica: RedisServer,
}

impl Pair {
    async fn start() -> Option<Self> {
        let start = || RedisServer::start_with(&[&SAFE[..], &["--repl-diskless-sync-delay", "0"]].concat());
        let (primary, replica) = (start()?, start()?);
        replica.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
        eventually("the replica is there", async || primary.info("connected_slaves") == "1" && is_linked(&replica)).await;
        Some(Self { primary, replica })
    }

    async fn in_sync(&self) {
        let offset = |server: &RedisServer| server.info("master_repl_offset");
        eventually("they are in sync", async || offset(&self.primary) == offset(&self.replica)).await;
    }
}

fn is_linked(replica: &RedisServer) -> bool {
    replica.info("master_link_status") == "up"
}

/// Makes `to` the primary once it has everything that `from` has, and `from` its replica.
async fn hand_over(from: &RedisServer, to: &RedisServer) {
    from.command(&["FAILOVER", "TO", "127.0.0.1", &to.port().to_string(), "TIMEOUT", "10000"]);
    eventually("they change places", async || to.info("role") == "master" && from.info("role") == "slave" && is_linked(from))
        .await;
}

/// An address that moves from one server to another.
struct Address {
    port: u16,
    server: watch::Sender<u16>,
}

impl Address {
    async fn of(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, (server, current)) = (listener.local_addr().unwrap().port(), watch::channel(server.port()));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, current.clone()));
            }
        });
        Self { port, server }
    }

    fn go_over_to(&self, server: &RedisServer) {
        self.server.send_replace(server.port());
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

async fn forward(mut client: TcpStream, mut current: watch::Receiver<u16>) {
    let port = *current.borrow_and_update();
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = current.changed() => {
            // The new owner of the address does not know this connection, and resets it.
            let _ = client.read(&mut [0]).await;
        }
    }
}

/// Senders that deliver one event after another, each until it is accepted.
pub(super) struct Senders {
    threads: Vec<JoinHandle<Vec<String>>>,
    acknowledged: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Senders {
    pub(super) fn start(program: &Program) -> Self {
        let (acknowledged, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let threads = (0..4).map(|room| {
            let (mut sender, acknowledged, stop) = (Sender::connect(program), acknowledged.clone(), stop.clone());
            thread::spawn(move || {
                let mut bodies = Vec::new();
                while !stop.load(Relaxed) {
                    let body = event(&format!("EV_{room}_{}", bodies.len()), "room_started", &room.to_string());
                    bodies.push(send_until_committed(&mut sender, 3 * BACK_WITHIN, || body.clone()));
                    acknowledged.fetch_add(1, Relaxed);
                }
                bodies
            })
        });
        Self { threads: threads.collect(), acknowledged: acknowledged.clone(), stop }
    }

    pub(super) async fn deliver_some(&self) {
        let before = self.acknowledged.load(Relaxed);
        eventually("some are delivered", async || self.acknowledged.load(Relaxed) > before + 100).await;
    }

    /// The acknowledged events of each sender.
    pub(super) fn stop(self) -> Vec<Vec<String>> {
        self.stop.store(true, Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }
}

/// Asserts that a delivery is refused in time, and that readiness shows it.
async fn assert_refuses(program: &Program) {
    let begin = Instant::now();
    let answer = Sender::connect(program).send(&event("EV_refused", "room_started", "daily")).unwrap();
    assert!(answer.is_try_again(), "{answer:?}");
    assert!(begin.elapsed() < Duration::from_secs(5), "answered after {:?}", begin.elapsed());
    eventually("readiness says so", async || fetch(program.address(), "/readyz").0 == 503).await;
}

/// Asserts that deliveries are accepted again in time, including this one, the last.
fn assert_takes(program: &Program) {
    send_until_committed(&mut Sender::connect(program), BACK_WITHIN, || event("EV_last", "room_finished", "daily"));
    assert_eq!(fetch(program.address(), "/readyz").0, 200);
}

/// Asserts that `inbox` holds every acknowledged event once and in order, and recognizes it when it comes again.
pub(super) async fn assert_keeps(inbox: &Inbox, acknowledged: &[Vec<String>], program: &Program) {
    let kept = everything(inbox).await;
    for (room, bodies) in acknowledged.iter().enumerate() {
        let of_room = kept.iter().filter(|entry| entry.room == room.to_string());
        assert!(of_room.map(|entry| &entry.body[..]).eq(bodies.iter().map(String::as_bytes)), "of the room {room}");
    }
    let mut sender = Sender::connect(program);
    for body in acknowledged.iter().flatten().step_by(7) {
        assert!(sender.send(body).unwrap().is_committed());
    }
    assert_eq!(everything(inbox).await.len(), kept.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_becomes_a_replica_and_primary_again() {
    let Some(Pair { primary, replica }) = Pair::start().await else { return };
    let program = serve(&primary.url());
    let senders = Senders::start(&program);
    senders.deliver_some().await;
    hand_over(&primary, &replica).await;
    assert_refuses(&program).await;
    hand_over(&replica, &primary).await;
    assert_takes(&program);
    senders.deliver_some().await;
    assert_keeps(&primary.inbox(), &senders.stop(), &program).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_takes_over_the_address_as_planned() {
    let Some(Pair { primary, replica }) = Pair::start().await else { return };
    let address = Address::of(&primary).await;
    let program = serve(&address.url());
    let follower = follow(&address.url());
    let senders = Senders::start(&program);
    senders.deliver_some().await;
    hand_over(&primary, &replica).await;
    assert_refuses(&program).await;
    address.go_over_to(&replica);
    primary.kill();
    senders.deliver_some().await;
    let acknowledged = senders.stop();
    assert_takes(&program);
    let inbox = replica.inbox();
    assert_keeps(&inbox, &acknowledged, &program).await;
    let kept: Vec<_> = everything(&inbox).await.into_iter().map(|entry| entry.id).collect();
    assert_eq!(follower.await.unwrap(), kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_takes_over_from_a_primary_that_died() {
    let Some(pair) = Pair::start().await else { return };
    let address = Address::of(&pair.primary).await;
    let program = serve(&address.url());
    let senders = Senders::start(&program);
    senders.deliver_some().await;
    let before = senders.stop();
    pair.in_sync().await;
    pair.primary.kill();
    assert_refuses(&program).await;
    // At the address, but not promoted yet.
    address.go_over_to(&pair.replica);
    assert_refuses(&program).await;
    pair.replica.command(&["REPLICAOF", "NO", "ONE"]);
    assert_takes(&program);
    assert_keeps(&pair.replica.inbox(), &before, &program).await;
}

/// The events that a follower of a second roomkey gets, up to the last one.
pub(super) fn follow(url: &str) -> tokio::task::JoinHandle<Vec<String>> {
    let inbox = Inbox::redis(url.parse().unwrap(), Retention::default(), roomkey::clock::Clock::system()).unwrap();
    tokio::spawn(async move {
        let mut follower = inbox.follow(None, Filter::default());
        let mut seen = Vec::new();
        let begin = Instant::now();
        while seen.last().is_none_or(|id| id != "EV_last") {
            assert!(begin.elapsed() < 30 * BACK_WITHIN, "{} seen", seen.len());
            match tokio::time::timeout(BACK_WITHIN, follower.next(ALL)).await {
                Ok(Ok(page)) => seen.extend(page.entries.into_iter().map(|entry| entry.id)),
                Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(_) => {}
            }
        }
        seen
    })
}
