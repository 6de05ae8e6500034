//! Owns the real binary, over an inbox in its working directory, and what only it can show: signals, its log, its size.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use roomkey::{AccessToken, UnixTime};
use rustix::process::{Pid, Signal, kill_process};

use super::client::{Events, PATIENCE, send};
use super::support::{ALL, Directory, SSE, token_until};
use crate::fixtures::{SERVER_KEY, api_key, digest};

pub(super) struct Program {
    child: Child,
    pub(super) address: SocketAddr,
    lines: Receiver<String>,
    _directory: Directory,
}

impl Program {
    /// Starts it in `directory`, and waits until it listens.
    pub(super) fn start(directory: Directory) -> Self {
        Self::start_with(directory, &[])
    }

    /// The same with these variables.
    pub(super) fn start_with(directory: Directory, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomkey"));
        command.env_clear().current_dir(directory.file("")).stdin(Stdio::null()).stderr(Stdio::piped());
        command.envs([("SERVER_PORT", "0"), ("SERVER_BIND", "127.0.0.1"), ("LOG_LEVEL", "trace")]);
        command.envs([("LIVEKIT_API_KEY", SERVER_KEY.0), ("LIVEKIT_API_SECRET", SERVER_KEY.1)]);
        let mut child = command.envs(variables.iter().copied()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stderr.lines().for_each(|line| drop(sender.send(line.unwrap()))));
        let listening = loop {
            let line = lines.recv_timeout(PATIENCE).expect("it does not start");
            if line.contains("listening") {
                break line;
            }
        };
        let address = listening.split("http://").nth(1).unwrap().split(['"', ' ']).next().unwrap().parse().unwrap();
        Self { child, address, lines, _directory: directory }
    }

    /// `Authorization` of one who may read everything for an hour.
    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", token_until(ALL, UnixTime::now().as_secs() + 3600))
    }

    /// Delivers `body` as LiveKit would.
    pub(super) async fn deliver(&self, body: &str) {
        let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let token = AccessToken::new().with_sha256(digest(body)).to_jwt(&api_key(SERVER_KEY), UnixTime::now()).unwrap();
        let request = hyper::Request::post("/webhook").header("host", "test").header("authorization", token);
        let request = request.body(body.to_owned()).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    }

    /// One that follows, and reads its first kilobyte.
    pub(super) fn follow_one(&self) -> TcpStream {
        let mut stream = self.follow("/events");
        stream.read_exact(&mut [0; 1024]).unwrap();
        stream
    }

    /// One that asks for a stream.
    pub(super) fn follow(&self, target: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let authorization = self.bearer();
        let head =
            format!("GET {target} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nauthorization: {authorization}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    /// What it holds in memory.
    pub(super) fn resident_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn stop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits for its end, and gives the rest of its log.
    fn ended(mut self) -> Vec<String> {
        let mut log = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => log.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end: {log:#?}"),
            }
        }
        assert!(self.child.wait().unwrap().success());
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_streams_in_good_order() {
    let mut program = Program::start(Directory::new());
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(Events::read(send(program.address, "GET", "/events", &[SSE, ("authorization", &program.bearer())]).await));
    }
    let begin = std::time::Instant::now();
    program.stop();
    for mut events in streams {
        assert!(events.next().await.is_none());
    }
    program.ended();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_stands_in_the_log() {
    let mut program = Program::start(Directory::new());
    let bearer = program.bearer();
    let token = bearer.strip_prefix("Bearer ").unwrap();
    let broken = format!("{}x", &token[..token.len() - 1]);
    for token in [token, &broken] {
        for rest in ["", "&limit=0", "&room=a&room=a"] {
            send(program.address, "GET", &format!("/events?access_token={token}{rest}"), &[]).await;
            send(program.address, "GET", &format!("/events?access_token={token}{rest}"), &[SSE]).await;
            send(program.address, "PUT", &format!("/events?access_token={token}{rest}"), &[]).await;
        }
    }
    program.stop();
    let log = program.ended().join("\n");
    assert!(log.contains("/events") && !log.contains("access_token"), "{log}");
    let (input, signature) = token.rsplit_once('.').unwrap();
    assert!(!log.contains(input.split_once('.').unwrap().1) && !log.contains(signature), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_followed_goes_on_after_a_restart() {
    let directory = Directory::new();
    let path = directory.file("roomkey.db");
    let clock = roomkey::clock::Clock::system();
    let open = || roomkey::inbox::Inbox::sqlite(&path, roomkey::inbox::Retention::default(), clock.clone()).unwrap();
    let inbox = open();
    for id in 0..10 {
        super::support::append(&inbox, super::support::event(&id.to_string(), "x", "daily")).await;
    }
    inbox.close().await;
    drop(inbox);
    let program = Program::start(directory);
    let mut last = String::new();
    let headers = [SSE, ("authorization", &*program.bearer())];
    let mut events = Events::read(send(program.address, "GET", "/events", &headers).await);
    for id in 0..10 {
        let event = events.next().await.unwrap();
        assert_eq!(event.data.unwrap(), super::support::event(&id.to_string(), "x", "daily"));
        last = event.id.unwrap();
    }
    let headers = [("authorization", &*program.bearer()), ("last-event-id", &*last)];
    let answer = super::client::Answer::read(send(program.address, "GET", "/events", &headers).await).await;
    let (events, next) = answer.ids();
    assert!(events.is_empty() && next >= last, "{next}");
}
