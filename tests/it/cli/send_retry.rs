//! Tests of `webhook send --retry`: what is retried and when, and that all tries are identical.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::assert_says;
use crate::harness::program::Start;

/// A receiver that gives these answers, one on each connection, and then ends.
pub(super) struct Scripted {
    address: SocketAddr,
    thread: thread::JoinHandle<Vec<Request>>,
}

/// A request that it received.
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    at: Instant,
}

impl Request {
    pub(super) fn authorization(&self) -> &str {
        let field = |line: &'_ str| line.to_ascii_lowercase().starts_with("authorization: ");
        self.head.split("\r\n").find(|line| field(line)).unwrap().split_once(": ").unwrap().1
    }
}

impl Scripted {
    /// An empty text closes the connection without an answer.
    pub(super) fn answering(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
        let thread = thread::spawn(move || answers.iter().map(|answer| exchange(&listener, answer)).collect());
        Self { address, thread }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/webhook", self.address)
    }

    /// The requests that it received, once it has given all its answers.
    pub(super) fn requests(self) -> Vec<Request> {
        self.thread.join().unwrap()
    }
}

fn exchange(listener: &TcpListener, answer: &str) -> Request {
    let (mut stream, _) = listener.accept().unwrap();
    let at = Instant::now();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let end_of_head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let read = stream.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "the request breaks off");
        bytes.extend_from_slice(&buffer[..read]);
    };
    let head = String::from_utf8(bytes[..end_of_head].to_vec()).unwrap();
    let length = head
        .to_ascii_lowercase()
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    let mut body = bytes.split_off(end_of_head);
    while body.len() < length {
        let read = stream.read(&mut buffer).unwrap();
        body.extend_from_slice(&buffer[..read]);
    }
    stream.write_all(answer.as_bytes()).unwrap();
    Request { head, body, at }
}

fn send(receiver: &Scripted, more: &[&str]) -> Start {
    Start::command_with_keys([&["webhook", "send", "--url", &receiver.url(), "--event", "room_started", "--json"], more].concat())
}

fn answer(status: &str, more: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\n\r\n")
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn without_retry_there_is_one_try() {
    let receiver = Scripted::answering(&[&answer("503 Service Unavailable", "Retry-After: 0\r\n")]);
    let ended = send(&receiver, &[]).run();
    assert_eq!((ended.status, receiver.requests().len()), (1, 1));
}

#[test]
fn retry_after_replaces_the_back_off_and_each_try_is_the_same() {
    let busy = answer("503 Service Unavailable", "Retry-After: 0\r\n");
    let many = answer("429 Too Many Requests", "Retry-After: 0\r\n");
    let receiver = Scripted::answering(&[&busy, &many, &busy, &many, OK]);
    let begin = Instant::now();
    let ended = send(&receiver, &["--retry"]).run();
    assert!(begin.elapsed() < Duration::from_secs(5), "it waited nevertheless");
    assert_eq!(ended.stderr.lines().count(), 4);
    assert_says(&ended.stderr, &["503", "429", "next try in 0 s"]);
    let told: Value = serde_json::from_str(&ended.done()).unwrap();
    assert_eq!((&told["status"], &told["tries"]), (&200.into(), &5.into()));
    let requests = receiver.requests();
    for request in &requests {
        assert_eq!((&request.head, &request.body), (&requests[0].head, &requests[0].body));
    }
}

#[test]
fn there_are_at_most_five_tries() {
    let busy = answer("503 Service Unavailable", "Retry-After: 0\r\n");
    let receiver = Scripted::answering(&[busy.as_str(); 5]);
    let ended = send(&receiver, &["--retry"]).run();
    assert_eq!(ended.status, 1);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&told["status"], &told["tries"]), (&503.into(), &5.into()));
    assert_eq!(receiver.requests().len(), 5);
}

#[test]
fn other_answers_count_as_delivered_as_for_livekit() {
    for status in
        ["400 Bad Request", "401 Unauthorized", "404 Not Found", "301 Moved Permanently", "501 Not Implemented", "204 No Content"]
    {
        let receiver = Scripted::answering(&[&answer(status, "Retry-After: 0\r\n")]);
        let ended = send(&receiver, &["--retry"]).run();
        assert_eq!(ended.status, i32::from(!status.starts_with('2')), "{status}");
        assert_eq!((ended.stderr.as_str(), receiver.requests().len()), ("", 1), "{status}");
    }
}

#[test]
fn the_back_off_is_livekits() {
    // No answer, and an answer without Retry-After: 1 s and 2 s. Retry-After of a 500 is ignored.
    let receiver = Scripted::answering(&["", &answer("500 Internal Server Error", "Retry-After: 9\r\n"), OK]);
    send(&receiver, &["--retry"]).run().done();
    let requests = receiver.requests();
    let waits: Vec<f64> = requests.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64()).collect();
    assert!((0.9..1.9).contains(&waits[0]) && (1.9..3.5).contains(&waits[1]), "{waits:?}");
}

#[test]
fn retry_after_may_be_seconds_or_a_date() {
    let seconds = || "2".to_owned();
    // A date has only whole seconds.
    let date = || httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(4));
    for (retry_after, expected) in [(&seconds as &dyn Fn() -> String, 1.9..3.5), (&date, 2.0..5.0)] {
        let busy = answer("503 Service Unavailable", &format!("Retry-After: {}\r\n", retry_after()));
        let receiver = Scripted::answering(&[&busy, OK]);
        send(&receiver, &["--retry"]).run().done();
        let requests = receiver.requests();
        let wait = (requests[1].at - requests[0].at).as_secs_f64();
        assert!(expected.contains(&wait), "{wait}");
    }
}

#[test]
fn a_retry_after_in_the_past_means_no_wait() {
    let past = ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"];
    let past = past.map(|date| answer("503 Service Unavailable", &format!("Retry-After: {date}\r\n")));
    let receiver = Scripted::answering(&[&past[0], &past[1], &past[2], OK]);
    assert_eq!(send(&receiver, &["--retry"]).run().stderr.matches("the next try in 0 s").count(), 3);
    assert_eq!(receiver.requests().len(), 4);
}
