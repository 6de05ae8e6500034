//! Starting with a Redis: what the program logs about its settings, what it answers while the server is unreachable, and that it never
//! shows the password.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::sender::{Sender, failed_start, send_until_committed, serve, start};
use super::support::event;
use crate::harness::client::{self, Client};
use crate::harness::redis_server::{RedisServer, SAFE};

const PASSWORD: &str = "hunter2-of-the-inbox";

/// Everything that the program logs with the inbox at `place`, until it is silent for a while.
fn said(place: &str) -> Vec<String> {
    start(place).spawn().log_until_silent_for(Duration::from_secs(3))
}

/// The settings that the program warns about if the server has `settings`.
fn doubts(settings: &[&str]) -> Option<Vec<&'static str>> {
    let server = RedisServer::start_with(settings)?;
    let lines = said(&server.url());
    assert!(!lines.iter().any(|line| line.contains("ERROR")), "{lines:#?}");
    let names = ["appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy"];
    let warned = |name: &str| lines.iter().any(|line| line.contains("WARN") && line.contains(&format!("setting=\"{name}\"")));
    Some(names.into_iter().filter(|name| warned(name)).collect())
}

#[test]
fn settings_that_lose_events_are_warned_of_by_name() {
    let Some(none) = doubts(&SAFE) else { return };
    assert_eq!(none, [""; 0]);
    assert_eq!(doubts(&["--appendonly", "yes"]).unwrap(), ["appendfsync"]);
    let worst = ["--appendonly", "no", "--maxmemory-policy", "allkeys-lru", "--no-appendfsync-on-rewrite", "yes"];
    assert_eq!(doubts(&worst).unwrap(), ["appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy"]);
}

/// The status of the answer to `request`, a method and path.
fn status(address: SocketAddr, request: &str, body: &str) -> u16 {
    let (method, path) = request.split_once(' ').unwrap();
    let length = body.len().to_string();
    let headers = [("Content-Type", "application/json"), ("Content-Length", &length)];
    Client::connect(address).ask(client::request(method, path, &headers, body.as_bytes())).status
}

#[test]
fn without_the_server_webhooks_get_503_and_tokens_are_minted() {
    let Some(server) = RedisServer::absent(&SAFE) else { return };
    let program = serve(&server.url());
    let mut events = (1..).map(|count| event(&format!("EV_{count}"), "room_started", "daily"));
    let ready = || status(program.address(), "GET /readyz", "");
    let assert_away = |body: String| {
        let begin = Instant::now();
        let answer = Sender::connect(&program).send(&body).unwrap();
        assert!(answer.is_try_again(), "{answer:?}");
        assert!(begin.elapsed() < Duration::from_secs(5), "answered after {:?}", begin.elapsed());
        while ready() != 503 {
            assert!(begin.elapsed() < Duration::from_secs(6), "it still says that it is ready");
        }
        let tutorial = r#"{"roomName":"daily","participantName":"alice"}"#;
        assert_eq!(status(program.address(), "POST /token", tutorial), 200);
    };
    for round in 0..3 {
        match round {
            0 => {} // it was not there yet
            1 => server.pause(),
            _ => server.kill(),
        }
        assert_away(events.next().unwrap());
        if round == 1 {
            server.resume();
        } else {
            server.run();
        }
        send_until_committed(&mut Sender::connect(&program), Duration::from_secs(10), || events.next().unwrap());
        assert_eq!(ready(), 200);
    }
}

#[test]
fn the_password_is_never_shown() {
    let Some(server) = RedisServer::start() else { return };
    server.command(&["CONFIG", "SET", "requirepass", "another"]);
    let lines = said(&format!("redis://:{PASSWORD}@127.0.0.1:{}", server.port()));
    assert!(lines.iter().any(|line| line.contains("503 until the inbox works again")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains(PASSWORD)), "{lines:#?}");
}

#[test]
fn a_malformed_url_ends_the_start_with_one_sentence() {
    for url in [
        format!("redis://:{PASSWORD}@"),
        format!("redis://user:{PASSWORD}@host:port"),
        format!("redis://user:{PASSWORD}@host/database"),
        format!("rediss://:{PASSWORD}@host#insecure"),
        format!("redsi://:{PASSWORD}@host"),
        format!("redis:{PASSWORD}"),
        format!("redis://:{PASSWORD}@host?replica=1"),
        format!("redis://:{PASSWORD}@host?replicas=-1"),
        format!("redis://:ab?{PASSWORD}@host"),
        format!("redis+sentinel://:{PASSWORD}@host:26379"),
        format!("redis+sentinel://:{PASSWORD}@host:26379/"),
        format!("redis+sentinel://:{PASSWORD}@host:port/mymaster"),
        format!("redis+sentinel://:{PASSWORD}@host,/mymaster"),
        format!("redis+sentinel://:ab/{PASSWORD}@host/mymaster"),
        format!("redis+sentinel://:ab@{PASSWORD}@host/mymaster"),
        format!("rediss+sentinel://:{PASSWORD}@host/mymaster?{PASSWORD}=1"),
        format!("redis-sentinel://:{PASSWORD}@host/mymaster"),
    ] {
        let (status, said) = failed_start(start(&url));
        assert_eq!(status, Some(2), "{url}: {said}");
        assert!(said.starts_with("roomkey: ROOMKEY_INBOX"), "{url}: {said}");
        assert_eq!(said.lines().count(), 1, "{url}: {said}");
        assert!(!said.contains(PASSWORD), "{url}: {said}");
    }
}
