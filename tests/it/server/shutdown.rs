//! Tests of shutdown: what a signal lets finish, what it ends, and the exit status.

use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::client::{Answer, Client, post_head};
use crate::harness::edge::{Server, Setup};
use crate::harness::program::Program;

const SIGNALS: [Signal; 2] = [Signal::TERM, Signal::INT];
const BODY: &str = r#"{"roomName":"daily","participantName":"alice"}"#;

/// Sends a head, and waits until the server waits for the body.
fn begin(client: &mut Client) {
    client.send(post_head("/token", &[("Expect", "100-continue")], BODY.len()));
    assert_eq!(client.answer().status, 100);
}

fn finish(client: &mut Client) -> Answer {
    client.ask(BODY)
}

#[test]
fn a_signal_that_does_not_end_it_well() {
    for signal in SIGNALS {
        let mut program = Program::start();
        program.signal(signal);
        assert_eq!(program.wait().code(), Some(0), "{signal:?}");
    }
}

#[test]
fn a_request_under_way_is_answered() {
    for signal in SIGNALS {
        let mut program = Program::start();
        let mut client = program.connect();
        begin(&mut client);
        program.signal(signal);
        program.wait_for("stopping");
        let answer = finish(&mut client);
        assert_eq!(answer.status, 200);
        client.assert_closed();
        assert_eq!(program.wait().code(), Some(0));
    }
}

#[test]
fn an_idle_connection_is_closed() {
    for signal in SIGNALS {
        let mut program = Program::start();
        let mut busy = program.connect();
        begin(&mut busy);
        let mut unused = program.connect();
        let mut used = program.connect();
        used.assert_usable();
        program.signal(signal);
        // While another request is still in progress.
        used.assert_closed();
        unused.assert_closed();
        assert_eq!(finish(&mut busy).status, 200);
        assert_eq!(program.wait().code(), Some(0));
    }
}

#[test]
fn a_new_connection_finds_nobody() {
    let mut program = Program::start();
    let mut busy = program.connect();
    begin(&mut busy);
    let mut idle = program.connect();
    idle.assert_usable();
    program.signal(Signal::TERM);
    // Idle connections end after the listening socket.
    idle.assert_closed();
    let refused = TcpStream::connect(program.address()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(finish(&mut busy).status, 200);
    assert_eq!(program.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for second in SIGNALS {
        let mut program = Program::start();
        let mut client = program.connect();
        begin(&mut client);
        program.signal(Signal::TERM);
        program.wait_for("stopping");
        program.signal(second);
        let status = program.wait();
        assert!(!status.success(), "its request was cut");
        client.assert_closed();
    }
}

#[test]
fn a_request_that_does_not_come_to_its_end_is_cut() {
    let mut server = Setup::limited(|limits| limits.drain = Duration::from_millis(50)).start();
    let mut client = server.connect();
    begin(&mut client);
    server.stop();
    server.wait();
    client.assert_closed();
}

#[test]
fn a_body_that_comes_after_the_end_began() {
    let mut server = Server::start();
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(begin);
    let mut idle = server.connect();
    idle.assert_usable();
    server.stop();
    idle.assert_closed();
    for client in &mut clients {
        assert_eq!(finish(client).status, 200);
        client.assert_closed();
    }
    server.wait();
}

#[test]
fn an_end_without_any_connection() {
    let mut server = Server::start();
    server.stop();
    server.wait();
}
