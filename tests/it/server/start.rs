//! Owns the tests of the start without settings: where the program listens, what it tells, and which keys it has then.

use roomkey::{TokenVerifier, UnixTime};

use super::client::{get, post};
use super::program::{Program, Start};
use super::sender::authorization_at;
use crate::fixtures::{SERVER_KEY, api_key};

const DEVELOPMENT: (&str, &str) = ("devkey", "secret");

#[track_caller]
fn assert_mints_with(program: &Program, key: (&str, &str)) {
    let answer = program.ask(post("/token", &[], r#"{"roomName":"daily","participantName":"alice"}"#));
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let claims = TokenVerifier::new(api_key(key)).verify(&token, UnixTime::now()).unwrap();
    assert_eq!(claims.identity(), "alice");
}

#[test]
fn a_start_without_settings_uses_the_development_pair_and_warns() {
    let mut program = Program::start();
    let warning = program.wait_for("WARN");
    assert!(warning.contains("development") && !warning.contains("\"secret\""), "{warning}");
    assert_mints_with(&program, DEVELOPMENT);
    let authorization = authorization_at(UnixTime::now(), DEVELOPMENT, "{}");
    assert_eq!(program.ask(post("/webhook", &[("Authorization", &authorization)], "{}")).status, 200);
    assert!(program.listens_at().ip().is_unspecified(), "all interfaces");
}

#[test]
fn the_development_pair_warns_however_it_came() {
    let pairs = [
        Start::new().env("LIVEKIT_API_KEY", "devkey").env("LIVEKIT_API_SECRET", "secret"),
        Start::new().env("LIVEKIT_KEYS", "devkey: secret"),
        Start::new().file(".env", "LIVEKIT_API_KEY=devkey\nLIVEKIT_API_SECRET=secret\n"),
        Start::new().file("s", "secret\n").env("LIVEKIT_API_SECRET_FILE", "s").flags(&["--livekit-api-key", "devkey"]),
        // Whoever knows it can forge webhooks, even where another key mints.
        Start::new().env("LIVEKIT_KEYS", format!("{}: {}\ndevkey: secret", SERVER_KEY.0, SERVER_KEY.1)),
    ];
    for start in pairs {
        start.serve().wait_for("WARN");
    }
}

#[test]
fn a_key_of_ones_own_does_not_warn() {
    let program = Start::new().env("LIVEKIT_API_KEY", SERVER_KEY.0).env("LIVEKIT_API_SECRET", SERVER_KEY.1).serve();
    assert_mints_with(&program, SERVER_KEY);
    let log = program.stop();
    assert!(!log.iter().any(|line| line.contains("WARN")), "{log:#?}");
}

#[test]
fn the_start_line_lacks_something() {
    for format in ["text", "json"] {
        let start = Start::new().env("LIVEKIT_API_KEY", SERVER_KEY.0).env("LIVEKIT_API_SECRET", SERVER_KEY.1);
        let program = start.env("LOG_FORMAT", format).serve();
        let [line] = program.log() else { panic!("one line: {:#?}", program.log()) };
        let port = program.address().port().to_string();
        for part in [env!("CARGO_PKG_VERSION"), &port, "/token", "/webhook", "/livekit/webhook", "/healthz", SERVER_KEY.0] {
            assert!(line.contains(part), "{part} is missing: {line}");
        }
        assert!(!line.contains(SERVER_KEY.1));
    }
}

#[test]
fn all_interfaces_are_of_both_families_where_there_are_both() {
    let program = Program::start();
    let port = program.address().port();
    assert_eq!(program.ask(get("/healthz")).status, 200);
    if let Ok(stream) = std::net::TcpStream::connect((std::net::Ipv6Addr::LOCALHOST, port)) {
        let address = stream.peer_addr().unwrap();
        drop(stream);
        super::client::Client::connect(address).assert_usable();
    } else {
        let has_ipv6 = std::net::TcpListener::bind((std::net::Ipv6Addr::LOCALHOST, 0)).is_ok();
        assert!(!has_ipv6, "there is IPv6, but nobody listens there");
    }
}

#[test]
fn a_port_that_was_just_given_back() {
    let first = Start::new().env("SERVER_BIND", "127.0.0.1").serve();
    let port = first.address().port().to_string();
    let mut client = first.connect();
    client.assert_usable();
    // The server closes first, which leaves its side of the connection waiting.
    first.stop();
    client.assert_closed();
    let second = Start::bare().env("SERVER_BIND", "127.0.0.1").env("SERVER_PORT", port).serve();
    second.connect().assert_usable();
}
