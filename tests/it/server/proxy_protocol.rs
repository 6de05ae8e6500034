//! Tests of connections that begin with a header of the PROXY protocol: whose address counts, and which connections are closed.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::client::{Client, get, post};
use crate::harness::edge::Setup;
use crate::harness::outside::is_installed;
use crate::harness::program::{Program, Start, free_address};

const BODY: &str = r#"{"roomName":"daily","participantName":"alice"}"#;
const V1: &[u8] = b"PROXY TCP4 198.51.100.1 10.0.0.1 56324 6080\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn start() -> Start {
    Start::new().env("PROXY_PROTOCOL", "true").env("LOG_FORMAT", "json").env("ROOMKEY_INBOX", "none")
}

/// A header of version 2 for a proxied connection.
fn v2(family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x21, family], &length, addresses].concat()
}

/// A header of version 2 that names 2001:db8::7 and has additions of this length.
fn v2_of_ipv6(additions: usize) -> Vec<u8> {
    let mut addresses = [0; 36];
    addresses[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    addresses[15] = 7;
    v2(0x21, &[&addresses[..], &vec![0; additions]].concat())
}

fn token(headers: &[(&str, &str)]) -> Vec<u8> {
    post("/token", headers, BODY)
}

/// The lines with this message in the log of `program`, which ends.
fn lines(program: Program, message: &str) -> Vec<Value> {
    let lines = program.stop().into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    lines.filter(|line| line["message"].as_str().unwrap().starts_with(message)).collect()
}

#[test]
fn the_client_is_the_one_that_the_header_names() {
    let program = start().serve();
    let mapped = [&[0; 10][..], &[0xff; 2], &[192, 0, 2, 9], &[0; 20]].concat();
    let cases = [
        (V1.to_vec(), "198.51.100.1"),
        (b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(), "2001:db8::1"),
        (v2(0x11, &[203, 0, 113, 7, 10, 0, 0, 1, 0, 80, 1, 187]), "203.0.113.7"),
        (v2_of_ipv6(0), "2001:db8::7"),
        (v2_of_ipv6(4000), "2001:db8::7"),
        (v2(0x21, &mapped), "192.0.2.9"),
        // The balancer's own connections, and those of which it says nothing.
        (LOCAL.to_vec(), "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(0x00, &[]), "127.0.0.1"),
        (v2(0x31, &[b'/'; 216]), "127.0.0.1"),
    ];
    for (header, client) in &cases {
        assert_eq!(program.ask([&header[..], &token(&[])].concat()).status, 200, "{client}");
    }
    let logged: Vec<Value> = lines(program, "token").into_iter().map(|line| line["client"].clone()).collect();
    assert_eq!(logged, cases.map(|(_, client)| client));
}

#[test]
fn a_header_may_come_in_pieces_and_counts_for_the_whole_connection() {
    let program = start().serve();
    for header in [V1.to_vec(), v2_of_ipv6(9)] {
        let mut client = program.connect();
        for byte in &header {
            client.send([*byte]);
        }
        assert_eq!(client.ask(token(&[])).status, 200);
        let (begin, end) = header.split_at(14);
        let mut client = program.connect();
        client.send(begin);
        assert_eq!(client.ask([end, &token(&[])].concat()).status, 200);
        assert_eq!(client.ask(token(&[])).status, 200, "only the first request has a header");
    }
    let logged: Vec<String> = lines(program, "token").iter().map(|line| line["client"].to_string()).collect();
    assert_eq!(logged.join(" "), [[r#""198.51.100.1""#; 3], [r#""2001:db8::7""#; 3]].concat().join(" "));
}

#[test]
fn the_proxies_before_the_balancer_are_trusted_by_the_address_in_the_header() {
    let program = start().env("TRUSTED_PROXIES", "127.0.0.1,198.51.100.1").serve();
    let forwarded = token(&[("X-Forwarded-For", "203.0.113.7")]);
    assert_eq!(program.ask([V1, &forwarded].concat()).status, 200);
    assert_eq!(program.ask([&v2_of_ipv6(0)[..], &forwarded].concat()).status, 200);
    let logged: Vec<Value> = lines(program, "token").into_iter().map(|line| line["client"].clone()).collect();
    assert_eq!(logged, ["203.0.113.7", "2001:db8::7"], "the balancer's own address does not count");
}

#[test]
fn a_connection_without_a_usable_header_is_closed_and_warned_of_once() {
    let program = start().serve();
    let too_long = v2_of_ipv6(4096);
    let cases: [&[u8]; 7] = [
        &get("/healthz"),
        b"PROXY TCP4 198.51.100.1 10.0.0.1 1 x\r\nGET /healthz HTTP/1.1\r\n\r\n",
        &[b'x'; 2000],
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0",
        b"\x16\x03\x01\x02\0",
        &too_long,
        &[V1, V1, &get("/healthz")].concat(),
    ];
    for (index, case) in cases.into_iter().enumerate() {
        let mut client = program.connect();
        client.send_if_open(case);
        if index < 6 {
            client.assert_closed();
        } else {
            assert_eq!(client.answer().status, 400, "a second header is a malformed request");
        }
    }
    let mut cut = program.connect();
    cut.send("PROXY TCP4 ");
    cut.finish();
    cut.assert_closed();
    let warnings = lines(program, "a connection without");
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert_eq!((&warnings[0]["level"], &warnings[0]["client"]), (&"WARN".into(), &"127.0.0.1".into()));
    assert!(warnings[0]["help"].as_str().unwrap().contains("PROXY_PROTOCOL"), "{warnings:#?}");
}

#[test]
fn a_check_that_only_connects_is_no_mistake() {
    let program = start().serve();
    for _ in 0..3 {
        let mut client = program.connect();
        client.finish();
        client.assert_closed();
    }
    assert_eq!(program.ask([LOCAL, &get("/readyz")].concat()).status, 200);
    assert_eq!(lines(program, "a connection without"), [Value::Null; 0]);
}

#[test]
fn a_header_has_the_time_of_a_head() {
    let mut setup = Setup::limited(|limits| limits.head = Duration::from_millis(200));
    setup.has_proxy_protocol = true;
    let server = setup.start();
    for begin in ["", "PROXY ", "\r\n\r\n"] {
        let mut client = server.connect();
        client.send(begin);
        client.assert_closed();
    }
    assert_eq!(server.ask([LOCAL, &get("/healthz")].concat()).status, 200);
}

#[test]
fn connections_that_have_sent_no_header_do_not_delay_the_end() {
    let mut program = start().serve();
    let mut silent = program.connect();
    let mut begun = program.connect();
    begun.send("PROXY ");
    let mut kept = program.connect();
    assert_eq!(kept.ask([LOCAL, &get("/healthz")].concat()).status, 200);
    program.signal(Signal::TERM);
    assert!(program.wait().success());
    for client in [&mut silent, &mut begun, &mut kept] {
        client.assert_closed();
    }
    assert!(!program.log().iter().any(|line| line.contains("WARN") && line.contains("did not finish")), "{:#?}", program.log());
}

#[test]
fn the_metrics_listener_needs_no_header() {
    let metrics = free_address();
    let program = start().env("METRICS_BIND", metrics.to_string()).env("BASE_PATH", "/x").serve();
    let mut client = program.connect();
    client.send(get("/x/healthz"));
    client.assert_closed();
    for path in ["/metrics", "/healthz", "/readyz", "/readyz/tokens", "/readyz/webhooks"] {
        assert_eq!(Client::connect(metrics).ask(get(path)).status, 200, "{path}");
    }
    assert_eq!(Client::connect(metrics).ask(get("/token")).status, 404);
    let page = String::from_utf8(Client::connect(metrics).ask(get("/metrics")).body).unwrap();
    assert!(page.contains(r#"roomkey_connections_cut_total{cause="proxy_header"} 1"#), "{page}");
}

#[test]
fn without_the_setting_a_header_is_a_malformed_request() {
    for start in [Start::new(), Start::new().env("PROXY_PROTOCOL", "false")] {
        let program = start.serve();
        assert_eq!(program.ask([V1, &get("/healthz")].concat()).status, 400);
        assert_eq!(program.ask(get("/healthz")).status, 200);
    }
    assert!(Start::new().env("PROXY_PROTOCOL", "v2").run().wrong().contains("PROXY_PROTOCOL"));
    let program = Start::new().flags(&["--proxy-protocol"]).serve();
    assert_eq!(program.ask([V1, &get("/healthz")].concat()).status, 200);
}

#[test]
fn curl_speaks_it() {
    if !is_installed("curl", "--version") {
        return;
    }
    let program = start().serve();
    let url = format!("http://{}/healthz", program.address());
    let curl = Command::new("curl").args(["-sS", "--haproxy-protocol", &url, &url]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&curl.stdout), r#"{"status":"ok"}"#.repeat(2), "{curl:?}");
}

#[test]
fn one_connection_too_many_is_answered_before_its_header() {
    let program = start().env("MAX_CONNECTIONS", "1").serve();
    let mut kept = program.connect();
    assert_eq!(kept.ask([LOCAL, &get("/healthz")].concat()).status, 200);
    assert_eq!(program.ask([LOCAL, &get("/healthz")].concat()).status, 503);
}
