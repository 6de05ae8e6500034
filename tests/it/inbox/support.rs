//! Signed deliveries, and inboxes to append them to.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roomkey::clock::Clock;
use roomkey::inbox::{Appended, Arrival, Entry, Filter, Inbox, PageLimit, ReadError, Retention};
use roomkey::{AccessToken, ApiKey, ApiKeys, Delivery, TokenVerifier, UnixTime, WebhookReceiver};
use sha2::{Digest, Sha256};

use super::redis_server::RedisServer;

pub(super) const KEYS: [&str; 2] = ["APIone", "APItwo"];
pub(super) const SECRET: &str = "a-secret-of-at-least-32-bytes-0123";
/// More than any test appends.
pub(super) const ALL: PageLimit = PageLimit { entries: usize::MAX, bytes: usize::MAX };

/// What LiveKit would send as `Authorization` with `body`.
pub(super) fn authorization(key: &str, body: &[u8], now: UnixTime) -> String {
    let key = ApiKey::new(key, SECRET).unwrap();
    let digest = STANDARD.encode(Sha256::digest(body));
    AccessToken::new().with_sha256(digest).with_ttl(Duration::from_secs(300)).to_jwt(&key, now).unwrap()
}

/// `body`, verified under the key `key`.
pub(super) fn delivery_of(key: &str, body: impl Into<Vec<u8>>) -> Delivery<Vec<u8>> {
    let (body, now) = (body.into(), UnixTime::now());
    let keys = ApiKeys::new(ApiKey::new(KEYS[0], SECRET).unwrap(), [ApiKey::new(KEYS[1], SECRET).unwrap()]).unwrap();
    let authorization = authorization(key, &body, now);
    WebhookReceiver::new(TokenVerifier::new(keys)).receive(&authorization, body, now).unwrap()
}

/// `body`, received now.
pub(super) fn arrival(body: impl Into<Vec<u8>>) -> Arrival {
    Arrival::new(delivery_of(KEYS[0], body), UnixTime::now())
}

/// A body like LiveKit's.
pub(super) fn event(id: &str, name: &str, room: &str) -> String {
    format!(r#"{{"event":"{name}","room":{{"sid":"RM_x","name":"{room}"}},"id":"{id}","createdAt":"1795317315"}}"#)
}

/// A directory that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("roomkey-inbox-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A disk of 4 MiB in memory.
#[derive(Debug)]
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(super) fn mount(scratch: &Scratch) -> Option<Self> {
        let place = scratch.file("disk");
        std::fs::create_dir(&place).unwrap();
        match Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(&place).status() {
            Ok(status) if status.success() => Some(Self(place)),
            outcome => {
                assert!(std::env::var_os("CI").is_none(), "CI has to mount a small disk: {outcome:?}");
                eprintln!("SKIPPED: a small disk needs the right to mount one ({outcome:?}); a limit on files stands in for it");
                None
            }
        }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Fills it, until the returned file is removed.
    pub(super) fn fill(&self) -> PathBuf {
        let filler = self.file("filler");
        let mut bytes = vec![0; 8 << 20];
        while std::fs::write(&filler, &bytes).is_err() {
            bytes.truncate(bytes.len() - 4096);
        }
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A clock that a test moves.
#[derive(Clone, Debug)]
pub(super) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(super) fn at(time: UnixTime) -> Self {
        Self(Arc::new(AtomicU64::new(time.as_millis())))
    }

    pub(super) fn now(&self) -> UnixTime {
        UnixTime::from_millis(self.0.load(Relaxed))
    }

    pub(super) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis().try_into().unwrap(), Relaxed);
    }

    pub(super) fn turn_back(&self, by: Duration) {
        self.0.fetch_sub(by.as_millis().try_into().unwrap(), Relaxed);
    }

    pub(super) fn clock(&self) -> Clock {
        let hands = self.clone();
        Clock::from_fn(move || hands.now())
    }
}

/// A backend under the contract. Each can open the same inbox repeatedly.
pub(crate) trait Backend: Send + Sync {
    fn open(&self, retention: Retention, clock: Clock) -> Inbox;

    fn inbox(&self) -> Inbox {
        self.open(Retention::default(), Clock::system())
    }
}

/// The available backends, by name.
pub(crate) fn backends() -> Vec<(&'static str, Box<dyn Backend>)> {
    let mut backends: Vec<(&'static str, Box<dyn Backend>)> = vec![("sqlite", Box::new(Sqlite(Scratch::new())))];
    if let Some(server) = RedisServer::start() {
        backends.push(("redis", Box::new(server)));
    }
    backends
}

/// In a directory of its own.
pub(crate) struct Sqlite(pub(crate) Scratch);

impl Backend for Sqlite {
    fn open(&self, retention: Retention, clock: Clock) -> Inbox {
        Inbox::sqlite(&self.0.file("inbox.db"), retention, clock).unwrap()
    }
}

/// Everything in `inbox` that `filter` wants.
pub(super) async fn read_all(inbox: &Inbox, filter: Filter) -> Result<Vec<Entry>, ReadError> {
    let filter = Arc::new(filter);
    let (mut entries, mut after) = (Vec::new(), None);
    loop {
        let page = inbox.read(after, &filter, ALL).await?;
        entries.extend(page.entries);
        after = Some(page.next);
        if page.is_last {
            return Ok(entries);
        }
    }
}

pub(super) async fn everything(inbox: &Inbox) -> Vec<Entry> {
    read_all(inbox, Filter::default()).await.unwrap()
}

/// Appends `body`, which must work.
pub(super) async fn append(inbox: &Inbox, body: impl Into<Vec<u8>>) -> Appended {
    inbox.append(arrival(body)).await.unwrap()
}

/// Appends all `bodies` in their order, some hundreds at a time, and returns the outcomes.
pub(super) async fn append_all(inbox: &Inbox, bodies: impl Iterator<Item = String>) -> HashSet<Appended> {
    let mut outcomes = HashSet::new();
    let mut waiting = VecDeque::new();
    for body in bodies {
        // Polled once each, in their order, so that they wait in their order.
        let mut appended = Box::pin({
            let (inbox, arrival) = (inbox.clone(), arrival(body));
            async move { inbox.append(arrival).await.unwrap() }
        });
        if let Poll::Ready(outcome) = poll_fn(|cx| Poll::Ready(appended.as_mut().poll(cx))).await {
            outcomes.insert(outcome);
        } else {
            waiting.push_back(appended);
        }
        if waiting.len() >= 500 {
            outcomes.insert(waiting.pop_front().unwrap().await);
        }
    }
    for appended in waiting {
        outcomes.insert(appended.await);
    }
    outcomes
}

/// Waits until `done`, for a while.
pub(super) async fn eventually(what: &str, done: impl AsyncFn() -> bool) {
    for _ in 0..500 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("in vain: {what}");
}
