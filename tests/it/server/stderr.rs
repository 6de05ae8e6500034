//! Tests of a stderr that does not take the log: its reader is gone, its disk is full, nobody drains it, or it was closed before
//! the start. Only the reader of the log may notice.

use std::fs::{self, File};
use std::io::{self, PipeReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

use roomkey::UnixTime;
use rustix::process::Signal;
use serde_json::Value;

use crate::fixtures::SERVER_KEY;
use crate::harness::client::{Client, get, post};
use crate::harness::directory::Directory;
use crate::harness::program::{Program, Start, free_address};
use crate::harness::sender::authorization_at;
use crate::harness::wait::{PATIENCE, eventually_blocking};

/// A server with an inbox, and with the stderr that a test gives it.
struct Server {
    program: Program,
    metrics: SocketAddr,
}

impl Server {
    fn start(format: &str, stderr: impl Into<Stdio>) -> Self {
        Self::serve(Start::bare(), format, stderr, free_address())
    }

    fn serve(start: Start, format: &str, stderr: impl Into<Stdio>, address: SocketAddr) -> Self {
        let metrics = free_address();
        let start =
            start.env("METRICS_BIND", metrics.to_string()).env("ROOMKEY_INBOX", "sqlite:inbox.db").env("LOG_FORMAT", format);
        let start = start.env("LIVEKIT_API_KEY", SERVER_KEY.0).env("LIVEKIT_API_SECRET", SERVER_KEY.1);
        Self { program: start.stdout(Stdio::null()).stderr(stderr).serve_at(address), metrics }
    }

    /// Delivers `count` events of this name, each of which is committed.
    fn deliver(&self, count: usize, event: &str) {
        let mut client = self.program.connect();
        for id in 0..count {
            let body = format!(r#"{{"event":"{event}","id":"{id}","room":{{"name":"daily"}}}}"#);
            let authorization = authorization_at(UnixTime::now(), SERVER_KEY, &body);
            assert_eq!(client.ask(post("/webhook", &[("Authorization", &authorization)], body)).status, 200);
        }
    }

    /// Everything continues.
    fn assert_well(&self) {
        for path in ["/healthz", "/readyz"] {
            assert_eq!(self.program.connect().ask(get(path)).status, 200, "{path}");
        }
    }

    /// `roomkey_log_lines_dropped_total`.
    fn dropped(&self) -> u64 {
        let page = String::from_utf8(Client::connect(self.metrics).ask(get("/metrics")).body).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix("roomkey_log_lines_dropped_total "));
        line.unwrap_or_else(|| panic!("no metric in {page}")).parse().unwrap()
    }

    fn wait_until_dropped(&self, is_enough: impl Fn(u64) -> bool) {
        eventually_blocking("lines are dropped", || is_enough(self.dropped()));
    }

    /// Ends it as an orchestrator does.
    fn stop(&mut self) -> ExitStatus {
        self.program.signal(Signal::TERM);
        self.program.wait()
    }
}

/// Reads lines of JSON on a thread of its own.
fn lines_of(mut reader: impl Read + Send + 'static) -> mpsc::Receiver<Value> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = Vec::new();
        let mut piece = [0; 65_536];
        while let Ok(count @ 1..) = reader.read(&mut piece) {
            buffer.extend_from_slice(&piece[..count]);
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let line = serde_json::from_slice(&line).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&line)));
                if sender.send(line).is_err() {
                    return;
                }
            }
        }
    });
    lines
}

