//! Tests of callers that read events: what each may read, and when that ends.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use roomkey::{AccessToken, UnixTime, VideoGrants};
use serde_json::{Value, json};

use super::support::{Application, BACKEND_TOKEN, POLICY, SCHOOL_SECRET, bare, school_jwt, signed_in, with_policy};
use crate::fixtures::{SERVER_KEY, api_key};
use crate::harness::client::{Answer, get, post, request};
use crate::harness::program::{Program, Start};
use crate::harness::sender::authorization_at;
use crate::harness::wait::PATIENCE;

/// Pupils read their course's events, the backend reads all, and visitors none.
fn policy() -> String {
    let policy = POLICY.replace("lifetime =", "events = \"room\"\nlifetime =");
    policy.replace("display = \"{request.name}\"", "display = \"{request.name}\"\nevents = \"all\"")
}

fn start(policy: &str) -> Start {
    let start = with_policy(policy).env("LIVEKIT_API_KEY", SERVER_KEY.0).env("LIVEKIT_API_SECRET", SERVER_KEY.1);
    start.env("ROOMKEY_INBOX", "sqlite:roomkey.db")
}

/// Delivers an event of `room`.
fn deliver(program: &Program, room: &str) {
    let body =
        json!({"event": "room_started", "id": format!("EV_{room}"), "room": {"name": room, "turnPassword": "hush"}}).to_string();
    let authorization = authorization_at(UnixTime::now(), SERVER_KEY, &body);
    assert_eq!(program.ask(post("/webhook", &[("Authorization", &authorization)], body)).status, 200);
}

fn read(program: &Program, bearer: &str, query: &str) -> Answer {
    let authorization = format!("Bearer {bearer}");
    program.ask(request("GET", &format!("/events{query}"), &[("Authorization", &authorization)], b""))
}

/// The rooms of the events on a page.
fn rooms(page: &Answer) -> Vec<Value> {
    assert_eq!(page.status, 200, "{page:?}");
    page.json()["events"].as_array().unwrap().iter().map(|each| each["event"]["room"]["name"].clone()).collect()
}

