//! Tests of `events --follow`: live events, a server that is restarted, and each way in which it ends.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::assert_says;
use super::events::{deliver, event, events, server, url};
use super::send_retry::Scripted;
use crate::fixtures::SERVER_KEY;
use crate::harness::client::Client;
use crate::harness::directory::Directory;
use crate::harness::program::{Program, Start};

/// The server at one port over one inbox, each time that it is started.
pub(super) struct Place {
    port: String,
    inbox: String,
    directory: Directory,
}

impl Place {
    pub(super) fn new() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let directory = Directory::new();
        let inbox = format!("sqlite:{}", directory.path().join("inbox.db").display());
        Self { port: free.local_addr().unwrap().port().to_string(), inbox, directory }
    }

    pub(super) fn serve(&self) -> Program {
        server().env("SERVER_PORT", &self.port).env("ROOMKEY_INBOX", &self.inbox).serve()
    }

    /// Deletes the inbox, which no server uses now. The next server starts a new one.
    pub(super) fn forget(&self) {
        for name in ["inbox.db", "inbox.db-wal", "inbox.db-shm"] {
            let _ = std::fs::remove_file(self.directory.path().join(name)); // not all are there
        }
    }
}

/// The id of the next event that `following` prints, which runs with `--json`.
fn next_id(following: &mut Program) -> String {
    let entry: Value = serde_json::from_str(&following.line()).unwrap();
    entry["event"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn each_event_is_printed_once_and_in_order_over_restarts() {
    let place = Place::new();
    let mut server = place.serve();
    let mut count = 0;
    let mut deliver_some = |server: &Program| {
        let mut client = server.connect();
        for _ in 0..25 {
            deliver(&mut client, event(&count.to_string(), "x", "daily"));
            count += 1;
        }
    };
    deliver_some(&server);
    let mut following = events(&url(&server), &["--follow", "--json"]).spawn();
    let mut expected = 0..;
    let mut read_some = |following: &mut Program| {
        for id in expected.by_ref().take(25) {
            assert_eq!(next_id(following), id.to_string());
        }
    };
    read_some(&mut following);
    for round in 0..4 {
        deliver_some(&server);
        if round % 2 == 0 {
            read_some(&mut following);
            server.stop();
        } else {
            drop(server); // killed, perhaps in the middle of a page
        }
        if round == 0 {
            following.wait_for("trying again");
        }
        server = place.serve();
        deliver_some(&server);
        if round % 2 == 1 {
            read_some(&mut following);
        }
        read_some(&mut following);
    }
    following.signal(Signal::TERM);
    let ended = following.ended();
    assert_says(&ended.stderr, &["is back"]);
    assert_eq!(ended.done(), "", "nothing twice");
}

#[test]
fn a_tail_begins_now_and_misses_nothing_over_restarts() {
    let place = Place::new();
    let server = place.serve();
    deliver(&mut server.connect(), event("before", "x", "daily"));
    let mut following = events(&url(&server), &["--tail", "--json"]).spawn();
    // The test cannot see when it has begun. It need not print what is delivered before that.
    let (is_begun, address) = (AtomicBool::new(false), server.address());
    let (first, count) = thread::scope(|scope| {
        let delivering = scope.spawn(|| {
            let mut client = Client::connect(address);
            let mut ids = 0..;
            while !is_begun.load(Relaxed) {
                deliver(&mut client, event(&ids.next().unwrap().to_string(), "x", "daily"));
                thread::sleep(Duration::from_millis(50));
            }
            ids.start
        });
        let first: usize = next_id(&mut following).parse().expect("what was there before is not for it");
        is_begun.store(true, Relaxed);
        (first, delivering.join().unwrap())
    });
    for id in first + 1..count {
        assert_eq!(next_id(&mut following), id.to_string());
    }
    server.stop();
    following.wait_for("trying again");
    let server = place.serve();
    for id in ["after", "last"] {
        deliver(&mut server.connect(), event(id, "x", "daily"));
        assert_eq!(next_id(&mut following), id);
    }
    following.signal(Signal::TERM);
    assert_eq!(following.wait().code(), Some(0));
}

#[test]
fn a_tail_learns_its_position_before_it_waits() {
    let page = |events: &str| {
        let body = format!(r#"{{"events":[{events}],"next":"0000000000000001"}}"#);
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let gone = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n".to_owned();
    let server = Scripted::answering(&[&page(""), &gone]);
    assert_says(&events(&server.url(), &["--tail", "--room", "a"]).run().refused(), &["410 Gone"]);
    let asked: Vec<_> = server.requests().iter().map(|each| each.head.split(' ').nth(1).unwrap().to_owned()).collect();
    let queries = ["limit=0&wait=0&after=latest", "limit=1000&wait=30&after=0000000000000001"];
    assert_eq!(asked, queries.map(|query| format!("/webhook/events?room=a&{query}")));
    let both = events("http://127.0.0.1:9", &["--tail", "--after", "0000000000000001"]).run();
    assert_eq!(both.status, 2, "{}", both.stderr);
}

#[test]
fn it_waits_for_selected_events_and_a_signal_ends_it() {
    for signal in [Signal::INT, Signal::TERM] {
        let server = server().serve();
        let mut following = events(&url(&server), &["-f", "--room", "daily"]).spawn();
        let mut client = server.connect();
        for (id, room) in ["daily", "other", "daily"].iter().enumerate() {
            deliver(&mut client, event(&id.to_string(), &format!("event_{id}"), room));
        }
        assert_says(&following.line(), &["event_0"]);
        assert_says(&following.line(), &["event_2"]);
        following.signal(signal);
        let ended = following.ended();
        assert_eq!((ended.status, &*ended.stdout, &*ended.stderr), (0, "", ""));
    }
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let server = server().serve();
    deliver(&mut server.connect(), event("1", "x", "daily"));
    // While it waits, and while it writes.
    for more in [&["--follow"][..], &["--follow", "--json"]] {
        let mut following = events(&url(&server), more).spawn();
        following.line();
        following.close_stdout();
        let ended = following.ended();
        assert_eq!((ended.status, &*ended.stderr), (0, ""));
    }
    let mut client = server.connect();
    for id in 2..200 {
        deliver(&mut client, event(&id.to_string(), &"x".repeat(1000), "daily"));
    }
    for more in [&["--json"][..], &["--json", "--follow"]] {
        let mut reading = events(&url(&server), more).spawn();
        reading.line();
        reading.close_stdout();
        let ended = reading.ended();
        assert_eq!((ended.status, &*ended.stderr), (0, ""));
    }
}

#[test]
fn a_signal_ends_it_if_nobody_reads_its_output() {
    let server = server().serve();
    let mut client = server.connect();
    for id in 0..200 {
        deliver(&mut client, event(&id.to_string(), &"x".repeat(1000), "daily"));
    }
    let mut following = events(&url(&server), &["--json", "--follow"]).spawn();
    following.line();
    following.signal(Signal::INT);
    assert_eq!(following.wait().code(), Some(0));
}

#[test]
fn it_waits_out_temporary_errors_and_a_refusal_ends_it() {
    let answer =
        |status: &str, more: &str, body: &str| format!("HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len());
    let page = |id: u64| {
        let entry = format!(r#"{{"cursor":"000000000000000{id}","event":{{"id":"{id}"}}}}"#);
        answer("200 OK", "", &format!(r#"{{"events":[{entry}],"next":"000000000000000{id}"}}"#))
    };
    let script = [
        &page(1),
        &answer("503 Service Unavailable", "Retry-After: 0\r\n", ""),
        &answer("429 Too Many Requests", "Retry-After: 0\r\n", ""),
        &page(2),
        &answer("200 OK", "Retry-After: 0\r\n", "<html>back soon</html>"),
        &page(3),
        &answer("410 Gone", "", r#"{"errorMessage":"what is left begins after 0000000000000005"}"#),
    ];
    let server = Scripted::answering(&script.map(|each| each.as_str()));
    let mut following = events(&server.url(), &["--follow", "--json"]).spawn();
    for id in 1..=3 {
        assert_eq!(next_id(&mut following), id.to_string());
    }
    let ended = following.ended();
    assert_eq!((ended.status, &*ended.stdout), (1, ""));
    assert_says(&ended.stderr, &["503 Service Unavailable", "not a page of events", "begins after 0000000000000005"]);
    assert_eq!(ended.stderr.matches("is back").count(), 2, "one line an outage: {}", ended.stderr);
    let requests = server.requests();
    let afters: Vec<_> = requests.iter().map(|each| each.head.split(' ').nth(1).unwrap().split("after=").nth(1)).collect();
    let [one, two, three] = ["0000000000000001", "0000000000000002", "0000000000000003"].map(Some);
    assert_eq!(afters, [None, one, one, one, two, two, three]);
}

#[test]
fn changed_keys_are_read_again() {
    let (name, secret) = SERVER_KEY;
    let keys = ["APIold: 0123456789abcdef0123456789abcdef\n".to_owned(), format!("{name}: {secret}\n")];
    let mut server = Start::bare().env("SERVER_BIND", "127.0.0.1").env("SERVER_PORT", "0");
    server = server.secret_file("keys", &keys[0]).env("LIVEKIT_KEYS_FILE", "keys");
    let path = server.path("keys");
    let mut server = server.serve();
    let arguments = ["events", "--follow", "--json", "--url", &url(&server), "--keys-file", path.to_str().unwrap()];
    let mut following = Start::command(arguments).spawn();
    std::fs::write(&path, keys.concat()).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("keys reloaded");
    deliver(&mut server.connect(), event("1", "x", "daily"));
    assert_eq!(next_id(&mut following), "1");
    std::fs::write(&path, &keys[1]).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("keys reloaded");
    for id in ["2", "3"] {
        deliver(&mut server.connect(), event(id, "x", "daily"));
        assert_eq!(next_id(&mut following), id);
    }
    following.signal(Signal::TERM);
    assert_eq!(following.wait().code(), Some(0));
}
