//! An application with an endpoint of its own, and roomkeys that relay to it. Does not know what is tested.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use roomkey::{AccessToken, UnixTime, VideoGrants};
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;

use crate::fixtures::api_key;
use crate::harness::client::{Answer, Client, post, request};
use crate::harness::directory::Directory;
use crate::harness::disk::failing_disk;
use crate::harness::program::{Program, Start};
use crate::harness::receiver::{Received, Receiver};
use crate::harness::sender::authorization_at;
use crate::harness::wait::eventually;

const DEVELOPMENT: (&str, &str) = ("devkey", "secret");

/// Where roomkey keeps its state, and what it relays to.
pub(super) struct Site {
    directory: Directory,
    inbox: String,
    /// A library that moves the clock of the roomkeys.
    clock: Option<PathBuf>,
}

impl Site {
    /// One target, with these lines beside what it needs. It begins at the oldest event.
    pub(super) fn new(receiver: &Receiver, lines: &str) -> Self {
        Self::at(receiver.port(), lines)
    }

    /// The same, with a target at a port of this machine.
    pub(super) fn at(port: u16, lines: &str) -> Self {
        let directory = Directory::new();
        let inbox = format!("sqlite:{}", directory.file("inbox.db").display());
        let site = Self { directory, inbox, clock: None };
        site.directory.write("secret", "a-secret-for-the-relay-0123456789abcdef");
        fs::set_permissions(site.directory.file("secret"), Permissions::from_mode(0o600)).unwrap();
        site.directory.write("relay.toml", "");
        site.with_target("app", port, lines)
    }

    /// With another target, at a port of this machine.
    pub(super) fn with_target(self, name: &str, port: u16, lines: &str) -> Self {
        let (secret, before) = (self.directory.file("secret"), fs::read_to_string(self.relay_file()).unwrap());
        let lines = format!(
            "{before}[[target]]\nname = \"{name}\"\nurl = \"http://127.0.0.1:{port}/\"\nkey = \"APIrelayApp\"\n\
             secret_file = \"{}\"\nfrom = \"oldest\"\n{lines}\n",
            secret.display()
        );
        self.directory.write("relay.toml", lines);
        self
    }

    /// With another inbox.
    pub(super) fn with_inbox(self, inbox: String) -> Self {
        Self { inbox, ..self }
    }

    /// With a clock that `move_clock` moves, if that is possible here.
    pub(super) fn with_clock(self) -> Option<Self> {
        let clock = Some(failing_disk(&self.directory)?);
        Some(Self { clock, ..self })
    }

    /// Moves the clock of the roomkeys ahead of the right one.
    pub(super) fn move_clock(&self, ahead_by: Duration) {
        self.directory.write("ahead.new", ahead_by.as_secs().to_string());
        fs::rename(self.directory.file("ahead.new"), self.directory.file("ahead")).unwrap();
    }

    pub(super) fn inbox_file(&self) -> PathBuf {
        self.directory.file("inbox.db")
    }

    /// Adds the events `EV_1`, `EV_2`, … to the inbox, after an `EV_0`: each in the next one of these rooms, which `room_of` names.
    pub(super) fn fill(&self, count: usize, rooms: usize) {
        let empty = Start::new().env("SERVER_BIND", "127.0.0.1").env("ROOMKEY_INBOX", &self.inbox).serve();
        send(&empty, "EV_0", "room-0");
        empty.stop();
        let body = event("' || new_id || '", "' || new_room || '");
        let fill = format!(
            "PRAGMA synchronous = OFF; BEGIN;
             CREATE TEMP TABLE first AS SELECT * FROM entry;
             INSERT INTO entry WITH RECURSIVE
                 n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {count}),
                 new (i, new_id, new_room) AS (SELECT i, 'EV_' || i, 'room-' || (i % {rooms}) FROM n)
                 SELECT cursor + i, number + i, randomblob(16), received, key, new_id, event, new_room, CAST('{body}' AS BLOB)
                 FROM new, first;
             INSERT OR IGNORE INTO fingerprint SELECT fingerprint, cursor FROM entry ORDER BY fingerprint;
             UPDATE inbox SET settled = (SELECT max(cursor) FROM entry);
             COMMIT;"
        );
        Connection::open(self.inbox_file()).unwrap().execute_batch(&fill).unwrap();
    }

    pub(super) fn relay_file(&self) -> PathBuf {
        self.directory.file("relay.toml")
    }

    /// A roomkey that relays.
    pub(super) fn start(&self) -> Program {
        let start = Start::new().env("SERVER_BIND", "127.0.0.1").env("ROOMKEY_INBOX", &self.inbox);
        let start = start.env("ROOMKEY_RELAY", self.relay_file());
        match &self.clock {
            Some(clock) => start.env("LD_PRELOAD", clock).env("AHEAD_BY", self.directory.file("ahead")),
            None => start,
        }
        .serve()
    }
}

