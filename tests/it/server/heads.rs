//! Tests of requests' heads: how large they may be, and how a larger one is refused.

use crate::harness::client::{Client, get, request};
use crate::harness::edge::{Server, Setup};
use crate::harness::program::Program;

const LIMIT: usize = 16 * 1024;
/// More than a connection ever reads of a head.
const MUCH: usize = 64 * 1024;

/// A `GET /healthz` of `length` bytes, filled in its one long header.
fn by_one_header(length: usize) -> Vec<u8> {
    let empty = request("GET", "/healthz", &[("X", "")], b"");
    let filled = request("GET", "/healthz", &[("X", &"x".repeat(length - empty.len()))], b"");
    assert_eq!(filled.len(), length);
    filled
}

/// The same, filled with many headers.
fn by_headers(length: usize) -> Vec<u8> {
    let value = "x".repeat(200);
    let mut headers = vec![("A-Header", value.as_str()); length / 250];
    let without = request("GET", "/healthz", &[headers.as_slice(), &[("X", "")]].concat(), b"").len();
    let rest = "x".repeat(length - without);
    headers.push(("X", &rest));
    let filled = request("GET", "/healthz", &headers, b"");
    assert_eq!(filled.len(), length);
    filled
}

/// The same, filled in its query.
fn by_query(length: usize) -> Vec<u8> {
    let filled = get(&format!("/healthz?{}", "x".repeat(length - get("/healthz?").len())));
    assert_eq!(filled.len(), length);
    filled
}

#[test]
fn a_head_of_16_kib_passes() {
    let server = Server::start();
    for head in [by_one_header(LIMIT), by_headers(LIMIT), by_query(LIMIT)] {
        let mut client = server.connect();
        assert_eq!(client.ask(head).status, 200);
        client.assert_usable();
    }
}

#[test]
fn a_head_of_one_byte_more() {
    let server = Server::start();
    for head in [by_one_header(LIMIT + 1), by_headers(LIMIT + 1), by_query(LIMIT + 1)] {
        let mut client = server.connect();
        let answer = client.ask(head);
        assert_eq!(answer.status, 431);
        answer.error();
        assert_eq!(answer.header("connection"), Some("close"));
        client.assert_closed();
    }
}

#[test]
fn a_head_of_nearly_64_kib() {
    let server = Server::start();
    for head in [by_one_header(MUCH - 1), by_query(MUCH - 1)] {
        let answer = server.ask(head);
        assert_eq!(answer.status, 431);
        answer.error();
    }
}

#[test]
fn a_large_head_is_refused_on_every_path() {
    let server = Server::start();
    let fill = "x".repeat(LIMIT);
    for (method, path) in
        [("POST", "/token"), ("POST", "/webhook"), ("GET", "/nowhere"), ("DELETE", "/token"), ("OPTIONS", "/token")]
    {
        let answer = server.ask(request(method, path, &[("X", &fill)], b""));
        assert_eq!(answer.status, 431, "{method} {path}");
        answer.error();
    }
}

#[test]
fn a_head_of_more_than_64_kib() {
    let server = Server::start();
    let fill = "x".repeat(MUCH + 1000);
    let mut client = server.connect();
    // The head has no end: the answer does not wait for it.
    client.send(format!("GET /healthz HTTP/1.1\r\nX: {}", &fill[..MUCH + 100]));
    let answer = client.answer();
    assert_eq!(answer.status, 431);
    answer.error();
    client.assert_closed();
    assert_eq!(server.ask(request("GET", "/healthz", &[("X", &fill)], b"")).status, 431);
}

#[test]
fn a_large_head_is_refused_in_the_form_of_its_path() {
    let server = Server::start();
    for length in [LIMIT - 20, LIMIT + 1000, MUCH] {
        let large = "x".repeat(length);
        for path in ["/connection-details", "//api/v2/sandbox/connection-details?a=b"] {
            let answer = server.ask(request("POST", path, &[("X", &large)], b""));
            assert_eq!(answer.status, 431, "{path}");
            answer.error_in(&["error", "errorMessage"]);
        }
    }
}

#[test]
fn a_large_head_behind_other_requests() {
    let server = Server::start();
    let mut client = server.connect();
    client.assert_usable();
    assert_eq!(client.ask(by_one_header(LIMIT)).status, 200);
    // A head is refused in the same way after other answers.
    let answer = client.ask(by_one_header(MUCH));
    assert_eq!(answer.status, 431);
    answer.error();
    client.assert_closed();
    // If both come at once, the first is answered and the second is refused.
    let mut client = server.connect();
    client.send([get("/healthz"), by_one_header(MUCH)].concat());
    assert_eq!([client.answer().status, client.answer().status], [200, 431]);
}

#[test]
fn unfinished_heads_hold_no_more_than_16_kib_each() {
    const HEADS: usize = 1000;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit })
        .unwrap();
    let program = Program::start();
    let head = format!("GET /healthz HTTP/1.1\r\nHost: test\r\nX: {}", "x".repeat(LIMIT - 100));
    let before = program.resident_bytes();
    let heads: Vec<Client> = (0..HEADS)
        .map(|_| {
            let mut client = program.connect();
            client.send(&head);
            client
        })
        .collect();
    // Each of the others has been read by the time that these are answered.
    for _ in 0..20 {
        program.connect().assert_usable();
    }
    let grown = program.resident_bytes().saturating_sub(before);
    // Buffers and the task of a connection; 64 KiB each would be 62 MiB.
    assert!(grown < HEADS * 28 * 1024, "{grown} bytes for {HEADS} heads");
    // They are answered once they are complete.
    for mut client in heads.into_iter().take(10) {
        assert_eq!(client.ask("\r\n\r\n").status, 200);
    }
}

#[test]
fn more_than_100_headers() {
    let server = Server::start();
    assert_eq!(server.ask(request("GET", "/healthz", &[("A", "b"); 99], b"")).status, 200);
    for count in [101, 1000, 5000] {
        let mut client = server.connect();
        assert_eq!(client.ask(request("GET", "/healthz", &vec![("A", "b"); count], b"")).status, 431, "{count}");
        client.assert_closed();
    }
}

#[test]
fn what_is_no_http() {
    let server = Server::start();
    for bytes in [
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET /healthz\r\n\r\n",
        "GET /healthz HTTP/9.9\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nno header\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nbad name: 1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nX: a\0b\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\n\r\n",
        "POST /token HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST /token HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        "POST /token HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n",
    ] {
        let mut client = server.connect();
        let answer = client.ask(bytes);
        assert_eq!(answer.status, 400, "{bytes:?}");
        answer.error();
        client.assert_closed();
    }
    // Nothing of it is kept.
    server.connect().assert_usable();
}

#[test]
fn a_head_that_does_not_come_to_its_end() {
    let server = Setup::limited(|limits| limits.head = std::time::Duration::from_millis(50)).start();
    for beginning in ["G", "POST /token HTTP/1.1\r\nHost: test\r\n"] {
        let mut client: Client = server.connect();
        client.send(beginning);
        let answer = client.answer();
        assert_eq!(answer.status, 408);
        answer.error();
        client.assert_closed();
    }
}
