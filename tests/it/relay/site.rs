//! An application with an endpoint of its own, and roomkeys that relay to it. Does not know what is tested.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use roomkey::{AccessToken, UnixTime, VideoGrants};
use rustix::process::Signal;
use serde_json::Value;

use crate::fixtures::api_key;
use crate::harness::client::{Client, post, request};
use crate::harness::directory::Directory;
use crate::harness::program::{Program, Start};
use crate::harness::receiver::{Received, Receiver};
use crate::harness::sender::authorization_at;

const DEVELOPMENT: (&str, &str) = ("devkey", "secret");

/// Where roomkey keeps its state, and what it relays to.
pub(super) struct Site {
    directory: Directory,
    inbox: String,
}

impl Site {
    /// One target, with these lines beside what it needs. It begins at the oldest event.
    pub(super) fn new(receiver: &Receiver, lines: &str) -> Self {
        let directory = Directory::new();
        let inbox = format!("sqlite:{}", directory.file("inbox.db").display());
        let site = Self { directory, inbox };
        site.directory.write("secret", "a-secret-for-the-relay-0123456789abcdef");
        fs::set_permissions(site.directory.file("secret"), Permissions::from_mode(0o600)).unwrap();
        let (url, secret) = (receiver.url(), site.directory.file("secret"));
        let lines = format!(
            "[[target]]\nname = \"app\"\nurl = \"{url}\"\nkey = \"APIrelayApp\"\nsecret_file = \"{}\"\nfrom = \"oldest\"\n{lines}\n",
            secret.display()
        );
        site.directory.write("relay.toml", lines);
        site
    }

    /// With another inbox.
    pub(super) fn with_inbox(self, inbox: String) -> Self {
        Self { inbox, ..self }
    }

    pub(super) fn relay_file(&self) -> PathBuf {
        self.directory.file("relay.toml")
    }

    /// A roomkey that relays.
    pub(super) fn start(&self) -> Program {
        Start::new()
            .env("SERVER_BIND", "127.0.0.1")
            .env("ROOMKEY_INBOX", &self.inbox)
            .env("ROOMKEY_RELAY", self.relay_file())
            .serve()
    }
}

/// An event's body.
fn event(id: &str, room: &str) -> String {
    format!(r#"{{"event":"participant_joined","room":{{"name":"{room}"}},"id":"{id}"}}"#)
}

/// Whether roomkey took the event, as LiveKit sends it. It may be killed meanwhile.
pub(super) fn try_send(address: SocketAddr, id: &str, room: &str) -> bool {
    let body = event(id, room);
    let authorization = authorization_at(UnixTime::now(), DEVELOPMENT, &body);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/webhook+json")];
    let answer = Client::try_connect(address).ok().and_then(|mut client| client.ask_if_open(post("/webhook", &headers, &body)));
    answer.is_some_and(|answer| answer.status == 200)
}

pub(super) fn send(program: &Program, id: &str, room: &str) {
    assert!(try_send(program.listens_at(), id, room), "{id} is not taken");
}

fn authorization() -> String {
    let grants = VideoGrants { room_list: true, room_create: true, ..VideoGrants::default() };
    let token = AccessToken::new().with_grants(grants).to_jwt(&api_key(DEVELOPMENT), UnixTime::now()).unwrap();
    format!("Bearer {token}")
}

fn ask(program: &Program, path: &str) -> Value {
    let answer = program.ask(request("GET", path, &[("Authorization", &authorization())], b""));
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

/// What `GET /relay` says of the target.
pub(super) fn status(program: &Program) -> Value {
    ask(program, "/relay")["targets"][0].clone()
}

/// What the target owes in this state.
pub(super) fn owed(program: &Program, state: &str) -> Vec<Value> {
    ask(program, &format!("/relay/app/owed?state={state}"))["owed"].as_array().unwrap().clone()
}

pub(super) fn steer(program: &Program, verb: &str, body: &str) {
    let authorization = authorization();
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let answer = program.ask(post(&format!("/relay/app/{verb}"), &headers, body));
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
