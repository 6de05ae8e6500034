//! The real program over an inbox, and connections that deliver webhooks to it as LiveKit does.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use roomkey::UnixTime;

use super::support::{KEYS, SECRET, authorization};
use crate::harness::client::{Answer, Client, get, post};
use crate::harness::program::{Program, Start, free_address};

/// `sqlite:` and the path.
pub(super) fn place(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

/// A server over the inbox at `place` whose log has only warnings and errors.
pub(super) fn start(place: &str) -> Start {
    with_inbox(Start::bare(), place)
}

/// The same, by a shell script that sets limits before `exec "$0" "$@"`.
pub(super) fn start_by_script(script: &str, place: &str) -> Start {
    with_inbox(Start::by_script(script), place)
}

fn with_inbox(start: Start, place: &str) -> Start {
    let start = start.env("SERVER_BIND", "127.0.0.1").env("SERVER_PORT", "0").env("LOG_LEVEL", "warn");
    let start = start.env("ROOMKEY_INBOX", place).env("LIVEKIT_URL", "ws://livekit.internal");
    start.env("LIVEKIT_API_KEY", KEYS[0]).env("LIVEKIT_API_SECRET", SECRET)
}

/// Starts a server over the inbox at `place`, and waits until it accepts connections.
pub(super) fn serve(place: &str) -> Program {
    start(place).serve_at(free_address())
}

/// A start that fails: its status, and what it says on stderr.
pub(super) fn failed_start(start: Start) -> (Option<i32>, String) {
    let ended = start.run();
    (Some(ended.status), ended.stderr)
}

/// The status and the body of what is at `path` of `address`.
pub(super) fn fetch(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = Client::connect(address).ask(get(path));
    (answer.status, String::from_utf8(answer.body).unwrap())
}

/// A connection that sends one webhook after the other.
pub(super) struct Sender(Client);

impl Sender {
    pub(super) fn connect(program: &Program) -> Self {
        Self(program.connect())
    }

    /// `None` if nothing listens there.
    pub(super) fn connect_to(address: SocketAddr) -> Option<Self> {
        Client::try_connect(address).ok().map(Self)
    }

    /// Sends `body` as a webhook. `None` if the server closes the connection before it answers.
    pub(super) fn send(&mut self, body: &str) -> Option<Answer> {
        let authorization = authorization(KEYS[0], body.as_bytes(), UnixTime::now());
        let headers = [("Authorization", &*authorization), ("Content-Type", "application/webhook+json")];
        self.0.ask_if_open(post("/webhook", &headers, body))
    }
}

impl Answer {
    pub(super) fn is_committed(&self) -> bool {
        self.status == 200
    }

    /// Asks the sender to send it again in five seconds.
    pub(super) fn is_try_again(&self) -> bool {
        self.status == 503 && self.header("retry-after") == Some("5")
    }
}

/// Sends what `body` returns until one is committed, and returns that one. Each answer must come within 5 s.
pub(super) fn send_until_committed(sender: &mut Sender, within: Duration, mut body: impl FnMut() -> String) -> String {
    let begin = Instant::now();
    loop {
        let (body, sent) = (body(), Instant::now());
        let answer = sender.send(&body).unwrap();
        assert!(sent.elapsed() < Duration::from_secs(5), "answered after {:?}", sent.elapsed());
        if answer.is_committed() {
            return body;
        }
        assert!(answer.is_try_again(), "{answer:?}");
        assert!(begin.elapsed() < within, "it does not work again");
        std::thread::sleep(Duration::from_millis(100));
    }
}