/// An event's body.
fn event(id: &str, room: &str) -> String {
    format!(r#"{{"event":"participant_joined","room":{{"name":"{room}"}},"id":"{id}"}}"#)
}

/// The answer of roomkey to an event, as LiveKit sends it. There is none if it is killed meanwhile.
pub(super) fn deliver(client: &mut Client, id: &str, room: &str) -> Option<u16> {
    let body = event(id, room);
    let authorization = authorization_at(UnixTime::now(), DEVELOPMENT, &body);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/webhook+json")];
    Some(client.ask_if_open(post("/webhook", &headers, &body))?.status)
}

/// Whether roomkey took the event.
pub(super) fn try_send(address: SocketAddr, id: &str, room: &str) -> bool {
    Client::try_connect(address).ok().and_then(|mut client| deliver(&mut client, id, room)) == Some(200)
}

pub(super) fn send(program: &Program, id: &str, room: &str) {
    assert!(try_send(program.listens_at(), id, room), "{id} is not taken");
}

fn authorization() -> String {
    let grants = VideoGrants { room_list: true, room_create: true, ..VideoGrants::default() };
    // The clock of the roomkey may be ahead.
    let token = AccessToken::new()
        .with_grants(grants)
        .with_ttl(Duration::from_secs(7 * 24 * 60 * 60))
        .to_jwt(&api_key(DEVELOPMENT), UnixTime::now())
        .unwrap();
    format!("Bearer {token}")
}

fn ask(program: &Program, path: &str) -> Value {
    let answer = program.ask(request("GET", path, &[("Authorization", &authorization())], b""));
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

/// What `GET /relay` says of the target.
pub(super) fn status(program: &Program) -> Value {
    status_of(program, "app")
}

pub(super) fn status_of(program: &Program, target: &str) -> Value {
    let targets = ask(program, "/relay")["targets"].take();
    targets.as_array().unwrap().iter().find(|each| each["name"] == target).unwrap().clone()
}

/// The counts of a target that owes nothing.
pub(super) fn nothing_owed() -> Value {
    serde_json::json!({"held": 0, "aside": 0, "dead": 0})
}

/// Waits until it is committed that `target` has taken everything.
pub(super) async fn has_taken_everything(program: &Program, target: &str) {
    eventually("the target has taken everything", async || {
        let status = status_of(program, target);
        status["lag"]["entries"] == 0 && status["owed"] == nothing_owed()
    })
    .await;
}

/// What the target owes in this state.
pub(super) fn owed(program: &Program, state: &str) -> Vec<Value> {
    ask(program, &format!("/relay/app/owed?state={state}"))["owed"].as_array().unwrap().clone()
}

pub(super) fn try_steer(program: &Program, verb: &str, body: &str) -> Answer {
    let authorization = authorization();
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    program.ask(post(&format!("/relay/app/{verb}"), &headers, body))
}

pub(super) fn steer(program: &Program, verb: &str, body: &str) {
    let answer = try_steer(program, verb, body);
    assert_eq!((answer.status, answer.json()), (200, serde_json::json!({})), "{verb}: {answer:?}");
}

/// Ends roomkey as a crash does.
pub(super) fn kill(mut program: Program) {
    program.signal(Signal::KILL);
    program.wait();
}

/// The id of an event that arrived.
pub(super) fn id(received: &Received) -> String {
    let body: Value = serde_json::from_slice(&received.body).unwrap();
    body["id"].as_str().unwrap().to_owned()
}

pub(super) fn room(received: &Received) -> String {
    let body: Value = serde_json::from_slice(&received.body).unwrap();
    body["room"]["name"].as_str().unwrap().to_owned()
}
