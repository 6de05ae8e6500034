//! The server in this process, over an inbox on disk, or over one of each backend that is installed here.

use std::net::SocketAddr;
use std::sync::Arc;

use roomkey::http::{self, Bind, Edge, Keyring, Limits};
use roomkey::inbox::{AppendError, Appended, Arrival, Inbox, Retention};
use roomkey::policy::Policy;
use roomkey::{ApiKeys, UnixTime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::client::{Answer, Events, Headers, send};
use crate::fixtures::{self, EGRESS_KEY, HEADER, NOW, SERVER_KEY, api_key, base64url, digest, forge, sign};
use crate::harness::clock::TestClock;
use crate::harness::directory::Directory;
use crate::harness::wait::PATIENCE;
use crate::inbox::support::{Backend, Sqlite, backends};

/// Grants to read everything, and grants to read one room.
pub(super) const ALL: &str = r#"{"roomList":true}"#;
pub(super) const DAILY: &str = r#"{"roomAdmin":true,"room":"daily"}"#;
pub(super) const SSE: (&str, &str) = ("accept", "text/event-stream");

/// A token with the grants `video` that ends an hour after [`NOW`].
pub(super) fn token(video: &str) -> String {
    token_until(video, NOW + 3600)
}

pub(super) fn token_until(video: &str, expiry: u64) -> String {
    forge(HEADER, format!(r#"{{"iss":"{}","exp":{expiry},"video":{video}}}"#, SERVER_KEY.0))
}

/// An `Authorization` header with the grants `video`, signed with `key`, one of the server's two.
pub(super) fn bearer_of(key: (&str, &str), video: &str) -> String {
    let claims = format!(r#"{{"iss":"{}","exp":{},"video":{video}}}"#, key.0, NOW + 3600);
    format!("Bearer {}", sign(&format!("{}.{}", base64url(HEADER), base64url(claims)), key.1))
}

/// The first cursor of that second.
pub(super) fn cursor_at(seconds: u64) -> String {
    format!("{:016x}", (seconds * 1000) << 20)
}

pub(super) fn bearer(video: &str) -> String {
    format!("Bearer {}", token(video))
}

/// A body like LiveKit's.
pub(super) fn event(id: &str, name: &str, room: &str) -> String {
    format!(r#"{{"event":"{name}","room":{{"sid":"RM_x","name":"{room}"}},"id":"{id}","createdAt":"1795317315"}}"#)
}

/// Puts a verified delivery of `body` into `inbox`.
pub(super) async fn append(inbox: &Inbox, body: impl AsRef<[u8]>) {
    append_at(inbox, body, fixtures::now()).await;
}

/// Puts a verified delivery of `body` into `inbox`, as if it had come at `received`.
pub(super) async fn append_at(inbox: &Inbox, body: impl AsRef<[u8]>, received: UnixTime) {
    assert_eq!(try_append(inbox, body, received).await, Ok(Appended::Committed));
}

/// The same, but it may fail.
pub(super) async fn try_append(inbox: &Inbox, body: impl AsRef<[u8]>, received: UnixTime) -> Result<Appended, AppendError> {
    let body = body.as_ref();
    let claims = format!(r#"{{"iss":"{}","exp":{NOW},"sha256":"{}"}}"#, SERVER_KEY.0, digest(body));
    let delivery = fixtures::receiver().receive(&forge(HEADER, claims), body.to_vec(), fixtures::now()).unwrap();
    inbox.append(Arrival::new(delivery, received)).await
}

/// A server in this process.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) inbox: Inbox,
    pub(super) keyring: Keyring,
    time: TestClock,
    stop: Option<oneshot::Sender<()>>,
    end: JoinHandle<()>,
    _backend: Arc<dyn Backend>,
}

/// Runs `test` with a server over every backend of the inbox.
pub(super) async fn over_all<F: Future<Output = ()>>(test: impl Fn(Server) -> F) {
    for (name, backend) in backends() {
        eprintln!("over {name}");
        test(Server::over(backend.into()).await).await;
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::limited(|_| ()).await
    }

    /// With the limits that `change` changes.
    pub(super) async fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        Self::with(change, Arc::new(Sqlite(Directory::new()))).await
    }

    /// With the inbox of `backend`, which other servers may share.
    pub(super) async fn over(backend: Arc<dyn Backend>) -> Self {
        Self::with(|_| (), backend).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Limits), backend: Arc<dyn Backend>) -> Self {
        Self::keeping(Retention::default(), change, backend).await
    }

    /// With this retention.
    pub(super) async fn keeping(retention: Retention, change: impl FnOnce(&mut Limits), backend: Arc<dyn Backend>) -> Self {
        let time = TestClock::at(fixtures::now());
        let clock = time.clock();
        let inbox = backend.open(retention, clock.clone());
        let mut limits = Limits::default();
        change(&mut limits);
        let keys = ApiKeys::new(api_key(SERVER_KEY), [api_key(EGRESS_KEY)]).unwrap();
        let policy = Policy { ttl: roomkey::livekit::access_token::DEFAULT_TTL, allow_client_egress: false };
        let edge = Edge::new(keys, policy, limits, clock).with_inbox(inbox.clone());
        let keyring = edge.keyring();
        let listener = http::bind(&Bind::Host("127.0.0.1".to_owned()), 0).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let end = tokio::spawn(http::run(listener, None, edge, async {
            let _ = stopped.await;
        }));
        Self { address, inbox, keyring, time, stop: Some(stop), end, _backend: backend }
    }

    /// Moves its clock.
    pub(super) fn set_time(&self, seconds: u64) {
        self.time.set(UnixTime::from_secs(seconds));
    }

    pub(super) async fn append(&self, body: impl AsRef<[u8]>) {
        append(&self.inbox, body).await;
    }

    /// Appends an event of the room `daily` for each of `ids`.
    pub(super) async fn append_ids(&self, ids: impl IntoIterator<Item = impl ToString>) {
        for id in ids {
            self.append(event(&id.to_string(), "room_started", "daily")).await;
        }
    }

    pub(super) async fn ask(&self, method: &str, target: &str, headers: Headers<'_>) -> Answer {
        Answer::read(send(self.address, method, target, headers).await).await
    }

    /// `GET` without any header.
    pub(super) async fn get_without(&self, target: &str) -> Answer {
        self.ask("GET", target, &[]).await
    }

    /// `GET` with a token for everything.
    pub(super) async fn get(&self, target: &str) -> Answer {
        self.get_as(ALL, target).await
    }

    pub(super) async fn get_as(&self, video: &str, target: &str) -> Answer {
        self.ask("GET", target, &[("authorization", &bearer(video))]).await
    }

    /// A stream with a token for everything.
    pub(super) async fn events(&self, target: &str) -> Events {
        self.events_as(ALL, target).await
    }

    pub(super) async fn events_as(&self, video: &str, target: &str) -> Events {
        Events::read(send(self.address, "GET", target, &[SSE, ("authorization", &bearer(video))]).await)
    }

    /// Tells it to stop.
    pub(super) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until it and its connections have ended.
    pub(super) async fn ended(self) {
        timeout(PATIENCE, self.end).await.expect("it does not end").unwrap();
    }
}
