//! Tests of `roomkey healthcheck`, with the settings of the server that it asks.

use std::net::{SocketAddr, TcpListener};

use rustix::process::Signal;

use crate::harness::program::{Start, free_address};

fn healthcheck(address: SocketAddr) -> Start {
    let start = Start::command(["healthcheck"]).env("SERVER_PORT", address.port().to_string());
    start.env("SERVER_BIND", address.ip().to_string())
}

#[test]
fn a_server_that_is_ready_is_healthy() {
    let server = Start::new().serve();
    let port = server.address().port().to_string();
    for bind in [None, Some("127.0.0.1"), Some("localhost"), Some("0.0.0.0"), Some("::")] {
        let start = Start::command(["healthcheck"]).env("SERVER_PORT", &port);
        let start = bind.into_iter().fold(start, |start, bind| start.env("SERVER_BIND", bind));
        let ended = start.run();
        assert_eq!((ended.status, &*ended.stdout, &*ended.stderr), (0, "ready\n", ""), "{bind:?}");
    }
    // By the flags of the server too.
    Start::command(["healthcheck", "--server-port", &port]).run().done();
}

#[test]
fn it_follows_the_base_path_and_the_address() {
    let server = Start::new().env("BASE_PATH", "/x/y").env("SERVER_BIND", "127.0.0.1").serve();
    healthcheck(server.address()).env("BASE_PATH", "/x/y").run().done();
    let sentence = healthcheck(server.address()).run().refused();
    assert!(sentence.contains("/readyz answers 404"), "{sentence}");
    if TcpListener::bind("[::1]:0").is_ok() {
        let server = Start::new().env("SERVER_BIND", "::1").serve();
        healthcheck(server.address()).run().done();
    }
}

#[test]
fn it_speaks_the_proxy_protocol_if_the_server_does() {
    let server = Start::new().env("PROXY_PROTOCOL", "true").serve();
    healthcheck(server.address()).env("PROXY_PROTOCOL", "true").run().done();
    healthcheck(server.address()).run().refused();
}

#[test]
fn a_server_that_is_stopping_is_not_healthy() {
    let mut server = Start::new().env("SHUTDOWN_DELAY", "1h").serve();
    healthcheck(server.address()).run().done();
    server.signal(Signal::TERM);
    server.wait_for("stopping");
    let sentence = healthcheck(server.address()).run().refused();
    assert!(sentence.contains("/readyz answers 503: "), "{sentence}");
}

#[test]
fn a_server_whose_inbox_fails_is_not_healthy() {
    let nobody = free_address();
    let server = Start::new().env("ROOMKEY_INBOX", format!("redis://{nobody}")).serve();
    let sentence = healthcheck(server.address()).run().refused();
    assert!(sentence.contains("/readyz answers 503: "), "{sentence}");
}

#[test]
fn a_server_that_is_down_or_silent_is_not_healthy() {
    let sentence = healthcheck(free_address()).run().refused();
    assert!(sentence.contains("no connection"), "{sentence}");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let sentence = healthcheck(silent.local_addr().unwrap()).run().refused();
    assert!(sentence.contains("no answer within 5 s"), "{sentence}");
}

#[test]
fn settings_that_name_no_server_have_status_1_too() {
    for (name, value) in [("SERVER_PORT", "0"), ("SERVER_PORT", "many"), ("BASE_PATH", "x"), ("SERVER_BIND", "a b")] {
        let sentence = Start::command(["healthcheck"]).env(name, value).run().refused();
        assert!(sentence.contains(name), "{sentence}");
    }
}

#[test]
fn the_files_of_the_server_do_not_matter() {
    let server = Start::new().serve();
    let start = healthcheck(server.address()).env("LIVEKIT_KEYS_FILE", "nowhere").env("ROOMKEY_POLICY", "nowhere");
    start.env("ROOMKEY_INBOX", "nowhere").run().done();
}
