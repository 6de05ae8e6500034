//! Tests of kept connections while the server stops: each answer says that it is the last, and a real nginx that keeps
//! connections loses no request over a restart.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::watching::activate;
use crate::harness::client::{get, post, post_head, request};
use crate::harness::nginx::Nginx;
use crate::harness::program::{Program, Start};

const BODY: &str = r#"{"roomName":"r","participantName":"a"}"#;

#[test]
fn every_answer_says_that_it_is_the_last_once_the_server_is_about_to_stop() {
    let mut program = Start::new().env("SHUTDOWN_DELAY", "60s").serve();
    let mut kept: Vec<_> = (0..5).map(|_| program.connect()).collect();
    for client in &mut kept {
        assert_eq!(client.ask(get("/healthz")).header("connection"), None);
    }
    program.signal(Signal::TERM);
    program.wait_for("stopping");
    while program.ask(get("/readyz")).status == 200 {}
    let requests = [
        (200, get("/healthz")),
        (200, post("/token", &[], BODY)),
        (404, get("/nowhere")),
        (400, post("/webhook", &[], "")),
        (204, request("OPTIONS", "/token", &[], b"")),
    ];
    for (client, (status, request)) in kept.iter_mut().zip(requests) {
        let answer = client.ask(request);
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
        client.assert_closed();
    }
    drop(program);
}

#[test]
fn an_older_client_that_would_keep_its_connection_is_told_too() {
    let mut program = Start::new().env("SHUTDOWN_DELAY", "60s").serve();
    let ask = |program: &Program| {
        let mut stream = TcpStream::connect(program.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
        stream
    };
    let mut kept = [0; 4096];
    let read = ask(&program).read(&mut kept).unwrap();
    assert!(String::from_utf8_lossy(&kept[..read]).contains("connection: keep-alive"));
    program.signal(Signal::TERM);
    program.wait_for("stopping");
    while program.ask(get("/readyz")).status == 200 {}
    let mut answer = String::new();
    ask(&program).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200") && answer.contains("connection: close"), "{answer}");
    assert!(!answer.contains("keep-alive"), "{answer}");
}

#[test]
fn a_request_that_was_sent_before_its_client_could_know_is_answered() {
    for count in [1, 10] {
        let mut program = Program::start();
        let mut busy = program.connect();
        busy.send(post_head("/token", &[("Expect", "100-continue")], BODY.len()));
        assert_eq!(busy.answer().status, 100);
        let mut kept = program.connect();
        // A connection with requests in quick succession is kept in another way.
        (0..count).for_each(|_| kept.assert_usable());
        let mut begun = program.connect();
        begun.assert_usable();
        begun.send("GET /healthz HT");
        program.signal(Signal::TERM);
        program.wait_for("stopping");
        // The listening socket is closed when connections have to end.
        while TcpStream::connect(program.address()).is_ok() {
            thread::yield_now();
        }
        let answer = kept.ask(post("/token", &[], BODY));
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        kept.assert_closed();
        let answer = begun.ask("TP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        let answer = busy.ask(BODY);
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert_eq!(program.wait().code(), Some(0));
    }
}

#[test]
fn nginx_loses_no_request_over_a_restart_behind_a_held_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let Some(nginx) = Nginx::in_front_of(&[listener.local_addr().unwrap()]) else { return };
    let mut program = activate(&listener);
    nginx.under_load(&post("/token", &[], BODY), || {
        program.signal(Signal::TERM);
        assert_eq!(program.wait().code(), Some(0));
        program = activate(&listener);
    });
    drop(nginx);
    program.signal(Signal::TERM);
    assert!(program.wait().success());
}

#[test]
fn nginx_loses_no_request_over_restarts_in_turn() {
    for delay in ["0s", "300ms"] {
        let start = |port: u16| {
            let start = Start::bare().env("SERVER_BIND", "127.0.0.1").env("SERVER_PORT", port.to_string());
            start.env("SHUTDOWN_DELAY", delay).env("LOG_LEVEL", "info").env("ROOMKEY_INBOX", "none").serve()
        };
        let mut programs = [start(0), start(0)];
        let ports = [programs[0].address(), programs[1].address()];
        let Some(nginx) = Nginx::in_front_of(&ports) else { return };
        let mut turn = 0;
        nginx.under_load(&post("/token", &[], BODY), || {
            programs[turn].signal(Signal::TERM);
            assert!(programs[turn].wait().success());
            programs[turn] = start(ports[turn].port());
            turn = 1 - turn;
        });
    }
}
