//! A server in this process: on a port of its own, with a clock that the test moves and limits that it shortens.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use roomkey::clock::Clock;
use roomkey::http::{self, Bind, Cors, Limits, ProxyNetwork};
use roomkey::policy::Policy;
use roomkey::{ApiKeys, UnixTime};
use tokio::sync::oneshot;

use super::client::{Answer, Client};
use super::clock::TestClock;
use super::wait::PATIENCE;
use crate::fixtures::{api_keys, now};

/// How a server is started. The defaults are the program's, with the keys of the recordings.
pub(crate) struct Setup {
    pub(crate) keys: ApiKeys,
    pub(crate) cors: Cors,
    pub(crate) limits: Limits,
    pub(crate) ttl: Duration,
    pub(crate) trusted_proxies: Vec<ProxyNetwork>,
    pub(crate) has_proxy_protocol: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let ttl = roomkey::livekit::access_token::DEFAULT_TTL;
        Self {
            keys: api_keys(),
            cors: Cors::default(),
            limits: Limits::default(),
            ttl,
            trusted_proxies: Vec::new(),
            has_proxy_protocol: false,
        }
    }
}

impl Setup {
    /// The defaults, with limits changed by `change`. All clients have the tests' address, so one may hold everything.
    pub(crate) fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        let mut setup = Self::default();
        change(&mut setup.limits);
        setup.limits.client_held_body_bytes = setup.limits.held_body_bytes;
        setup
    }

    pub(crate) fn start(self) -> Server {
        let time = TestClock::at(now());
        self.start_with(time.clone(), time.clock())
    }

    /// Starts with this clock.
    pub(crate) fn start_with_clock(self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Server {
        self.start_with(TestClock::at(now()), Clock::from_fn(clock))
    }

    fn start_with(self, time: TestClock, clock: Clock) -> Server {
        let policy = Policy { ttl: self.ttl, ..Policy::default() };
        let edge = http::Edge::new(self.keys, policy, self.limits, clock).with_cors(self.cors);
        let edge = edge.with_trusted_proxies(self.trusted_proxies).with_proxy_protocol(self.has_proxy_protocol);
        let (stop, stopped) = oneshot::channel::<()>();
        let (address_sender, address) = mpsc::channel();
        let (ended, end) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = http::bind(&Bind::Host("127.0.0.1".to_owned()), 0).unwrap();
                address_sender.send(listener.local_addr().unwrap()).unwrap();
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
        Server { address: address.recv().unwrap(), time, stop: Some(stop), end }
    }
}

/// A server in this process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    time: TestClock,
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
        self.time.set(UnixTime::from_secs(seconds));
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
        self.end.recv_timeout(PATIENCE).expect("the server does not end");
    }
}
