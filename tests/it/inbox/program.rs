//! Runs the program as a child that a test can limit and kill, and sends webhooks to it as LiveKit does.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use roomkey::UnixTime;

use super::support::{KEYS, SECRET, Scratch, authorization};

/// A roomkey that is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    address: SocketAddr,
}

/// A command that starts roomkey with the inbox at `place`, at a free port of this machine; `before` comes before it, such as a
/// shell that sets a limit.
pub(super) fn command(before: &[&str], place: &str) -> (Command, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).unwrap();
    let program = env!("CARGO_BIN_EXE_roomkey");
    let mut words = before.iter().copied().chain([program]);
    let mut command = Command::new(words.next().unwrap());
    command
        .args(words)
        .args([
            "--inbox",
            place,
            "--server-bind",
            "127.0.0.1",
            "--server-port",
            &address.port().to_string(),
            "--log-level",
            "warn",
        ])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LIVEKIT_API_KEY", KEYS[0])
        .env("LIVEKIT_API_SECRET", SECRET)
        .env("LIVEKIT_URL", "ws://livekit.internal")
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null());
    (command, address)
}

/// A library for `LD_PRELOAD` that makes the disk and the clock of a program fail. See `disk.c`.
pub(super) fn failing_disk(scratch: &Scratch) -> Option<PathBuf> {
    let (source, library) = (scratch.file("disk.c"), scratch.file("disk.so"));
    std::fs::write(&source, include_str!("disk.c")).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl").status();
    match compiled {
        Ok(status) if status.success() => Some(library),
        outcome => {
            assert!(std::env::var_os("CI").is_none(), "CI needs a C compiler: {outcome:?}");
            eprintln!("SKIPPED: there is no C compiler to make a failing disk with");
            None
        }
    }
}

/// `sqlite:` and the path.
pub(super) fn place(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

impl Program {
    /// Starts it and waits until it answers.
    pub(super) fn start(place: &str) -> Self {
        Self::start_by(command(&[], place))
    }

    pub(super) fn start_by((mut command, address): (Command, SocketAddr)) -> Self {
        command.stderr(Stdio::inherit());
        Self::wait_for((command, address))
    }

    /// Likewise, with its log in a file.
    pub(super) fn start_with_log((mut command, address): (Command, SocketAddr), log: &Path) -> Self {
        command.stderr(std::fs::File::create(log).unwrap());
        Self::wait_for((command, address))
    }

    fn wait_for((mut command, address): (Command, SocketAddr)) -> Self {
        let mut program = Self { child: command.spawn().unwrap(), address };
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(program.child.try_wait().unwrap().is_none(), "it ended at once");
            assert!(begin.elapsed() < Duration::from_secs(10), "it does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        program
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it. Unlike after a power cut, the system keeps what was written.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The status and body of `GET path` at `address`.
    pub(super) fn get(address: SocketAddr, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: roomkey\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub(super) fn sender(&self) -> Sender {
        Sender::connect(self.address).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A failed start: its status and error message.
pub(super) fn failed_start((mut command, _): (Command, SocketAddr)) -> (Option<i32>, String) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            panic!("it starts");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// A connection that sends one webhook after another.
#[derive(Debug)]
pub(super) struct Sender(TcpStream);

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
}

impl Sender {
    pub(super) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(stream))
    }

    /// Sends `body` as a webhook and waits for the answer.
    pub(super) fn send(&mut self, body: &str) -> io::Result<Answer> {
        let authorization = authorization(KEYS[0], body.as_bytes(), UnixTime::now());
        let length = body.len();
        let request = format!(
            "POST /webhook HTTP/1.1\r\nHost: roomkey\r\nContent-Length: {length}\r\nAuthorization: {authorization}\r\n\
             Content-Type: application/webhook+json\r\n\r\n{body}"
        );
        self.0.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let (mut head_end, mut length) = (None, 0);
        while head_end.is_none_or(|end| answer.len() < end + length) {
            let mut part = [0; 4096];
            match self.0.read(&mut part)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => answer.extend_from_slice(&part[..read]),
            }
            if head_end.is_none() {
                head_end = answer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
                length = head_end.map_or(0, |end| field(&answer[..end], "content-length").unwrap().parse().unwrap());
            }
        }
        let head = &answer[..head_end.unwrap()];
        let status = String::from_utf8_lossy(head).split(' ').nth(1).unwrap().parse().unwrap();
        Ok(Answer { status, retry_after: field(head, "retry-after") })
    }
}

fn field(head: &[u8], name: &str) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let line = head.lines().find_map(|line| line.split_once(':').filter(|(each, _)| each.eq_ignore_ascii_case(name)));
    line.map(|(_, value)| value.trim().to_owned())
}

impl Answer {
    pub(super) fn is_committed(&self) -> bool {
        self.status == 200
    }

    /// The sender should try again in five seconds.
    pub(super) fn is_come_again(&self) -> bool {
        self.status == 503 && self.retry_after.as_deref() == Some("5")
    }
}

/// Sends bodies of `body` until one is committed; each answer must come within 5 s.
pub(super) fn send_until_committed(sender: &mut Sender, within: Duration, mut body: impl FnMut() -> String) -> String {
    let begin = Instant::now();
    loop {
        let (body, sent) = (body(), Instant::now());
        let answer = sender.send(&body).unwrap();
        assert!(sent.elapsed() < Duration::from_secs(5), "answered after {:?}", sent.elapsed());
        if answer.is_committed() {
            return body;
        }
        assert!(answer.is_come_again(), "{answer:?}");
        assert!(begin.elapsed() < within, "it does not work again");
        std::thread::sleep(Duration::from_millis(100));
    }
}
