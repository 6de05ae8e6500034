//! Tests of the server's bounds in time and memory, each shortened: clients that send slowly, stop sending or do not read, and too
//! much at once. That a deadline is not early shows in what is still answered after a part of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use crate::harness::client::{get, post, post_head};
use crate::harness::edge::{Server, Setup};
use crate::harness::sender::authorization;

/// Long enough for a loaded machine to be in time.
const SHORT: Duration = Duration::from_millis(600);
const DRIP: Duration = Duration::from_millis(60);

/// Sends `bytes` one by one until the server closes the connection, and returns its answer.
fn drip(server: &Server, head: &[u8], bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(head).unwrap();
    stream.set_read_timeout(Some(DRIP)).unwrap();
    let mut said = Vec::new();
    for byte in bytes.iter().cycle() {
        let _ = stream.write_all(&[*byte]);
        match stream.read_to_end(&mut said) {
            Ok(_) => break,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(_) => {}
        }
    }
    String::from_utf8(said).unwrap()
}

#[test]
fn a_head_that_drips() {
    let server = Setup::limited(|limits| limits.head = SHORT).start();
    let said = drip(&server, b"GET /healthz HTTP/1.1\r\n", b"X: y\r\n");
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("\"errorMessage\""), "{said:?}");
    assert_eq!(said.matches("HTTP/1.1").count(), 1);
}

#[test]
fn a_second_head_that_drips() {
    let server = Setup::limited(|limits| limits.head = SHORT).start();
    let said = drip(&server, &[get("/healthz"), b"GET /".to_vec()].concat(), b"x");
    assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("HTTP/1.1 408 "), "{said:?}");
}

#[test]
fn a_body_that_drips() {
    let server = Setup::limited(|limits| limits.body = SHORT).start();
    let authorization = authorization("");
    for head in [post_head("/token", &[], 10_000), post_head("/webhook", &[("Authorization", authorization.as_str())], 1_000_000)]
    {
        let said = drip(&server, &head, b" ");
        assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("\"errorMessage\""), "{said:?}");
    }
}

#[test]
fn a_slow_head_and_a_slow_body_that_come_in_time() {
    let server = Setup::limited(|limits| (limits.head, limits.body) = (SHORT * 10, SHORT * 10)).start();
    let body = r#"{"roomName":"r","participantName":"a"}"#;
    let mut client = server.connect();
    for part in post("/token", &[], body).chunks(20) {
        client.send(part);
        sleep(DRIP);
    }
    assert_eq!(client.answer().status, 200);
    client.assert_usable();
}

#[test]
fn an_idle_connection_is_kept_longer_than_a_head_may_take() {
    let server = Setup::limited(|limits| (limits.head, limits.idle) = (DRIP, SHORT * 20)).start();
    let mut client = server.connect();
    sleep(SHORT);
    for _ in 0..2 {
        client.assert_usable();
        sleep(SHORT);
    }
    // Also a connection with requests in quick succession, which keeps its buffers for a while.
    for _ in 0..20 {
        client.assert_usable();
    }
    sleep(SHORT);
    client.assert_usable();
}

/// Requests answers without reading them, until the kernel buffers no more and the server has to wait.
fn pipeline_without_reading(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_write_timeout(Some(DRIP)).unwrap();
    let requests = get("/healthz").repeat(1000);
    while stream.write_all(&requests).is_ok() {}
    stream
}

#[test]
fn a_reader_that_takes_nothing() {
    let server = Setup::limited(|limits| limits.write = SHORT).start();
    let mut stream = pipeline_without_reading(&server);
    // What the kernel buffered can still be read. Then the connection ends without notice.
    stream.set_read_timeout(Some(SHORT * 20)).unwrap();
    sleep(SHORT * 2);
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    server.connect().assert_usable();
}

#[test]
fn a_reader_that_takes_its_time_and_goes_on() {
    let server = Setup::limited(|limits| limits.write = SHORT).start();
    let mut stream = pipeline_without_reading(&server);
    stream.set_read_timeout(Some(SHORT * 20)).unwrap();
    let mut part = vec![0; 512 * 1024];
    for _ in 0..20 {
        sleep(DRIP);
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "cut although it reads");
    }
}

#[test]
fn more_bodies_at_once_than_may_be_held() {
    let server = Setup::limited(|limits| limits.held_body_bytes = 3000).start();
    let mut holding = server.connect();
    holding.send(post_head("/token", &[], 5000));
    holding.send([b' '; 2000]);
    let body = format!("{:2000}", r#"{"roomName":"r","participantName":"a"}"#);
    // Until those 2,000 have arrived, there is room.
    let refused = loop {
        let answer = server.ask(post("/token", &[], &body));
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    refused.error();
    assert_eq!(server.ask(post("/token", &[], body.trim_end())).status, 200, "a small one fits");
    drop(holding);
    while server.ask(post("/token", &[], &body)).status != 200 {}
}