/// The lines up to the one about lost lines, and the number in it.
fn until_loss(lines: &mpsc::Receiver<Value>) -> (Vec<Value>, u64) {
    let mut before = Vec::new();
    loop {
        let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no loss is told: {before:#?}"));
        if line["message"].as_str().unwrap().contains("were lost") {
            assert_eq!(line["level"], "WARN");
            return (before, line["lines"].as_u64().unwrap());
        }
        before.push(line);
    }
}

/// Every line up to the last one.
fn until_stopped(lines: &mpsc::Receiver<Value>) -> Vec<Value> {
    let mut all = Vec::new();
    while all.last().is_none_or(|last: &Value| last["message"] != "stopped") {
        all.push(lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it does not tell that it stopped: {all:#?}")));
    }
    all
}

#[test]
fn a_stderr_whose_reader_is_gone_stops_nothing() {
    for format in ["text", "json"] {
        let (reader, writer) = io::pipe().unwrap();
        let mut server = Server::start(format, writer);
        drop(reader);
        server.deliver(300, "room_started");
        server.assert_well();
        server.wait_until_dropped(|dropped| dropped >= 300);
        assert!(server.stop().success());
    }
    // Gone before the start.
    let (_, writer) = io::pipe().unwrap();
    let mut server = Server::start("text", writer);
    server.deliver(10, "room_started");
    server.assert_well();
    assert!(server.stop().success());
}

#[test]
fn a_file_under_stderr_has_every_line_whole() {
    let directory = Directory::new();
    let path = directory.file("log");
    let mut server = Server::start("json", File::create(&path).unwrap());
    server.deliver(300, &"x".repeat(1000));
    assert!(server.stop().success());
    let log = fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let delivered = lines.iter().filter(|line| line["message"] == "delivery").map(|line| line["id"].as_str().unwrap());
    assert!(delivered.eq((0..300).map(|id| id.to_string())));
}

#[test]
fn a_full_disk_under_stderr_stops_nothing() {
    let mut server = Server::start("text", File::options().write(true).open("/dev/full").unwrap());
    server.deliver(300, "room_started");
    server.assert_well();
    server.wait_until_dropped(|dropped| dropped >= 300);
    assert!(server.stop().success());
}

#[test]
fn a_stderr_that_cannot_be_written_to_is_counted() {
    let mut server = Server::start("text", File::open("/dev/null").unwrap());
    server.deliver(10, "room_started");
    server.wait_until_dropped(|dropped| dropped >= 10);
    assert!(server.stop().success());
}

/// More than the pipe and the queue hold.
fn overwhelm(server: &Server) -> u64 {
    let event = "x".repeat(650);
    while server.dropped() == 0 {
        server.deliver(500, &event);
        server.assert_well();
    }
    server.dropped()
}

#[test]
fn a_pipe_that_nobody_drains_holds_up_neither_requests_nor_the_end() {
    let (reader, writer) = io::pipe().unwrap();
    let mut server = Server::start("json", writer);
    overwhelm(&server);
    assert!(server.stop().success());
    drop(reader);
}

#[test]
fn a_pipe_that_is_drained_again_tells_how_many_lines_were_lost() {
    let (reader, writer): (PipeReader, _) = io::pipe().unwrap();
    let mut server = Server::start("json", writer);
    let dropped = overwhelm(&server);
    let lines = lines_of(reader);
    let (_, told) = until_loss(&lines);
    assert_eq!(told, dropped);
    server.deliver(1, "after");
    server.stop();
    let rest = until_stopped(&lines);
    assert_eq!(rest.iter().filter(|line| line["event"] == "after").count(), 1);
    assert!(!rest.iter().any(|line| line["message"].as_str().unwrap().contains("were lost")), "it is told twice");
}

#[test]
fn a_reader_that_comes_back_is_told_how_many_lines_were_lost() {
    let directory = Directory::new();
    let path = directory.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    // A FIFO that is opened to read and to write does not block.
    let reader = || File::options().read(true).write(true).open(&path).unwrap();
    let first = reader();
    let mut server = Server::start("json", File::options().write(true).open(&path).unwrap());
    drop(first);
    server.deliver(100, "room_started");
    server.wait_until_dropped(|dropped| dropped >= 100);
    // It is logged without another line.
    let lines = lines_of(reader());
    let (before, told) = until_loss(&lines);
    assert_eq!(told, server.dropped());
    // What was written before the first reader went may still be in the FIFO.
    assert!(!before.iter().any(|line| line["event"] == "room_started"), "{before:#?}");
    server.deliver(5, "after");
    assert!(server.stop().success());
    assert_eq!(until_stopped(&lines).iter().filter(|line| line["event"] == "after").count(), 5);
}

#[test]
fn a_stderr_that_would_block_loses_nothing() {
    let (reader, writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    let mut server = Server::start("json", OwnedFd::from(writer));
    server.deliver(3000, "room_started");
    server.assert_well();
    let lines = lines_of(reader);
    assert!(server.stop().success());
    assert_eq!(until_stopped(&lines).iter().filter(|line| line["event"] == "room_started").count(), 3000);
}

#[test]
fn no_line_is_longer_than_4_kib_or_misleads_its_reader() {
    let names = ["x", "\\u202e", "\\u0000", "\\u001b[31m", "\\u2028", "\\u0085", "\\ud83d\\ude00", "\\\"", "é"];
    for format in ["text", "json"] {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut server = Server::start(format, writer);
        let log = thread::spawn(move || {
            let mut log = String::new();
            reader.read_to_string(&mut log).map(|_| log)
        });
        for name in names {
            let name = name.repeat(100_000 / name.len());
            let body = format!(
                r#"{{"event":"{name}","id":"{name}","room":{{"name":"{name}"}},"participant":{{"identity":"{name}"}},"more":"x"}}"#
            );
            let authorization = authorization_at(UnixTime::now(), SERVER_KEY, &body);
            let answer = server.program.connect().ask(post("/webhook", &[("Authorization", &authorization)], body));
            assert_eq!(answer.status, 200);
        }
        assert!(server.stop().success());
        let log = log.join().unwrap().unwrap();
        assert_eq!(log.lines().filter(|line| line.contains("delivery")).count(), names.len());
        for line in log.lines() {
            assert!(line.len() < 4096, "{} bytes", line.len());
            let misleads = |letter: char| letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}');
            assert!(!line.contains(misleads), "{line:?}");
            if line.contains("delivery") {
                assert_eq!(line.matches('…').count(), 4, "every field is cut, and shows it: {line}");
                assert!(line.contains(SERVER_KEY.0), "{line}");
            }
            assert!(format == "text" || serde_json::from_str::<Value>(line).is_ok(), "{line}");
        }
    }
}

/// What the descriptors of `server` are, in their order.
fn descriptors(server: &Server) -> Vec<(u32, String)> {
    let mut all: Vec<(u32, String)> = fs::read_dir(format!("/proc/{}/fd", server.program.id()))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, target.display().to_string()))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn what_is_closed_at_the_start_is_no_file_of_ours_later() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", "<&- >&- 2>&-"] {
        for held in [false, true] {
            // With and without a socket from its parent, as systemd passes it.
            let listening = TcpListener::bind("127.0.0.1:0").unwrap();
            let socket = held.then(|| OwnedFd::from(listening.try_clone().unwrap()));
            let hold = if held { "exec 3<&2 2>/dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; " } else { "" };
            let script = format!("{hold}exec \"$0\" \"$@\" {closed}");
            let stderr = socket.map_or_else(Stdio::null, Stdio::from);
            let address = if held { listening.local_addr().unwrap() } else { free_address() };
            let mut server = Server::serve(Start::by_script(&script), "text", stderr, address);
            server.deliver(10, "room_started");
            server.assert_well();
            let descriptors = descriptors(&server);
            for (number, target) in descriptors.iter().take_while(|(number, _)| *number <= 2) {
                assert_eq!(target, "/dev/null", "{closed}: {number} of {descriptors:?}");
            }
            assert!(descriptors.iter().take(3).map(|(number, _)| *number).eq(0..3), "{closed}: {descriptors:?}");
            assert!(descriptors.iter().any(|(_, target)| target.ends_with("inbox.db")), "{descriptors:?}");
            assert!(server.stop().success());
        }
    }
}
