//! Signed deliveries, and inboxes to append them to.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roomkey::clock::Clock;
use roomkey::inbox::{Appended, Arrival, Entry, Filter, Inbox, PageLimit, ReadError, Retention};
use roomkey::{AccessToken, ApiKey, ApiKeys, Delivery, TokenVerifier, UnixTime, WebhookReceiver};
use sha2::{Digest, Sha256};

use crate::guide::page;
use crate::harness::directory::Directory;
use crate::harness::redis_server::RedisServer;
use crate::harness::wait::PATIENCE;

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

/// The ACL rules that the guide gives in the row `what` of its table.
pub(crate) fn guide_rules(what: &str) -> Vec<String> {
    let page = page("src/guide/inbox.md");
    let row = page.lines().find_map(|line| line.strip_prefix(&format!("| {what} | `"))).unwrap();
    let (rules, _) = row.split_once("` |").unwrap();
    rules.replace("\\|", "|").split_whitespace().map(str::to_owned).collect()
}

/// A backend that the contract tests run over. Each opens, and opens again, the inbox in one place.
pub(crate) trait Backend: Send + Sync {
    fn open(&self, retention: Retention, clock: Clock) -> Inbox;

    fn inbox(&self) -> Inbox {
        self.open(Retention::default(), Clock::system())
    }
}

/// The available backends, by name.
pub(crate) fn backends() -> Vec<(&'static str, Box<dyn Backend>)> {
    let mut backends: Vec<(&'static str, Box<dyn Backend>)> = vec![("sqlite", Box::new(Sqlite(Directory::new())))];
    if let Some(server) = RedisServer::start() {
        backends.push(("redis", Box::new(server)));
    }
    backends
}

/// In a directory of its own.
pub(crate) struct Sqlite(pub(crate) Directory);

impl Backend for Sqlite {
    fn open(&self, retention: Retention, clock: Clock) -> Inbox {
        open_sqlite(&self.0.file("inbox.db"), retention, clock)
    }
}

/// Opens the inbox at `file`. Its lock may outlive the inbox that had it for a moment: while another test starts a program, the
/// child holds every descriptor of this process until it becomes that program.
pub(crate) fn open_sqlite(file: &Path, retention: Retention, clock: Clock) -> Inbox {
    let begin = Instant::now();
    loop {
        match Inbox::sqlite(file, retention, clock.clone()) {
            Err(error) if error.to_string().contains("another roomkey") && begin.elapsed() < PATIENCE => {
                sleep(Duration::from_millis(5))
            }
            opened => return opened.unwrap(),
        }
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
    loop {
        match read_all(inbox, Filter::default()).await {
            Err(ReadError::Gone { .. }) => {} // some were deleted while it read: read again
            entries => return entries.unwrap(),
        }
    }
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
