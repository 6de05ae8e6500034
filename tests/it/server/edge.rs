//! A server in this process: on a port of its own, with a clock that the test moves and limits that it shortens.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use roomkey::clock::Clock;
use roomkey::http::{self, Bind, Cors, Limits};
use roomkey::policy::Policy;
use roomkey::{ApiKeys, UnixTime};
use tokio::sync::oneshot;

use super::client::{Answer, Client};
use crate::fixtures::{NOW, api_keys};

/// What a server is started with. The defaults are the program's, with the keys of the recording.
pub(crate) struct Setup {
    pub(crate) keys: ApiKeys,
    pub(crate) cors: Cors,
    pub(crate) limits: Limits,
    pub(crate) ttl: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        let ttl = roomkey::livekit::access_token::DEFAULT_TTL;
        Self { keys: api_keys(), cors: Cors::default(), limits: Limits::default(), ttl }
    }
}

impl Setup {
    /// The defaults, with limits changed by `change`.
    pub(crate) fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        let mut setup = Self::default();
        change(&mut setup.limits);
        setup
    }

    pub(crate) fn start(self) -> Server {
        let time = Arc::new(AtomicU64::new(NOW));
        let clock = Arc::clone(&time);
        self.start_with(time, move || UnixTime::from_secs(clock.load(Relaxed)))
    }

    /// Starts with this clock.
    pub(crate) fn start_with_clock(self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Server {
        self.start_with(Arc::default(), clock)
    }

    fn start_with(self, time: Arc<AtomicU64>, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Server {
        let policy = Policy { ttl: self.ttl, ..Policy::default() };
        let edge = http::Edge::new(self.keys, policy, self.limits, Clock::from_fn(clock)).with_cors(self.cors);
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = mpsc::channel();
        let (ended, end) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = http::bind(&Bind::Host("127.0.0.1".to_owned()), 0).unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let shutdown = async {
                    // A test that drops the server without stopping it does not wait for its end.
                    if stopped.await.is_err() {
                        pending::<()>().await;
                    }
                };
                http::run(listener, None, edge, shutdown).await;
            });
            let _ = ended.send(());
        });
        Server { address: told.recv().unwrap(), time, stop: Some(stop), end }
    }
}

/// A server in this process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    time: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    end: mpsc::Receiver<()>,
}

impl Server {
    /// Starts with the defaults.
    pub(crate) fn start() -> Self {
        Setup::default().start()
    }

    /// Moves its clock.
    pub(crate) fn set_time(&self, seconds: u64) {
        self.time.store(seconds, Relaxed);
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// The answer to `request` on a connection of its own.
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        self.connect().ask(request)
    }

    /// Tells it to stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until it and its connections have ended.
    pub(crate) fn wait(&self) {
        self.end.recv_timeout(Duration::from_secs(30)).expect("the server does not end");
    }
}