#[test]
fn each_caller_reads_what_its_rule_says() {
    let mut program = start(&policy()).serve();
    deliver(&program, "course-1");
    deliver(&program, "course-2");
    assert_eq!(rooms(&read(&program, BACKEND_TOKEN, "")), ["course-1", "course-2"]);
    assert_eq!(rooms(&read(&program, BACKEND_TOKEN, "?room=course-2")), ["course-2"]);
    let pupil = school_jwt(json!({}));
    let page = read(&program, &pupil, "?room=course-1");
    assert_eq!(rooms(&page), ["course-1"]);
    assert_eq!(page.json()["events"][0]["event"]["room"]["turnPassword"], "[redacted]", "as for a roomAdmin");
    assert_eq!(read(&program, BACKEND_TOKEN, "").json()["events"][0]["event"]["room"]["turnPassword"], "hush");
    for query in ["", "?room=course-2", "?room=*", "?room="] {
        assert_eq!(read(&program, &pupil, query).status, 403, "{query}");
    }
    let teacher = school_jwt(json!({"role": "teacher"}));
    assert_eq!(read(&program, &teacher, "?room=course-1").status, 403);
    assert_eq!(read(&program, &teacher, "?room=course-9").status, 403);
    let line = program.wait_for("course-9");
    assert!(line.contains("denied") && line.contains(r#""caller":"school""#) && line.contains("the right to read"), "{line}");
    // As for LiveKit tokens.
    assert_eq!(rooms(&program.ask(get(&format!("/events?room=course-1&access_token={pupil}")))), ["course-1"]);
}

#[test]
fn livekit_tokens_go_on_to_work_and_the_rest_gets_one_answer() {
    let program = start(&policy()).serve();
    deliver(&program, "course-1");
    let token = AccessToken::new().with_grants(VideoGrants { room_list: true, ..VideoGrants::default() });
    let token = token.to_jwt(&api_key(SERVER_KEY), UnixTime::now()).unwrap();
    assert_eq!(rooms(&read(&program, &token, "")), ["course-1"]);
    let mut bodies = vec![program.ask(get("/events")).body];
    for bad in ["nonsense", &school_jwt(json!({"exp": 1})), &token[..token.len() - 2]] {
        let answer = read(&program, bad, "?room=course-1");
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{bad}");
        bodies.push(answer.body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
}

/// A stream of the events that `query` asks for, with a credential in `header`.
fn stream(program: &Program, header: (&str, &str), query: &str) -> TcpStream {
    let mut stream = TcpStream::connect(program.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let headers = [header, ("Accept", "text/event-stream"), ("Connection", "close")];
    stream.write_all(&request("GET", &format!("/events{query}"), &headers, b"")).unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    stream
}

/// Reads the stream to its end.
#[track_caller]
fn assert_ends(mut stream: TcpStream) {
    stream.read_to_end(&mut Vec::new()).expect("the stream goes on");
}

#[test]
fn a_stream_ends_with_the_jwt() {
    let program = start(&policy()).serve();
    let soon = school_jwt(json!({"exp": UnixTime::now().as_secs() + 2}));
    assert_ends(stream(&program, ("Authorization", &format!("Bearer {soon}")), "?room=course-1"));
}

#[test]
fn a_stream_ends_with_its_token_or_rule() {
    let policy = policy().replace("token_env = \"BACKEND_TOKEN\"", "token_file = \"backend.token\"");
    let mut program = start(&policy).file("backend.token", BACKEND_TOKEN).serve();
    let backend = stream(&program, ("Authorization", &format!("Bearer {BACKEND_TOKEN}")), "");
    let pupil = stream(&program, ("Authorization", &format!("Bearer {}", school_jwt(json!({})))), "?room=course-1");
    fs::write(program.directory().join("backend.token"), "another-token-0123456789").unwrap();
    assert_ends(backend);
    program.wait_for("policy reloaded");
    fs::write(program.directory().join("policy.toml"), policy.replace("events = \"room\"", "events = \"none\"")).unwrap();
    assert_ends(pupil);
    assert_eq!(read(&program, SCHOOL_SECRET, "").status, 401);
}

#[test]
fn a_session_is_asked_about_again() {
    let out = Arc::new(AtomicBool::new(false));
    let signed_out = Arc::clone(&out);
    let application =
        Application::start(
            move |_| {
                if signed_out.load(Relaxed) { bare("401 Unauthorized") } else { signed_in(&json!({"id": 1})) }
            },
        );
    let policy = application.caller("cache = \"1s\"").replace("allow =", "events = \"room\"\nallow =");
    let program = start(&policy).serve();
    let customer = stream(&program, ("Cookie", "sessionid=s1"), "?room=support-1");
    while application.questions().len() < 3 {
        thread::sleep(Duration::from_millis(100));
    }
    out.store(true, Relaxed);
    assert_ends(customer);
}

#[test]
fn a_reader_of_all_rooms_may_ask_for_any() {
    let application = Application::start(|_| signed_in(&json!({"id": 1})));
    let policy = application.caller("cache = \"1s\"").replace("allow =", "events = \"all\"\nallow =");
    let program = start(&policy).serve();
    let mut customer = stream(&program, ("Cookie", "sessionid=s1"), "?room=another");
    while application.questions().len() < 4 {
        thread::sleep(Duration::from_millis(100));
    }
    customer.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let ends = loop {
        match customer.read(&mut [0; 1024]) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(_) => break false,
        }
    };
    assert!(!ends, "the stream ended");
}

#[test]
fn a_stream_ends_soon_if_the_session_cannot_be_checked() {
    let is_down = Arc::new(AtomicBool::new(false));
    let down = Arc::clone(&is_down);
    let application =
        Application::start(
            move |_| {
                if down.load(Relaxed) { bare("500 Internal Server Error") } else { signed_in(&json!({"id": 1})) }
            },
        );
    let policy = application.caller("cache = \"1s\"").replace("allow =", "events = \"room\"\nallow =");
    let program = start(&policy).serve();
    let customer = stream(&program, ("Cookie", "sessionid=s1"), "?room=support-1");
    is_down.store(true, Relaxed);
    assert_ends(customer);
}

#[test]
fn cookies_count_under_the_same_rule_of_origins() {
    let application = Application::start(|_| signed_in(&json!({"id": 1})));
    let policy = application.caller("").replace("allow =", "events = \"room\"\nallow =");
    let program = start(&policy).env("CORS_ORIGIN", "https://app.example.com").serve();
    let read = |headers: &[(&str, &str)]| {
        let headers = [headers, &[("Cookie", "sessionid=s1")]].concat();
        program.ask(request("GET", "/events?room=support-1", &headers, b"")).status
    };
    assert_eq!(read(&[]), 200);
    assert_eq!(read(&[("Origin", "https://app.example.com")]), 200);
    assert_eq!(read(&[("Origin", "https://evil.example")]), 401);
    assert_eq!(read(&[("Sec-Fetch-Site", "cross-site")]), 403);
}
