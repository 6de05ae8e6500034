//! Tests of a start without settings: where the program listens, what it logs, and which keys it uses.

use roomkey::{TokenVerifier, UnixTime};

use crate::fixtures::{HEADER, SERVER_KEY, api_key, base64url, sign};
use crate::harness::client::{get, post, request};
use crate::harness::program::{Program, Start};
use crate::harness::sender::authorization_at;

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
        // Everyone who knows it can forge webhooks, even if another key signs the tokens.
        Start::new().env("LIVEKIT_KEYS", format!("{}: {}\ndevkey: secret", SERVER_KEY.0, SERVER_KEY.1)),
    ];
    for start in pairs {
        start.serve().wait_for("WARN");
    }
}

/// A page of another site could sign a token, and read the events of a server on its visitor's machine.
#[test]
fn with_the_development_pair_only_trusted_pages_read_events() {
    const EXPOSED: &str = "listens on more than loopback";
    let local = || Start::new().env("SERVER_BIND", "127.0.0.1");
    let program = Start::new().env("CORS_ORIGIN", "https://app.example.com").serve();
    let second = local().env("LIVEKIT_KEYS", format!("{}: {}\ndevkey: secret", SERVER_KEY.0, SERVER_KEY.1)).serve();
    let own = local().env("LIVEKIT_API_KEY", SERVER_KEY.0).env("LIVEKIT_API_SECRET", SERVER_KEY.1).serve();
    let exp = UnixTime::now().as_secs() + 600;
    let token = |key: (&str, &str)| {
        let claims = format!(r#"{{"iss":"{}","exp":{exp},"video":{{"roomList":true}}}}"#, key.0);
        format!("Bearer {}", sign(&format!("{}.{}", base64url(HEADER), base64url(claims)), key.1))
    };
    let read = |program: &Program, key, origins: &[&str], accept| {
        let authorization = token(key);
        let mut headers = vec![("Authorization", authorization.as_str()), ("Accept", accept)];
        headers.extend(origins.iter().map(|origin| ("Origin", *origin)));
        let mut client = program.connect();
        client.send(request("HEAD", "/events", &headers, b""));
        let status = client.answer_without_body().status;
        if status == 403 {
            let message = program.ask(request("GET", "/events", &headers, b"")).error();
            assert!(message.contains("development key") && message.contains("CORS_ORIGIN"), "{message}");
        }
        status
    };
    for accept in ["application/json", "text/event-stream"] {
        for origins in
            [&[][..], &["http://localhost:3000"], &["https://x.localhost"], &["http://127.1.2.3"], &["http://[::1]:80"]]
        {
            assert_eq!(read(&program, DEVELOPMENT, origins, accept), 200, "{origins:?}");
            assert_eq!(read(&second, DEVELOPMENT, origins, accept), 200, "{origins:?}");
        }
        for origins in [
            &["https://evil.example.com"][..],
            &["null"],
            &[""],
            &["*"],
            &["http://localhost.example.com"],
            &["https://app.example.com.evil.example"],
            &["http://localhost:3000", "https://evil.example.com"],
            &["https://evil.example.com", "http://localhost:3000"],
            &["http://192.168.1.1"],
        ] {
            assert_eq!(read(&program, DEVELOPMENT, origins, accept), 403, "{origins:?}");
            // Everyone knows the pair, even if another key signs the tokens.
            assert_eq!(read(&second, DEVELOPMENT, origins, accept), 403, "{origins:?}");
            assert_eq!(read(&second, SERVER_KEY, origins, accept), 403, "{origins:?}");
            assert_eq!(read(&own, SERVER_KEY, origins, accept), 200, "{origins:?}");
        }
        assert_eq!(read(&program, DEVELOPMENT, &["https://app.example.com"], accept), 200, "a listed one");
        assert_eq!(
            read(&second, DEVELOPMENT, &["https://app.example.com"], accept),
            403,
            "all may read answers, but none is listed"
        );
    }
    let is_exposed = |program: Program| program.stop().iter().any(|line| line.contains("WARN") && line.contains(EXPOSED));
    assert!(is_exposed(program));
    assert!(!is_exposed(second));
    assert!(!is_exposed(own));
}

#[test]
fn a_key_of_ones_own_does_not_warn() {
    let start = || Start::new().env("LIVEKIT_API_KEY", SERVER_KEY.0).env("LIVEKIT_API_SECRET", SERVER_KEY.1);
    let program = start().env("LIVEKIT_URL", "ws://livekit.internal:7880").serve();
    assert_mints_with(&program, SERVER_KEY);
    let log = program.stop();
    assert!(!log.iter().any(|line| line.contains("WARN")), "{log:#?}");
    // A URL that sends clients to their own machine is warned about.
    let warning = start().serve().wait_for("WARN");
    assert!(warning.contains("LIVEKIT_URL") && warning.contains("ws://localhost:7880"), "{warning}");
    let log = Program::start().stop();
    assert!(!log.iter().any(|line| line.contains("WARN") && line.contains("LIVEKIT_URL")), "{log:#?}");
}

#[test]
fn the_start_line_tells_where_all_is() {
    let redis = "redis://roomkey:hushhush@127.0.0.1:1/3";
    for (inbox, expected) in [("sqlite:x.db", "x.db"), ("none", "none"), (redis, "redis://127.0.0.1:1/3")] {
        let start =
            Start::new().env("ROOMKEY_INBOX", inbox).env("LIVEKIT_URL", "wss://livekit.example.com/x").env("LOG_FORMAT", "json");
        let expected = if expected == "x.db" { start.path("x.db").display().to_string() } else { expected.to_owned() };
        let program = start.serve();
        let line = program.log().last().unwrap();
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let told =
            ["livekit_url", "inbox", "policy"].map(|field| line[field].as_str().unwrap_or_else(|| panic!("{field}: {line}")));
        assert_eq!(told, ["wss://livekit.example.com/x", &expected, "none"]);
        assert!(!program.stop().iter().any(|line| line.contains("hushhush")));
    }
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
        crate::harness::client::Client::connect(address).assert_usable();
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

#[test]
fn more_connections_than_descriptors_are_refused_and_not_left_to_wait() {
    let start = Start::by_script(r#"ulimit -n 64; exec "$0""#).env("SERVER_BIND", "127.0.0.1").env("SERVER_PORT", "0");
    let mut program = start.env("MAX_CONNECTIONS", "1000").env("ROOMKEY_INBOX", "none").spawn();
    let warning = program.wait_for("the limit of descriptors allows fewer connections than MAX_CONNECTIONS");
    assert!(warning.contains("affordable=32"), "{warning}");
    program.wait_until_it_listens();
    let mut kept: Vec<_> = (0..32).map(|_| program.connect()).collect();
    assert!(kept.iter_mut().all(|client| client.ask(get("/healthz")).status == 200));
    assert_eq!(program.ask(get("/healthz")).status, 503);
}
