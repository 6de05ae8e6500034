//! Owns the real binary, started in an empty directory with nothing in its environment but what the test puts there, and a
//! client that asks one thing a connection. Knows nothing of what is expected.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use roomkey::{Claims, TokenVerifier, UnixTime};
use serde_json::{Map, Value};

use crate::fixtures;

/// After which a test fails instead of waiting for ever.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const STANDARD: &str = "/connection-details";
pub(crate) const SANDBOX: &str = "/api/v2/sandbox/connection-details";
pub(crate) const BOTH: [&str; 2] = [STANDARD, SANDBOX];

/// How the program is started.
pub(crate) struct Start {
    command: Command,
    directory: PathBuf,
}

impl Start {
    /// Without settings but whichever port is free.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("standard-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomkey"));
        command.env_clear().current_dir(&directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self { command, directory }.env("SERVER_BIND", "127.0.0.1").env("SERVER_PORT", "0").env("LOG_FORMAT", "json")
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    /// Runs it to its end.
    pub(crate) fn output(mut self) -> Output {
        let output = self.command.stdout(Stdio::piped()).output().unwrap();
        fs::remove_dir_all(&self.directory).unwrap();
        output
    }

    /// Starts it and waits until it serves.
    pub(crate) fn serve(mut self) -> Server {
        let mut child = self.command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it does not serve");
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no line of a log: {line}"));
            if line["message"] == "listening" {
                break line["address"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
            }
        };
        let reader = thread::spawn(move || {
            let mut rest = String::new();
            log.read_to_string(&mut rest).unwrap();
            rest
        });
        Server { child, address, log: Some(reader), directory: self.directory }
    }
}

/// The program, running; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Option<JoinHandle<String>>,
    directory: PathBuf,
}

impl Server {
    pub(crate) fn start() -> Self {
        Start::new().serve()
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        ask(self.address, method, path, headers, body)
    }

    /// POSTs JSON.
    pub(crate) fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.ask("POST", path, &[("Content-Type", "application/json")], body)
    }

    /// The claims of the token that `body` gets.
    #[track_caller]
    pub(crate) fn claims(&self, body: &Value) -> Map<String, Value> {
        let answer = self.post(STANDARD, body.to_string());
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        fixtures::payload(&answer.token())
    }

    /// Ends it, and gives what it logged after its start.
    pub(crate) fn end(mut self) -> String {
        self.child.kill().unwrap();
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The answer to one request on a connection of its own.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
    let body = body.as_ref();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !headers.iter().any(|(name, _)| *name == "Content-Length") && method != "GET" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    Answer::parse(&String::from_utf8(answer).unwrap())
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers =
            lines.map(|line| line.split_once(": ").unwrap()).map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Self { status, headers: headers.collect(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn token(&self) -> String {
        self.json()["participant_token"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    /// The claims of a token that holds.
    #[track_caller]
    pub(crate) fn verified(&self) -> Claims {
        TokenVerifier::with_api_key("devkey", "secret").unwrap().verify(&self.token(), UnixTime::now()).unwrap()
    }

    /// The text of an error of LiveKit's standard endpoint, in both members.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        assert!(self.status >= 400, "no error: {self:?}");
        assert!(self.header("access-control-allow-origin").or(self.header("vary")).is_some(), "no page can read it: {self:?}");
        let json = self.json();
        let text = json["error"].as_str().unwrap_or_else(|| panic!("{self:?}"));
        assert_eq!(json, serde_json::json!({ "errorMessage": text, "error": text }));
        assert!(!text.is_empty());
        text.to_owned()
    }

    /// Holds an error against a status and a text.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, text: &str) {
        assert_eq!((self.status, self.error().as_str()), (status, text));
    }
}
