//! Tests of background work that ends by mistake: each worker of the real binary is made to panic, which only debug builds
//! allow, and must come back. Until then the server says that it is not ready.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use roomkey::UnixTime;

use crate::fixtures::SERVER_KEY;
use crate::harness::client::{Client, get, post, request};
use crate::harness::program::{Program, Start};
use crate::harness::redis_server::RedisServer;
use crate::harness::sender::{authorization_at, forge_claims};
use crate::harness::wait::eventually_blocking;

const LINE: &str = "a worker panicked and is restarted";

/// The program, whose workers panic on demand.
struct FaultyProgram(Program);

impl FaultyProgram {
    fn start(start: Start) -> Self {
        let start = start.directory("panics").env("ROOMKEY_TEST_PANICS", "panics");
        let start = start.env("LIVEKIT_API_KEY", SERVER_KEY.0).env("LIVEKIT_API_SECRET", SERVER_KEY.1);
        Self(start.serve())
    }

    /// Makes `worker` panic at each of its steps.
    fn make_panic(&self, worker: &str) {
        fs::write(self.0.directory().join("panics").join(worker), "").unwrap();
    }

    fn stop_panicking(&self, worker: &str) {
        fs::remove_file(self.0.directory().join("panics").join(worker)).unwrap();
    }

    fn readiness(&self) -> u16 {
        self.0.ask(get("/readyz")).status
    }

    fn deliver(&self, id: &str) -> u16 {
        deliver(&mut self.0.connect(), &event(id))
    }

    /// Waits until it says that it is ready.
    #[track_caller]
    fn assert_soon_ready(&self) {
        eventually_blocking("it becomes ready", || self.readiness() == 200);
    }

    /// Waits for the line that says that `worker` panicked, and for readiness once it no longer does.
    #[track_caller]
    fn assert_comes_back(&mut self, worker: &str) {
        let line = self.0.wait_for(LINE);
        assert!(line.contains("ERROR") && line.contains(worker), "{line}");
        assert_eq!(self.readiness(), 503, "it is ready without {worker}");
        self.stop_panicking(worker);
        self.assert_soon_ready();
    }
}

