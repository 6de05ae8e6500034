//! What the program says at its start of the Redis that it is given, and what it does not: the password.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::redis_server::{RedisServer, SAFE};
use super::support::Scratch;

const PASSWORD: &str = "hunter2-of-the-inbox";

/// A running program, ended with this.
struct Program {
    child: Child,
    lines: mpsc::Receiver<String>,
    _directory: Scratch,
}

impl Program {
    fn start(inbox: &str) -> Self {
        let directory = Scratch::new();
        let mut child = command(inbox, &directory).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, _directory: directory }
    }

    /// All lines until there are none for a while.
    fn lines(&self) -> Vec<String> {
        std::iter::from_fn(|| self.lines.recv_timeout(Duration::from_secs(2)).ok()).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(inbox: &str, directory: &Scratch) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomkey"));
    command
        .args(["--server-port", "0", "--server-bind", "127.0.0.1"])
        .env_clear()
        .env("ROOMKEY_INBOX", inbox)
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// The settings that the program warns of at a server with `settings`.
fn doubts(settings: &[&str]) -> Option<Vec<&'static str>> {
    let server = RedisServer::start_with(settings)?;
    let lines = Program::start(&server.url()).lines();
    assert!(lines.iter().any(|line| line.contains("Redis is reached") && line.contains("version=")), "{lines:#?}");
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

#[test]
fn a_server_that_is_not_there_is_no_reason_not_to_start() {
    let Some(server) = RedisServer::absent(&[]) else { return };
    let lines = Program::start(&server.url()).lines();
    assert!(lines.iter().any(|line| line.contains("listening")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("503 until the inbox works again")), "{lines:#?}");
}

#[test]
fn the_password_is_never_told() {
    let Some(server) = RedisServer::start() else { return };
    server.command(&["CONFIG", "SET", "requirepass", "another"]);
    let lines = Program::start(&format!("redis://:{PASSWORD}@127.0.0.1:{}", server.port())).lines();
    assert!(lines.iter().any(|line| line.contains("503 until the inbox works again")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains(PASSWORD)), "{lines:#?}");
}

#[test]
fn a_malformed_url_ends_the_start_with_one_sentence() {
    for url in [
        &format!("redis://:{PASSWORD}@"),
        &format!("redis://user:{PASSWORD}@host:port"),
        &format!("redis://user:{PASSWORD}@host/database"),
        &format!("rediss://:{PASSWORD}@host#insecure"),
        &format!("redsi://:{PASSWORD}@host"),
        &format!("redis:{PASSWORD}"),
    ] {
        let mut child = command(url, &Scratch::new()).spawn().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(2), "{url}: {said}");
        assert!(said.starts_with("roomkey: ROOMKEY_INBOX"), "{url}: {said}");
        assert_eq!(said.lines().count(), 1, "{url}: {said}");
        assert!(!said.contains(PASSWORD), "{url}: {said}");
    }
}
