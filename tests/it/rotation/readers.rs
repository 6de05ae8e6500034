//! Tests of readers of the inbox whose key is taken out of the file while they read.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use roomkey::{AccessToken, ApiKey, UnixTime, VideoGrants};

use super::support::{FILE, Key, NEW, OLD, Rotating, list};
use crate::harness::program::Start;

/// A test fails after this time without a byte.
const PATIENCE: Duration = Duration::from_secs(40);

/// A stream of events, with a token that `key` signed.
fn follow(rotating: &Rotating, key: Key) -> TcpStream {
    let grants = VideoGrants { room_list: true, ..VideoGrants::default() };
    let token = AccessToken::new().with_grants(grants).with_ttl(Duration::from_secs(3600));
    let token = token.to_jwt(&ApiKey::new(key.0, key.1).unwrap(), UnixTime::now()).unwrap();
    let mut stream = TcpStream::connect(rotating.program.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "GET /events HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut begin = Vec::new();
    while !begin.ends_with(b"retry: 1000\n\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        begin.push(byte[0]);
    }
    stream
}

#[test]
fn a_stream_ends_soon_after_its_key_is_taken_out() {
    let start = Start::new().secret_file(FILE, list(&[OLD, NEW])).env("LIVEKIT_KEYS_FILE", FILE);
    let rotating = Rotating { program: start.serve() };
    let (mut old, mut new) = (follow(&rotating, OLD), follow(&rotating, NEW));
    rotating.replace(list(&[NEW]));
    let begin = Instant::now();
    let mut rest = String::new();
    old.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
    assert!(begin.elapsed() < Duration::from_secs(14), "not before the next sign of life: {:?}", begin.elapsed());
    // The other one continues, and gets a cursor.
    let mut some: Vec<u8> = Vec::new();
    while !some.windows(4).any(|window| window == b"id: ") {
        let mut bytes = [0; 256];
        let length = new.read(&mut bytes).unwrap();
        assert!(length > 0, "it has ended");
        some.extend(&bytes[..length]);
    }
}
