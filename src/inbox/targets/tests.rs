//! One suite over every backend.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::*;
use crate::clock::{Clock, UnixTime};
use crate::inbox::target::{MOST_REQUESTS, OwedCounts, Replay};
use crate::inbox::{Appended, Arrival, Retention};
use crate::livekit::access_token::AccessToken;
use crate::livekit::key::ApiKey;
use crate::livekit::token_verifier::TokenVerifier;
use crate::livekit::webhook::WebhookReceiver;
use crate::worker::lock;

const START: UnixTime = UnixTime::from_secs(1_800_000_000);

/// A store in one place, where inboxes are opened.
enum Place {
    Sqlite(PathBuf),
    Redis(Redis),
}

struct Redis {
    process: Mutex<Child>,
    port: String,
    url: String,
    folder: PathBuf,
}

impl Redis {
    fn run(folder: &Path, port: &str) -> std::io::Result<Child> {
        Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--port", port])
            .arg("--dir")
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()
    }

    fn kill(&self) {
        let mut process = lock(&self.process);
        let _ = process.kill();
        let _ = process.wait();
    }

    fn restart(&self) {
        *lock(&self.process) = Self::run(&self.folder, &self.port).unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn folder() -> PathBuf {
    let name = format!("target/tmp/targets-{:016x}", getrandom::u64().unwrap());
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn redis() -> Option<Redis> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let folder = folder();
    let Ok(process) = Redis::run(&folder, &port) else {
        eprintln!("SKIPPED: redis-server is not installed");
        return None;
    };
    Some(Redis { process: Mutex::new(process), url: format!("redis://127.0.0.1:{port}"), port, folder })
}

impl Place {
    fn open(&self, clock: &TestClock) -> Inbox {
        let now = Arc::clone(&clock.0);
        let clock = Clock::from_fn(move || UnixTime::from_millis(now.load(Relaxed)));
        match self {
            Self::Sqlite(folder) => Inbox::sqlite(&folder.join("inbox.db"), Retention::default(), clock).unwrap(),
            Self::Redis(redis) => Inbox::redis(redis.url.parse().unwrap(), Retention::default(), clock).unwrap(),
        }
    }

    /// A connection to the Redis.
    fn redis(&self) -> Option<::redis::Connection> {
        let Self::Redis(redis) = self else { return None };
        Some(::redis::Client::open(&*redis.url).unwrap().get_connection().unwrap())
    }

    /// A connection to the file.
    fn sqlite(&self) -> Option<Connection> {
        let Self::Sqlite(folder) = self else { return None };
        Some(Connection::open(folder.join("inbox.db")).unwrap())
    }

    /// Whether several inboxes can be open at once.
    fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// Has all leases expire, which takes as long as nobody wants to wait.
    fn expire_leases(&self, target: &str) {
        if let Some(mut redis) = self.redis() {
            ::redis::cmd("HSET").arg("{roomkey}:targets").arg(format!("{target}:until")).arg(1).exec(&mut redis).unwrap();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Sqlite(folder) = self {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

struct TestClock(Arc<AtomicU64>);

impl TestClock {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START.as_millis())))
    }

    fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_millis().try_into().unwrap(), Relaxed);
    }
}

/// Runs `test` over each backend.
async fn on_each<F: Future<Output = ()>>(test: impl Fn(Arc<Place>, TestClock) -> F) {
    let places = [Some(Place::Sqlite(folder())), redis().map(Place::Redis)];
    for place in places.into_iter().flatten() {
        test(Arc::new(place), TestClock::new()).await;
    }
}

/// Verified at the start, received so many seconds later.
fn arrival(number: u64) -> Arrival {
    arrival_with(number, "")
}

