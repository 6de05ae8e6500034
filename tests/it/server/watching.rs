//! Tests of what operators use: readiness, the delay before the shutdown, a base path, request ids, metrics, and a socket that a
//! supervisor holds.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use prometheus_parse::{Sample, Scrape, Value};
use rustix::process::Signal;

use crate::harness::client::{Client, get, post, request};
use crate::harness::program::{Program, Start};
use crate::harness::sender::authorization;

const BODY: &str = r#"{"roomName":"r","participantName":"a"}"#;

#[test]
fn it_is_ready_until_it_is_about_to_stop_and_works_until_it_does() {
    let mut program = Start::new().env("SHUTDOWN_DELAY", "600ms").serve();
    assert_eq!(program.ask(get("/readyz")).status, 200);
    let mut kept = program.connect();
    kept.assert_usable();
    program.signal(Signal::TERM);
    program.wait_for("stopping");
    // The signal's line is written before the change.
    let refused = loop {
        let answer = program.ask(get("/readyz"));
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(refused.status, 503);
    refused.error();
    assert_eq!(program.ask(get("/healthz")).status, 200);
    assert_eq!(program.ask(post("/token", &[], BODY)).status, 200);
    kept.assert_usable();
    kept.assert_closed();
    assert_eq!(program.wait().code(), Some(0));
}

#[test]
fn everything_is_below_the_base_path_and_nothing_elsewhere() {
    for base in ["/x", "/x/"] {
        let program = Start::new().flags(&["--base-path", base]).serve();
        for path in ["/x/healthz", "//x/healthz", "/x//healthz"] {
            assert_eq!(program.ask(get(path)).status, 200, "{path}");
        }
        assert_eq!(program.ask(post("/x/token", &[], BODY)).status, 200);
        for path in ["/healthz", "/x", "/x/", "/xhealthz", "/x/x/healthz", "/y/healthz", "/"] {
            assert_eq!(program.ask(get(path)).status, 404, "{path}");
        }
    }
}

#[test]
fn a_refusal_bears_the_id_of_its_log_lines() {
    let mut program = Start::new().env("LOG_LEVEL", "debug").serve();
    let answer = program.ask(post("/webhook?secret", &[("Authorization", "a.b.c")], BODY));
    let id = answer.header("x-request-id").unwrap().to_owned();
    assert!((4..=16).contains(&id.len()), "{id}");
    assert!(program.wait_for("refused").contains(&id));
    let line = program.wait_for("answered");
    for part in [id.as_str(), "POST", "/webhook", "401"] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    assert!(!line.contains("secret"), "{line}");
    let next = program.ask(get("/nowhere"));
    assert_ne!(next.header("x-request-id"), Some(id.as_str()));
}

/// The metrics, read by a parser from another project.
fn scrape(address: SocketAddr) -> Vec<Sample> {
    let answer = Client::connect(address).ask(get("/metrics"));
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert_eq!(answer.header("access-control-allow-origin"), None, "no page of the web may read this");
    let page = String::from_utf8(answer.body).unwrap();
    Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap().samples
}

fn value(samples: &[Sample], metric: &str, labels: &[(&str, &str)]) -> f64 {
    let labels: HashMap<&str, &str> = labels.iter().copied().collect();
    let found = samples
        .iter()
        .find(|sample| sample.metric == metric && labels.iter().all(|(name, value)| sample.labels.get(name) == Some(value)));
    match found.map(|sample| &sample.value) {
        Some(Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value)) => *value,
        Some(other) => panic!("{metric} is {other:?}"),
        None => 0.0,
    }
}

