//! The inbox at the primary that sentinels name: it follows a failover without a restart, and loses nothing that was acknowledged while
//! replicas are waited for.

use std::process::Command;
use std::time::Duration;

use roomkey::UnixTime;
use roomkey::clock::Clock;
use roomkey::inbox::{Arrival, Inbox, Retention};

use super::failover::{Senders, assert_keeps, follow};
use super::sender::{Sender, failed_start, fetch, send_until_committed, start};
use super::support::{KEYS, append, delivery_of, event, everything, guide_rules};
use crate::harness::clock::TestClock;
use crate::harness::directory::Directory;
use crate::harness::outside::is_installed;
use crate::harness::program::{Program, Start, free_address};
use crate::harness::redis_server::{RedisServer, SAFE};
use crate::harness::sentinels::{NAME, Sentinels};
use crate::harness::wait::{PATIENCE, eventually};

const ENTRIES: &str = "{roomkey}:entries";

/// A primary, two replicas, and three sentinels.
struct Set {
    servers: Vec<RedisServer>,
    sentinels: Sentinels,
}

impl Set {
    fn start() -> Option<Self> {
        let quick = [&SAFE[..], &["--repl-diskless-sync-delay", "0"]].concat();
        let primary = RedisServer::start_with(&quick)?;
        let port = primary.port().to_string();
        let replica = || RedisServer::start_with(&[&quick[..], &["--replicaof", "127.0.0.1", &port]].concat());
        let sentinels = Sentinels::watch(primary.port(), 3, "");
        let set = Self { servers: vec![primary, replica()?, replica()?], sentinels };
        set.sentinels.meet(2);
        Some(set)
    }

    fn url(&self, query: &str) -> String {
        self.sentinels.url("redis+sentinel://", query)
    }

    fn primary(&self) -> &RedisServer {
        self.sentinels.primary(&self.servers)
    }
}

fn open(url: &str) -> Inbox {
    Inbox::redis(url.parse().unwrap(), Retention::default(), Clock::system()).unwrap()
}

fn serve(place: &str) -> Program {
    start(place).env("LOG_LEVEL", "info").serve_at(free_address())
}

async fn becomes_replica(server: &RedisServer) {
    eventually("it is a replica", async || server.info("role") == "slave" && server.info("master_link_status") == "up").await;
}