fn event(id: &str) -> String {
    format!(r#"{{"event":"room_started","id":"{id}"}}"#)
}

/// An `Authorization` header that may read all events.
fn reader_authorization() -> String {
    let end = UnixTime::now().as_secs() + 600;
    format!("Bearer {}", forge_claims(&format!(r#""exp":{end},"video":{{"roomList":true}}"#)))
}

fn deliver(client: &mut Client, body: &str) -> u16 {
    let authorization = authorization_at(UnixTime::now(), SERVER_KEY, body);
    let answer = client.ask(post("/webhook", &[("Authorization", &authorization)], body));
    if answer.status == 503 {
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    answer.status
}

#[test]
fn the_inbox_takes_deliveries_again_after_its_writer_panicked() {
    let mut program = FaultyProgram::start(Start::new());
    assert_eq!(program.deliver("before"), 200);
    program.make_panic("inbox");
    // The panic may come before the delivery: then it waits for the restart, which panics too.
    assert_eq!(program.deliver("lost"), 503);
    assert_eq!(program.readiness(), 503);
    program.assert_comes_back("inbox");
    for id in ["before", "lost", "after"] {
        assert_eq!(program.deliver(id), 200, "{id}");
    }
    assert!(program.0.stop().iter().filter(|line| line.contains(LINE)).count() == 1);
}

/// The writer then does not know what its file holds.
#[test]
fn what_was_committed_just_before_a_panic_is_there_once() {
    let mut program = FaultyProgram::start(Start::new());
    assert_eq!(program.deliver("1"), 200);
    program.make_panic("inbox-committed");
    assert_eq!(program.deliver("2"), 503);
    assert!(program.0.wait_for(LINE).contains("inbox-committed"));
    program.stop_panicking("inbox-committed");
    for id in ["2", "3", "1"] {
        assert_eq!(program.deliver(id), 200, "{id}");
    }
    let events = program.0.ask(request("GET", "/events", &[("Authorization", &reader_authorization())], b"")).json();
    let ids: Vec<&str> = events["events"].as_array().unwrap().iter().map(|each| each["event"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
}

#[test]
fn a_writer_that_panics_at_every_restart_is_never_ready_and_logs_one_line() {
    let mut program = FaultyProgram::start(Start::new());
    program.make_panic("inbox");
    program.0.wait_for(LINE);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        assert_eq!(program.readiness(), 503);
        sleep(Duration::from_millis(20));
    }
    assert_eq!(program.deliver("x"), 503);
    // It also ends as it should.
    let log = program.0.stop();
    assert_eq!(log.iter().filter(|line| line.contains(LINE)).count(), 1, "{log:#?}");
    assert!(log.last().unwrap().contains("stopped"), "{log:#?}");
}

#[test]
fn the_log_of_the_inbox_is_moved_again_after_its_thread_panicked() {
    let mut program = FaultyProgram::start(Start::new());
    program.make_panic("inbox-log");
    // 1 MiB wakes it.
    let body = format!(r#"{{"event":"x","filler":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(deliver(&mut program.0.connect(), &body), 200);
    program.assert_comes_back("inbox-log");
    assert_eq!(program.deliver("after"), 200);
}

#[test]
fn a_read_that_panics_is_answered_and_takes_no_place_for_good() {
    let program = FaultyProgram::start(Start::new());
    let authorization = reader_authorization();
    let read = || program.0.ask(request("GET", "/events", &[("Authorization", &authorization)], b""));
    program.make_panic("inbox-read");
    for _ in 0..10 {
        let answer = read();
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
        answer.error();
    }
    program.stop_panicking("inbox-read");
    let client = &mut program.0.connect();
    for _ in 0..10 {
        client.send(request("HEAD", "/events", &[("Authorization", &authorization)], b""));
        assert_eq!(client.answer_without_body().status, 200);
    }
}

#[test]
fn the_file_of_keys_is_watched_again_after_the_watcher_panicked() {
    let keys = |name: &str| format!("{name}: {}\n", SERVER_KEY.1);
    let start = Start::new().directory("panics").env("ROOMKEY_TEST_PANICS", "panics").env("ROOMKEY_INBOX", "none");
    let start = start.secret_file("keys.yaml", keys("APIold")).env("LIVEKIT_KEYS_FILE", "keys.yaml");
    let mut program = FaultyProgram(start.serve());
    assert_eq!(program.readiness(), 200);
    program.make_panic("key-watcher");
    program.assert_comes_back("key-watcher");
    fs::write(program.0.directory().join("keys.yaml"), keys("APInew")).unwrap();
    assert!(program.0.wait_for("keys reloaded").contains("APInew"));
}

const POLICY: &str = r#"
    [callers.school]
    kind = "oidc"
    issuer = "http://127.0.0.1:9"
    audience = "classroom"
    [[rule]]
    name = "pupil"
    caller = "school"
    room = "*"
    identity = "{subject}"
"#;

fn with_policy() -> FaultyProgram {
    let start = Start::new().file("policy.toml", POLICY).env("ROOMKEY_POLICY", "policy.toml");
    FaultyProgram::start(start.env("ROOMKEY_INBOX", "none"))
}

#[test]
fn the_policy_is_watched_again_after_the_watcher_panicked() {
    let mut program = with_policy();
    program.make_panic("policy-watcher");
    program.assert_comes_back("policy-watcher");
    fs::write(program.0.directory().join("policy.toml"), POLICY.replace("pupil", "student")).unwrap();
    program.0.wait_for("policy reloaded");
}

#[test]
fn the_targets_are_watched_again_after_the_watcher_panicked() {
    const TARGET: &str =
        "[[target]]\nname = \"app\"\nurl = \"http://127.0.0.1:9/\"\nkey = \"APIrelay\"\nsecret_env = \"RELAY_SECRET\"\n";
    let start = Start::new().file("relay.toml", TARGET).env("ROOMKEY_RELAY", "relay.toml");
    let mut program = FaultyProgram::start(start.env("RELAY_SECRET", "a-relay-secret-of-at-least-32-bytes"));
    program.make_panic("relay-watcher");
    program.assert_comes_back("relay-watcher");
    fs::write(program.0.directory().join("relay.toml"), TARGET.replace("app", "crm")).unwrap();
    program.0.wait_for("targets reloaded");
}

#[test]
fn webhooks_stay_ready_without_a_worker_of_tokens_and_tokens_without_one_of_webhooks() {
    let start =
        Start::new().file("policy.toml", POLICY.replace("\"school\"", "\"anonymous\"").replace("{subject}", "a-{random}"));
    let program = FaultyProgram::start(start.env("ROOMKEY_POLICY", "policy.toml"));
    let statuses = || ["/readyz", "/readyz/tokens", "/readyz/webhooks"].map(|path| program.0.ask(get(path)).status);
    for (worker, expected) in [("policy-watcher", [503, 503, 200]), ("inbox", [503, 200, 503])] {
        program.make_panic(worker);
        eventually_blocking("it panics", || program.readiness() == 503);
        assert_eq!(statuses(), expected, "{worker}");
        program.stop_panicking(worker);
        program.assert_soon_ready();
    }
}

#[test]
fn an_issuers_keys_are_fetched_again_after_the_worker_panicked() {
    let mut program = with_policy();
    program.make_panic("caller-keys");
    program.assert_comes_back("caller-keys");
}

#[test]
fn connections_are_accepted_again_after_a_listener_panicked() {
    let mut program = FaultyProgram::start(Start::new().env("METRICS_BIND", "127.0.0.1:0").env("ROOMKEY_INBOX", "none"));
    let mut kept = program.0.connect();
    kept.assert_usable();
    program.make_panic("listener");
    program.0.connect().assert_closed();
    let line = program.0.wait_for(LINE);
    assert!(line.contains("listener"), "{line}");
    assert_eq!(kept.ask(get("/readyz")).status, 503);
    program.stop_panicking("listener");
    program.assert_soon_ready();
}

#[test]
fn wake_ups_over_redis_come_again_after_their_thread_panicked() {
    let Some(redis) = RedisServer::start() else { return };
    let mut program = FaultyProgram::start(Start::new().env("ROOMKEY_INBOX", redis.url()));
    program.assert_soon_ready();
    program.make_panic("inbox-wake-ups");
    assert_eq!(program.deliver("wakes it"), 200);
    program.assert_comes_back("inbox-wake-ups");
    assert_eq!(program.deliver("after"), 200);
}

#[test]
fn the_writer_over_redis_comes_back_too() {
    let Some(redis) = RedisServer::start() else { return };
    let mut program = FaultyProgram::start(Start::new().env("ROOMKEY_INBOX", redis.url()));
    program.assert_soon_ready();
    program.make_panic("inbox");
    assert_eq!(program.deliver("lost"), 503);
    program.assert_comes_back("inbox");
    assert_eq!(program.deliver("lost"), 200);
}