fn arrival_with(number: u64, more: &str) -> Arrival {
    let key = ApiKey::new("APIkey", "a-secret-of-at-least-32-bytes-0123").unwrap();
    let body = format!(r#"{{"event":"room_started","id":"EV_{number}","room":{{"name":"daily"}},"more":"{more}"}}"#);
    let digest = STANDARD.encode(Sha256::digest(&body));
    let token = AccessToken::new().with_sha256(digest).with_ttl(Duration::from_secs(300)).to_jwt(&key, START).unwrap();
    let delivery = WebhookReceiver::new(TokenVerifier::new(key)).receive(&token, body.into_bytes(), START).unwrap();
    Arrival::new(delivery, START.saturating_add(Duration::from_secs(number)))
}

/// A store that cannot be used at first, such as a Redis that starts, can be a moment later.
async fn eventually<T, E: std::fmt::Debug, F: Future<Output = Result<T, E>>>(attempt: impl Fn() -> F) -> T {
    let begin = Instant::now();
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => assert!(begin.elapsed() < Duration::from_secs(30), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn lease(inbox: &Inbox, target: &str) -> Option<u64> {
    eventually(|| inbox.take_lease(target)).await
}

fn state(cursor: i64) -> TargetState {
    TargetState {
        cursor: Cursor::from_number(cursor),
        is_paused: false,
        is_down: false,
        last_error: String::new(),
        owed: OwedCounts::default(),
        replays: Vec::new(),
    }
}

fn commit(epoch: u64, cursor: i64) -> TargetCommit {
    TargetCommit { target: "app".into(), epoch, state: state(cursor), owed: Vec::new(), settled: Vec::new(), steered: 0 }
}

fn owed(cursor: i64, state: OwedState) -> OwedEvent {
    OwedEvent {
        cursor: Cursor::from_number(cursor),
        room: "daily".into(),
        state,
        attempts: 3,
        first: Some(START),
        next: None,
        status: Some(500),
        error: "the answer was 500".into(),
        is_replay: false,
    }
}

fn numbers(events: &[OwedEvent]) -> Vec<i64> {
    events.iter().map(|event| event.cursor.number()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_is_read_back_also_after_a_restart() {
    on_each(async |place, clock| {
        let inbox = place.open(&clock);
        let epoch = lease(&inbox, "app").await.unwrap();
        assert_eq!(inbox.target("app").await.unwrap(), None, "a lease alone is no state");
        let replay = Replay { after: Cursor::from_number(1), until: Cursor::from_number(i64::MAX) };
        let told = TargetState {
            is_paused: true,
            is_down: true,
            last_error: "no \"answer\"\n\0é".into(),
            replays: vec![replay, Replay { after: replay.until, until: replay.after }],
            ..state(7)
        };
        let unusual = OwedEvent {
            room: "a room: with \"text\"\u{1f600}\0".into(),
            first: None,
            next: Some(START),
            status: None,
            error: String::new(),
            is_replay: true,
            attempts: u32::MAX,
            ..owed(i64::MAX, OwedState::Dead)
        };
        let events = vec![owed(2, OwedState::Held), owed(5, OwedState::Aside), unusual.clone()];
        inbox.commit_target(TargetCommit { state: told.clone(), owed: events.clone(), ..commit(epoch, 7) }).await.unwrap();
        let expected = TargetState { owed: OwedCounts { held: 1, aside: 1, dead: 1 }, ..told };
        assert_eq!(inbox.target("app").await.unwrap(), Some(expected.clone()));
        assert_eq!(inbox.owed("app", None, None, 9).await.unwrap(), events);
        assert_eq!(inbox.target("ap").await.unwrap(), None);
        assert_eq!(inbox.owed("ap", None, None, 9).await.unwrap(), []);
        inbox.close().await;
        drop(inbox);

        let inbox = place.open(&clock);
        assert_eq!(inbox.target("app").await.unwrap(), Some(expected));
        place.expire_leases("app");
        let next = lease(&inbox, "app").await.unwrap();
        assert!(next > epoch);
        assert_eq!(inbox.commit_target(commit(epoch, 8)).await, Err(TargetError::LeaseLost));
        // Changed and settled ones.
        let change =
            TargetCommit { owed: vec![owed(2, OwedState::Expired)], settled: vec![Cursor::from_number(5)], ..commit(next, 9) };
        inbox.commit_target(change).await.unwrap();
        let state = inbox.target("app").await.unwrap().unwrap();
        assert_eq!(state, TargetState { owed: OwedCounts { held: 0, aside: 0, dead: 1 }, ..state.clone() });
        assert_eq!(inbox.owed("app", None, None, 9).await.unwrap(), [owed(2, OwedState::Expired), unusual]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_with_an_old_epoch_is_refused_and_the_deliveries_beside_it_are_not() {
    on_each(async |place, clock| {
        let inbox = place.open(&clock);
        let old = lease(&inbox, "app").await.unwrap();
        inbox.commit_target(commit(old, 1)).await.unwrap();
        inbox.give_lease_back("app").await.unwrap();
        assert_eq!(inbox.commit_target(commit(old, 2)).await, Err(TargetError::LeaseLost));
        let new = lease(&inbox, "app").await.unwrap();
        assert!(new > old);
        for number in 0..20 {
            let stale = TargetCommit { owed: vec![owed(1, OwedState::Dead)], ..commit(old, 3) };
            let (refused, appended, done) =
                tokio::join!(inbox.commit_target(stale), inbox.append(arrival(number)), inbox.commit_target(commit(new, 4)),);
            assert_eq!((refused, appended, done), (Err(TargetError::LeaseLost), Ok(Appended::Committed), Ok(())));
        }
        assert_eq!(inbox.target("app").await.unwrap(), Some(state(4)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_by_its_holder_and_taken_by_another_once_it_is_free() {
    on_each(async |place, clock| {
        let one = place.open(&clock);
        let epoch = lease(&one, "app").await.unwrap();
        assert_eq!(lease(&one, "app").await, Some(epoch), "renewed");
        assert_eq!(lease(&one, "other").await, Some(1), "each target has a lease of its own");
        if !place.is_shared() {
            return;
        }
        let two = place.open(&clock);
        assert_eq!(lease(&two, "app").await, None);
        two.give_lease_back("app").await.unwrap();
        assert_eq!(lease(&two, "app").await, None, "only the holder gives it back");
        one.give_lease_back("app").await.unwrap();
        assert_eq!(lease(&two, "app").await, Some(epoch + 1));
        assert_eq!(lease(&one, "app").await, None);
        place.expire_leases("app");
        two.commit_target(commit(epoch + 1, 1)).await.unwrap(); // nobody else has it
        assert_eq!(lease(&one, "app").await, Some(epoch + 2));
        assert_eq!(two.commit_target(commit(epoch + 1, 2)).await, Err(TargetError::LeaseLost));
        assert_eq!(two.commit_target(commit(epoch + 2, 2)).await, Err(TargetError::LeaseLost), "a guess");
        assert_eq!(two.target("app").await.unwrap(), Some(state(1)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_in_their_order_until_the_holder_has_done_them() {
    on_each(async |place, clock| {
        let inbox = place.open(&clock);
        let epoch = lease(&inbox, "app").await.unwrap();
        for number in 1..=MOST_REQUESTS {
            assert_eq!(inbox.steer("app", format!(r#"{{"number":"{number}"}}"#)).await, Ok(Some(number)));
        }
        assert_eq!(inbox.steer("app", "one too many".into()).await, Ok(None));
        assert_eq!(inbox.steer("other", "pause".into()).await, Ok(Some(1)));
        let requests = inbox.steering("app").await.unwrap();
        let expected = |number| SteeringRequest { number, request: format!(r#"{{"number":"{number}"}}"#) };
        assert_eq!(requests, (1..=MOST_REQUESTS).map(expected).collect::<Vec<_>>());
        inbox.commit_target(TargetCommit { steered: MOST_REQUESTS - 1, ..commit(epoch, 1) }).await.unwrap();
        assert_eq!(inbox.steering("app").await.unwrap(), [expected(MOST_REQUESTS)]);
        inbox.commit_target(TargetCommit { steered: MOST_REQUESTS, ..commit(epoch, 1) }).await.unwrap();
        assert_eq!(inbox.steering("app").await.unwrap(), []);
        assert_eq!(inbox.steer("app", "resume".into()).await, Ok(Some(MOST_REQUESTS + 1)), "numbers are not used again");
        assert_eq!(inbox.steering("other").await.unwrap(), [SteeringRequest { number: 1, request: "pause".into() }]);
        assert_eq!(inbox.target("other").await.unwrap(), None, "a request alone is no state");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_owed_events_are_paged_by_state() {
    const COUNT: i64 = 100_000;
    on_each(async |place, clock| {
        let inbox = place.open(&clock);
        let epoch = lease(&inbox, "app").await.unwrap();
        let kind = |number: i64| if number % 100 == 0 { OwedState::Dead } else { OwedState::Held };
        let events = (1..=COUNT).map(|number| owed(number << 20, kind(number))).collect();
        inbox.commit_target(TargetCommit { owed: events, ..commit(epoch, COUNT << 20) }).await.unwrap();
        let counts = OwedCounts { held: 99_000, aside: 0, dead: 1000 };
        assert_eq!(inbox.target("app").await.unwrap().unwrap().owed, counts);

        let mut read = Vec::new();
        loop {
            let page = inbox.owed("app", Some(OwedState::Dead), read.last().copied(), 300).await.unwrap();
            read.extend(page.iter().map(|event| event.cursor));
            if page.len() < 300 {
                break;
            }
        }
        let expected: Vec<_> = (1..=COUNT / 100).map(|number| Cursor::from_number((number * 100) << 20)).collect();
        assert_eq!(read, expected);
        let page = inbox.owed("app", None, Some(Cursor::from_number(99 << 20)), 2).await.unwrap();
        assert_eq!(numbers(&page), [100 << 20, 101 << 20], "all states, in their order");
        assert_eq!(inbox.owed("app", Some(OwedState::Aside), None, 9).await.unwrap(), []);
        let cursors = [100 << 20, 7, 101 << 20].map(Cursor::from_number);
        assert_eq!(inbox.owed_at("app", &cursors).await.unwrap(), page, "these events");
        assert_eq!(inbox.owed_at("ap", &cursors).await.unwrap(), []);

        let settled = (1..=COUNT).map(|number| Cursor::from_number(number << 20)).collect();
        inbox.commit_target(TargetCommit { settled, ..commit(epoch, COUNT << 20) }).await.unwrap();
        assert_eq!(inbox.target("app").await.unwrap().unwrap().owed, OwedCounts::default());
        assert_eq!(inbox.owed("app", None, None, 9).await.unwrap(), []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lag_is_counted_from_the_first_entry_after_the_cursor() {
    on_each(async |place, clock| {
        let inbox = place.open(&clock);
        lease(&inbox, "app").await;
        assert_eq!(inbox.lag(Cursor::from_number(0)).await.unwrap(), Lag::default());
        for number in 1..=10 {
            assert_eq!(inbox.append(arrival(number)).await, Ok(Appended::Committed));
        }
        clock.pass(Duration::from_secs(60));
        let at = |number| Cursor::at(START.saturating_add(Duration::from_secs(number)));
        assert_eq!(inbox.lag(Cursor::from_number(0)).await.unwrap(), Lag { entries: 10, seconds: 59 });
        assert_eq!(inbox.lag(at(1)).await.unwrap(), Lag { entries: 9, seconds: 58 });
        assert_eq!(inbox.lag(at(1).before()).await.unwrap(), Lag { entries: 10, seconds: 59 });
        assert_eq!(inbox.lag(at(9)).await.unwrap(), Lag { entries: 1, seconds: 50 });
        assert_eq!(inbox.lag(at(10)).await.unwrap(), Lag::default());
        assert_eq!(inbox.lag(Cursor::from_number(i64::MAX)).await.unwrap(), Lag::default());
    })
    .await;
}

#[tokio::test]
async fn an_inbox_that_keeps_nothing_has_no_targets() {
    let inbox = Inbox::none();
    assert!(matches!(inbox.target("app").await, Err(ReadError::NotKept)));
    assert_eq!(inbox.take_lease("app").await, Err(TargetError::Unavailable));
    assert_eq!(inbox.commit_target(commit(1, 1)).await, Err(TargetError::Unavailable));
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_committed_while_the_relays_writes_fail() {
    on_each(async |place, clock| {
        let inbox = place.open(&clock);
        let epoch = lease(&inbox, "app").await.unwrap();
        // What another program does to the inbox.
        if let Some(file) = place.sqlite() {
            file.execute_batch("CREATE TRIGGER broken BEFORE INSERT ON owed BEGIN SELECT raise(ABORT, 'no'); END").unwrap();
        }
        if let Some(mut redis) = place.redis() {
            ::redis::cmd("SET").arg("{roomkey}:owed-order").arg("text").exec(&mut redis).unwrap();
        }
        let change = || TargetCommit { owed: vec![owed(1, OwedState::Dead)], ..commit(epoch, 2) };
        for number in 0..10 {
            let (failed, appended) = tokio::join!(inbox.commit_target(change()), inbox.append(arrival(number)));
            assert_eq!((failed, appended), (Err(TargetError::Unavailable), Ok(Appended::Committed)));
        }
        assert_eq!(inbox.commit_target(change()).await, Err(TargetError::Unavailable), "alone");
        inbox.is_ready().unwrap();
        if let Some(file) = place.sqlite() {
            assert_eq!(inbox.target("app").await.unwrap(), None);
            file.execute_batch("DROP TRIGGER broken").unwrap();
        }
        if let Some(mut redis) = place.redis() {
            ::redis::cmd("DEL").arg("{roomkey}:owed-order").exec(&mut redis).unwrap();
        }
        inbox.commit_target(change()).await.unwrap();
        assert_eq!(inbox.target("app").await.unwrap().unwrap().owed, OwedCounts { held: 0, aside: 0, dead: 1 });
        assert_eq!(inbox.append(arrival(0)).await, Ok(Appended::Duplicate));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_without_room_takes_nothing_new_from_the_relay_and_lets_it_settle() {
    let place = Place::Sqlite(folder());
    let retention = Retention { bytes: 0, ..Retention::default() };
    let Place::Sqlite(folder) = &place else { return };
    let inbox = Inbox::sqlite(&folder.join("inbox.db"), retention, Clock::from_fn(|| START)).unwrap();
    let epoch = lease(&inbox, "app").await.unwrap();
    inbox.commit_target(TargetCommit { owed: vec![owed(1, OwedState::Held)], ..commit(epoch, 1) }).await.unwrap();
    let file = place.sqlite().unwrap();
    file.execute_batch("CREATE TRIGGER stuck BEFORE DELETE ON entry BEGIN SELECT raise(ABORT, 'no'); END").unwrap();
    let large = "x".repeat(4 << 20);
    let mut number = 0;
    while inbox.append(arrival_with(number, &large)).await.is_ok() {
        number += 1;
        assert!(number < 20, "there is no end");
    }
    let change = |owed| TargetCommit { owed, settled: vec![Cursor::from_number(1)], ..commit(epoch, 2) };
    let refused = inbox.commit_target(change(vec![owed(2, OwedState::Held)])).await;
    assert_eq!(refused, Err(TargetError::Unavailable));
    assert_eq!(inbox.steer("app", "pause".into()).await, Err(TargetError::Unavailable));
    assert_eq!(inbox.take_lease("app").await, Ok(Some(epoch)));
    inbox.commit_target(change(Vec::new())).await.unwrap();
    assert_eq!(inbox.target("app").await.unwrap(), Some(state(2)));
    file.execute_batch("DROP TRIGGER stuck").unwrap();
    eventually(|| inbox.append(arrival_with(number, ""))).await;
    inbox.commit_target(change(vec![owed(2, OwedState::Held)])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_of_a_target_is_deleted_once_nobody_has_used_it_for_long() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    on_each(async |place, clock| {
        let inbox = place.open(&clock);
        for target in ["app", "app-2", "gone"] {
            let epoch = lease(&inbox, target).await.unwrap();
            let events = (1..2500).map(|number| owed(number, OwedState::Held)).collect();
            let change = TargetCommit { target: target.into(), owed: events, ..commit(epoch, 9) };
            inbox.commit_target(change).await.unwrap();
            inbox.steer(target, "pause".into()).await.unwrap();
        }
        inbox.give_lease_back("gone").await.unwrap();
        let prune = |days: u32| {
            let (inbox, now) = (inbox.clone(), START.saturating_add(DAY * days));
            tokio::task::spawn_blocking(move || {
                let store = &inbox.0.kept.as_ref().unwrap().store;
                while store.prune_targets(now.saturating_sub(DAY * 30), now).unwrap() {}
            })
        };
        prune(29).await.unwrap();
        assert_eq!(inbox.target("gone").await.unwrap().unwrap().owed.held, 2499);
        prune(31).await.unwrap();
        assert_eq!(inbox.target("gone").await.unwrap(), None);
        assert_eq!(inbox.owed("gone", None, None, 1).await.unwrap(), []);
        assert_eq!(inbox.steering("gone").await.unwrap(), []);
        for target in ["app", "app-2"] {
            assert_eq!(inbox.target(target).await.unwrap().unwrap().owed.held, 2499);
            assert_eq!(inbox.owed(target, None, None, 5000).await.unwrap().len(), 2499);
            assert_eq!(inbox.steering(target).await.unwrap().len(), 1);
        }
        inbox.give_lease_back("app").await.unwrap();
        prune(60).await.unwrap();
        assert!(inbox.target("app").await.unwrap().is_some(), "it was in use on day 31");
        prune(62).await.unwrap();
        assert_eq!(inbox.target("app").await.unwrap(), None);
        assert_eq!(lease(&inbox, "gone").await, Some(1), "it begins again");
    })
    .await;
}

/// Commits in step with deliveries, in the current folder, until it is killed by the test below.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs in a process of its own"]
async fn a_process_that_commits() {
    let place = Place::Sqlite(PathBuf::new());
    let inbox = place.open(&TestClock::new());
    std::mem::forget(place); // the folder is the test's
    let epoch = lease(&inbox, "app").await.unwrap();
    let first = inbox.target("app").await.unwrap().map_or(0, |state| state.cursor.number());
    for number in first + 1..first + 10_000 {
        let change = TargetCommit { owed: vec![owed(number, OwedState::Held)], ..commit(epoch, number) };
        let (committed, appended) = tokio::join!(inbox.commit_target(change), inbox.append(arrival(number.unsigned_abs())));
        assert_eq!((committed, appended), (Ok(()), Ok(Appended::Committed)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_each_commit_complete_or_undone() {
    let folder = folder();
    let place = Place::Sqlite(folder.clone());
    let mut before = 0;
    for round in 0..5 {
        let mut child = Command::new("/proc/self/exe")
            .args(["--ignored", "--exact", "inbox::targets::tests::a_process_that_commits"])
            .current_dir(&folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let cursor = || {
            let file = rusqlite::Connection::open(folder.join("inbox.db"))?;
            file.query_row("SELECT cursor FROM target", [], |row| row.get::<_, i64>(0))
        };
        eventually(async || cursor().ok().filter(|cursor| *cursor > before + 20 + round).ok_or("it does not commit")).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let inbox = place.open(&TestClock::new());
        let state = inbox.target("app").await.unwrap().unwrap();
        before = state.cursor.number();
        assert_eq!(state.owed.held, before.unsigned_abs());
        let events = inbox.owed("app", None, None, usize::MAX).await.unwrap();
        assert_eq!(numbers(&events), (1..=before).collect::<Vec<_>>());
        // What was committed in one transaction, and in one more or less, because the two come one after the other.
        let entries = inbox.lag(Cursor::from_number(0)).await.unwrap().entries.cast_signed();
        assert!((before - 1..=before + 1).contains(&entries), "{entries} {before}");
        inbox.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_in_the_middle_keeps_each_commit_complete_or_undone() {
    let Some(redis) = redis() else { return };
    let place = Arc::new(Place::Redis(redis));
    let inbox = place.open(&TestClock::new());
    let mut epoch = lease(&inbox, "app").await.unwrap();
    let mut number = 1;
    for _ in 0..3 {
        let killing = {
            let place = Arc::clone(&place);
            tokio::task::spawn_blocking(move || {
                let Place::Redis(redis) = &*place else { return };
                std::thread::sleep(Duration::from_millis(100));
                redis.kill();
            })
        };
        while !killing.is_finished() {
            let change = TargetCommit { owed: vec![owed(number, OwedState::Held)], ..commit(epoch, number) };
            if inbox.commit_target(change).await.is_ok() {
                number += 1;
            }
        }
        killing.await.unwrap();
        if let Place::Redis(redis) = &*place {
            redis.restart();
        }
        let again = lease(&inbox, "app").await.unwrap();
        assert_eq!(again, epoch, "nobody else had it");
        epoch = again;
        let state = eventually(|| inbox.target("app")).await.unwrap();
        let (cursor, kept) = (state.cursor.number(), state.owed.held.cast_signed());
        assert!(cursor == kept && (number - 1..=number).contains(&cursor), "{cursor} {kept} {number}");
        number = cursor + 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_copy_has_its_targets() {
    let (clock, folder) = (TestClock::new(), folder());
    let place = Place::Sqlite(folder.clone());
    let inbox = place.open(&clock);
    let epoch = lease(&inbox, "app").await.unwrap();
    inbox.commit_target(TargetCommit { owed: vec![owed(1, OwedState::Aside)], ..commit(epoch, 2) }).await.unwrap();
    place.sqlite().unwrap().execute("VACUUM INTO ?", [folder.join("copy.db").to_str().unwrap()]).unwrap();
    inbox.commit_target(TargetCommit { settled: vec![Cursor::from_number(1)], ..commit(epoch, 3) }).await.unwrap();
    inbox.close().await;
    drop(inbox);
    crate::inbox::restore(&folder.join("inbox.db"), &folder.join("copy.db")).unwrap();
    let inbox = place.open(&clock);
    assert_eq!(inbox.owed("app", None, None, 9).await.unwrap(), [owed(1, OwedState::Aside)]);
    assert_eq!(inbox.target("app").await.unwrap().unwrap().cursor, Cursor::from_number(2));
    assert!(lease(&inbox, "app").await > Some(epoch));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_an_older_roomkey_are_counted_as_far_as_one_read_goes() {
    let Some(redis) = redis() else { return };
    let place = Place::Redis(redis);
    let inbox = place.open(&TestClock::new());
    lease(&inbox, "app").await;
    let mut connection = place.redis().unwrap();
    let mut add = |second: u64| {
        let fields =
            ["fingerprint", "f", "received", "1800000000000", "key", "k", "id", "i", "event", "e", "room", "r", "body", "{}"];
        let id = format!("{}-1", START.as_millis() + 1000 * second);
        ::redis::cmd("XADD").arg("{roomkey}:entries").arg(id).arg(&fields).exec(&mut connection).unwrap();
    };
    for second in 1..=100 {
        add(second);
    }
    let at = |second| Cursor::at(START.saturating_add(Duration::from_secs(second)));
    let lag = async |second| inbox.lag(at(second)).await.unwrap().entries;
    assert_eq!(lag(1).await, 100, "an inbox without numbers");
    for second in 101..=110 {
        inbox.append(arrival(second)).await.unwrap();
    }
    assert_eq!((lag(1).await, lag(101).await, lag(105).await), (110, 9, 5));
    // Several of both versions run at once.
    add(111);
    assert_eq!((lag(1).await, lag(101).await, lag(110).await), (111, 10, 1));
    inbox.append(arrival(112)).await.unwrap();
    assert_eq!((lag(1).await, lag(101).await, lag(110).await), (112, 11, 2));
    for second in 200..2000 {
        add(second);
    }
    assert_eq!((lag(112).await, lag(111).await), (512, 1802), "of the first, at least so many are known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_the_redis_with_only_the_permissions_of_the_guide_can_do_everything() {
    let Some(redis) = redis() else { return };
    let place = Place::Redis(redis);
    drop(eventually(async || place_is_up(&place)).await);
    let rules = |what: &str| {
        let guide = include_str!("../../guide/inbox.md");
        let row = guide.lines().find_map(|line| line.strip_prefix(&format!("| {what} | `"))).unwrap();
        row.split_once("` |").unwrap().0.replace("\\|", "|").split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut connection = place.redis().unwrap();
    let mut set_user = |rules: &[String]| {
        ::redis::cmd("ACL").arg("SETUSER").arg("roomkey").arg("on").arg(">hidden").arg(rules).exec(&mut connection).unwrap();
    };
    set_user(&rules("the inbox"));
    let Place::Redis(redis) = &place else { return };
    let url = redis.url.replace("redis://", "redis://roomkey:hidden@");
    let clock = Clock::from_fn(|| START);
    let inbox = Inbox::redis(url.parse().unwrap(), Retention::default(), clock).unwrap();
    eventually(|| inbox.append(arrival(1))).await;
    assert_eq!(inbox.append(arrival(2)).await, Ok(Appended::Committed), "webhooks do not need the relay's permissions");
    assert_eq!(inbox.take_lease("app").await, Err(TargetError::Unavailable));
    assert_eq!(inbox.append(arrival(3)).await, Ok(Appended::Committed));

    set_user(&rules("the relay"));
    let epoch = lease(&inbox, "app").await.unwrap();
    inbox.steer("app", "pause".into()).await.unwrap();
    let events = vec![owed(1, OwedState::Held), owed(2, OwedState::Held)];
    inbox.commit_target(TargetCommit { owed: events, ..commit(epoch, 2) }).await.unwrap();
    inbox.commit_target(TargetCommit { settled: vec![Cursor::from_number(1)], steered: 1, ..commit(epoch, 2) }).await.unwrap();
    assert_eq!(inbox.owed("app", None, None, 9).await.unwrap(), [owed(2, OwedState::Held)]);
    assert_eq!(inbox.steering("app").await.unwrap(), []);
    assert!(inbox.target("app").await.unwrap().is_some());
    assert_eq!(inbox.lag(Cursor::from_number(0)).await.unwrap().entries, 3);
    inbox.give_lease_back("app").await.unwrap();
    let store = Arc::clone(&inbox.0.kept.as_ref().unwrap().store);
    let pruned = tokio::task::spawn_blocking(move || {
        let later = START.saturating_add(Duration::from_secs(60));
        store.prune_targets(later, later)
    });
    assert!(pruned.await.unwrap().unwrap());
    assert_eq!(inbox.target("app").await.unwrap(), None);
}

fn place_is_up(place: &Place) -> Result<::redis::Connection, ::redis::RedisError> {
    let Place::Redis(redis) = place else { panic!("a file is always there") };
    ::redis::Client::open(&*redis.url)?.get_connection()
}