/// Takes the primary away, brings it back after another one has taken over, and returns once it is a replica.
async fn fail_over(set: &Set, senders: &Senders, away: impl Fn(&RedisServer), back: impl Fn(&RedisServer)) {
    senders.deliver_some().await;
    let old = set.primary();
    away(old);
    eventually("another one takes over", async || set.primary().port() != old.port()).await;
    senders.deliver_some().await;
    back(old);
    becomes_replica(old).await;
    senders.deliver_some().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_primaries_die_hang_and_come_back() {
    let Some(set) = Set::start() else { return };
    let url = set.url("?replicas=1");
    let mut program = serve(&url);
    let follower = follow(&url);
    let senders = Senders::start(&program);
    fail_over(&set, &senders, RedisServer::kill, RedisServer::run).await;
    fail_over(&set, &senders, RedisServer::pause, RedisServer::resume).await;
    let acknowledged = senders.stop();
    send_until_committed(&mut Sender::connect(&program), PATIENCE, || event("EV_last", "room_finished", "daily"));
    assert_eq!(fetch(program.address(), "/readyz").0, 200);
    let inbox = open(&url);
    assert_keeps(&inbox, &acknowledged, &program).await;
    let kept: Vec<_> = everything(&inbox).await.into_iter().map(|entry| entry.id).collect();
    assert_eq!(follower.await.unwrap(), kept);
    for _ in 0..2 {
        program.wait_for("INFO the inbox follows the sentinels to another primary");
    }
}

/// Has `sentinels` name another primary, and waits until the inbox uses it.
async fn move_to(new: &RedisServer, sentinels: &Sentinels) {
    sentinels.command(&["REMOVE", NAME]);
    sentinels.command(&["MONITOR", NAME, "127.0.0.1", &new.port().to_string(), "1"]);
    eventually("the new one is used", async || new.number(&["EXISTS", "{roomkey}:state"]) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_primary_that_still_works_is_left() {
    let (Some(old), Some(new)) = (RedisServer::start(), RedisServer::start()) else { return };
    let sentinels = Sentinels::watch(old.port(), 1, "");
    let inbox = open(&sentinels.url("redis+sentinel://", ""));
    append(&inbox, event("EV_1", "room_started", "daily")).await;
    move_to(&new, &sentinels).await;
    append(&inbox, event("EV_2", "room_started", "daily")).await;
    assert_eq!((old.number(&["XLEN", ENTRIES]), new.number(&["XLEN", ENTRIES])), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_never_repeat_although_entries_are_lost_and_the_clock_is_set_back() {
    let (Some(old), Some(new)) = (RedisServer::start(), RedisServer::start()) else { return };
    let sentinels = Sentinels::watch(old.port(), 1, "");
    let clock = TestClock::at(UnixTime::now());
    let url = sentinels.url("redis+sentinel://", "").parse().unwrap();
    let inbox = Inbox::redis(url, Retention::default(), clock.clock()).unwrap();
    let put = async |id: &str| {
        let delivery = delivery_of(KEYS[0], event(id, "room_started", "daily"));
        inbox.append(Arrival::new(delivery, clock.now())).await.unwrap()
    };
    put("EV_1").await;
    let shown = everything(&inbox).await[0].cursor;
    clock.turn_back(Duration::from_secs(600));
    move_to(&new, &sentinels).await;
    put("EV_2").await;
    assert!(everything(&inbox).await[0].cursor > shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_not_found_is_reported_and_looked_for() {
    let Some(server) = RedisServer::start() else { return };
    let sentinels = Sentinels::watch(server.port(), 1, "");
    let url = sentinels.url("redis+sentinel://", "").replace(NAME, "other");
    // The first one is away.
    let url = url.replace("//", &format!("//{},", free_address()));
    let mut program = start(&url).env("LOG_LEVEL", "info").serve_at(free_address());
    let line = program.wait_for("no sentinel leads to a primary of the Redis: the inbox");
    assert!(line.contains("WARN") && line.contains("name=\"other\""), "{line}");
    assert!(line.contains("it does not know this name") && line.contains("refused"), "{line}");
    for _ in 0..3 {
        let answer = Sender::connect(&program).send(&event("EV_1", "room_started", "daily")).unwrap();
        assert!(answer.is_try_again(), "{answer:?}");
    }
    assert_eq!(fetch(program.address(), "/readyz").0, 503);
    sentinels.command(&["MONITOR", "other", "127.0.0.1", &server.port().to_string(), "1"]);
    eventually("it is found", async || fetch(program.address(), "/readyz").0 == 200).await;
    send_until_committed(&mut Sender::connect(&program), PATIENCE, || event("EV_1", "room_started", "daily"));
    let rest = program.kill_and_read_log();
    assert!(!rest.iter().any(|line| line.contains("WARN") && line.contains("leads to a primary")), "{rest:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_with_only_the_permissions_of_the_guide_are_enough() {
    let Some(server) = RedisServer::start() else { return };
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &server.port().to_string()]).unwrap();
    becomes_replica(&replica).await;
    let rules = ["the inbox", "`?replicas=N`", "`redis+sentinel`"].map(guide_rules).concat();
    let user = ["ACL", "SETUSER", "roomkey", "on", ">secret"].into_iter().chain(rules.iter().map(String::as_str));
    server.command(&user.collect::<Vec<_>>());
    let watcher = format!("user watcher on >hushed {}\nuser default off", guide_rules("the sentinels").join(" "));
    let sentinels = Sentinels::watch(server.port(), 1, &watcher);
    let url = sentinels.url("redis+sentinel://roomkey:secret@", "?replicas=1");
    let start = || start(&url).env("LOG_LEVEL", "info");

    let mut program = start().serve_at(free_address());
    let line = program.wait_for("no sentinel leads to a primary of the Redis: the inbox");
    assert!(line.contains("NOAUTH") || line.contains("Authentication required"), "{line}");

    let login = |start: Start| start.env("ROOMKEY_SENTINEL_USER", "watcher").env("ROOMKEY_SENTINEL_PASSWORD", "hushed");
    let program = login(start()).serve_at(free_address());
    send_until_committed(&mut Sender::connect(&program), PATIENCE, || event("EV_1", "room_started", "daily"));
    assert_eq!(fetch(program.address(), "/readyz").0, 200);
    let log = program.kill_and_read_log();
    assert!(!log.iter().any(|line| line.contains("ERROR") || line.contains("hushed") || line.contains("secret")), "{log:#?}");
}

#[test]
fn a_user_of_the_sentinels_needs_a_password() {
    for (password, expected) in [(None, "ROOMKEY_SENTINEL_USER is set without ROOMKEY_SENTINEL_PASSWORD"), (Some(""), "is empty")]
    {
        let start = start("redis+sentinel://127.0.0.1/m").env("ROOMKEY_SENTINEL_USER", "watcher");
        let (status, said) = failed_start(match password {
            Some(password) => start.env("ROOMKEY_SENTINEL_PASSWORD", password),
            None => start,
        });
        assert!(status == Some(2) && said.contains(expected), "{status:?} {said}");
    }
}

/// Makes an authority, and a certificate for 127.0.0.1.
const CERTIFICATES: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 \
        -subj /CN=authority && \
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=redis && \
    printf 'subjectAltName=IP:127.0.0.1' > extensions && \
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out server.pem";

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_and_servers_are_reached_over_tls() {
    if !is_installed("openssl", "version") || !is_installed("redis-server", "--version") {
        return;
    }
    let directory = Directory::new();
    assert!(Command::new("sh").args(["-c", CERTIFICATES]).current_dir(directory.path()).output().unwrap().status.success());
    let file = |name: &str| directory.file(name).display().to_string();
    let files = [("cert", "server.pem"), ("key", "server.key"), ("ca-cert", "ca.pem")];
    let mut tls: Vec<_> = files.iter().map(|(name, content)| (format!("tls-{name}-file"), file(content))).collect();
    tls.extend([("tls-auth-clients".to_owned(), "no".to_owned()), ("tls-replication".to_owned(), "yes".to_owned())]);

    let tls_port = free_address().port();
    let mut settings: Vec<_> = SAFE.map(str::to_owned).to_vec();
    settings.extend(tls.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]));
    settings.extend(["--tls-port".to_owned(), tls_port.to_string()]);
    let server = RedisServer::start_with(&settings.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let lines: Vec<_> = tls.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
    // The same port, but with TLS.
    let sentinels = Sentinels::watch(tls_port, 1, &format!("port 0\ntls-port PORT\n{}", lines.concat()));
    let url = sentinels.url("rediss+sentinel://", "");

    let mut program = serve(&url);
    let line = program.wait_for("no sentinel leads to a primary of the Redis: the inbox");
    assert!(line.contains("UnknownIssuer") || line.contains("certificate"), "{line}");

    let program = start(&url).env("SSL_CERT_FILE", file("ca.pem")).serve_at(free_address());
    send_until_committed(&mut Sender::connect(&program), PATIENCE, || event("EV_1", "room_started", "daily"));
    assert_eq!(server.number(&["XLEN", ENTRIES]), 1);
}