#[test]
fn metrics_tell_what_happened() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let program = Start::new().env("METRICS_BIND", free.to_string()).serve();
    assert_eq!(program.ask(get("/metrics")).status, 404, "not for everyone");
    let kept = program.connect();
    assert_eq!(program.ask(post("/token", &[], BODY)).status, 200);
    assert_eq!(program.ask(post("/token", &[], "{}")).status, 400);
    assert_eq!(program.ask(post("/webhook", &[], BODY)).status, 400);
    let authorization = authorization("");
    assert_eq!(program.ask(post("/webhook", &[("Authorization", &authorization)], BODY)).status, 401);
    assert_eq!(program.ask(request("GET", "/a-path-that-a-client-chose", &[], b"")).status, 404);

    let samples = scrape(free);
    let requests = "roomkey_http_requests_total";
    assert_eq!(value(&samples, requests, &[("endpoint", "token"), ("status", "200")]), 1.0);
    assert_eq!(value(&samples, requests, &[("endpoint", "token"), ("status", "400")]), 1.0);
    assert_eq!(value(&samples, requests, &[("endpoint", "webhook"), ("status", "401")]), 1.0);
    assert_eq!(value(&samples, requests, &[("endpoint", "none"), ("status", "404")]), 2.0);
    assert_eq!(value(&samples, "roomkey_tokens_refused_total", &[("reason", "field")]), 1.0);
    assert_eq!(value(&samples, "roomkey_webhooks_refused_total", &[("reason", "no_authorization")]), 1.0);
    assert_eq!(value(&samples, "roomkey_webhooks_refused_total", &[("reason", "unknown_key")]), 1.0);
    assert!(value(&samples, "roomkey_connections", &[]) >= 1.0);
    assert_eq!(value(&samples, "roomkey_held_body_bytes", &[]), 0.0);
    assert!(value(&samples, "process_start_time_seconds", &[]) > 1.7e9);
    assert_eq!(value(&samples, "roomkey_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    let durations = samples.iter().find(|sample| sample.metric == "roomkey_http_request_duration_seconds").unwrap();
    let Value::Histogram(buckets) = &durations.value else { panic!("{durations:?}") };
    assert_eq!(buckets.first().unwrap().less_than, 0.0001);
    for sample in &samples {
        for label in sample.labels.values() {
            assert!(!label.contains("chose"), "a client chose {sample:?}");
        }
    }
    drop(kept);
}

/// Starts the program with `listener` as the socket that a supervisor holds.
pub(super) fn activate(listener: &TcpListener) -> Program {
    let socket = OwnedFd::from(listener.try_clone().unwrap());
    let start = Start::by_script(r#"exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0""#);
    start.stdin_from(socket).stderr(Stdio::null()).spawn()
}

#[test]
fn a_restart_under_load_loses_no_connection_of_a_held_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let mut program = activate(&listener);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let enough = Arc::clone(&enough);
            thread::spawn(move || {
                let mut answered = 0;
                while !enough.load(Relaxed) {
                    let answer = Client::connect(address).ask(post("/token", &[("Connection", "close")], BODY));
                    assert_eq!(answer.status, 200);
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for _ in 0..3 {
        for _ in 0..50 {
            assert_eq!(Client::connect(address).ask(get("/healthz")).status, 200);
        }
        program.signal(Signal::TERM);
        assert_eq!(program.wait().code(), Some(0));
        program = activate(&listener);
    }
    assert_eq!(Client::connect(address).ask(get("/healthz")).status, 200);
    enough.store(true, Relaxed);
    for client in clients {
        assert!(client.join().unwrap() > 0);
    }
    program.signal(Signal::TERM);
    assert!(program.wait().success());
}

#[test]
fn the_port_can_be_bound_again_at_once() {
    let program = Program::start();
    let port = program.address().port().to_string();
    let mut client = program.connect();
    client.assert_usable();
    // The server closes first, so its side of the connection stays in the kernel for a while.
    program.stop();
    client.assert_closed();
    let again = Start::bare().env("SERVER_PORT", port).serve();
    assert_eq!(again.ask(get("/healthz")).status, 200);
}

#[test]
fn systemd_is_told_of_the_start_and_the_end() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("notify-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let told = || {
        let mut message = [0; 256];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    let program = Start::new().env("NOTIFY_SOCKET", &path).serve();
    assert!(told().contains("READY=1"));
    program.signal(Signal::TERM);
    assert!(told().contains("STOPPING=1"));
    let _ = std::fs::remove_file(&path);
}
