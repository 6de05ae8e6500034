//! A server with a policy, its callers' credentials, and an application that says who is calling.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use roomkey::UnixTime;
use serde_json::{Map, Value, json};

use crate::fixtures::{HEADER, base64url, payload, sign};
use crate::harness::client::{Answer, post};
use crate::harness::program::{Program, Start};

/// The secret of the caller `school`.
pub(super) const SCHOOL_SECRET: &str = "school-secret-0123456789abcdef0123456789";
/// The token of the caller `backend`.
pub(super) const BACKEND_TOKEN: &str = "backend-token-0123456789";
pub(super) const BODY: &str = r#"{"roomName":"course-1","participantName":"alice"}"#;

/// Pupils watch their course, the backend may do anything, and anyone may watch the hall.
pub(super) const POLICY: &str = r#"
[callers.school]
kind = "jwt"
issuer = "https://id.school.example"
audience = "classroom"
secret_env = "SCHOOL_SECRET"

[callers.backend]
kind = "api-token"
token_env = "BACKEND_TOKEN"

[[rule]]
name = "pupil"
caller = "school"
claims = { role = "pupil" }
room = "course-{claims.course}"
identity = "pupil-{subject}"
allow = ["subscribe"]
lifetime = "10m"

[[rule]]
name = "backend"
caller = "backend"
room = "*"
identity = "{request.identity}"
display = "{request.name}"
metadata = "{request.metadata}"
attributes = "{request.attributes}"
room_config = "{request.room_config}"
allow = ["publish", "subscribe", "data", "moderate"]
"#;

/// A rule for requests without a credential.
pub(super) const OPEN_HALL: &str = r#"
[[rule]]
name = "visitor"
caller = "anonymous"
room = "hall"
identity = "visitor-{random}"
allow = ["subscribe"]
"#;

/// A start with `policy` and with the variables of its callers.
pub(super) fn with_policy(policy: &str) -> Start {
    let start = Start::new().file("policy.toml", policy).env("ROOMKEY_POLICY", "policy.toml").env("ROOMKEY_INBOX", "none");
    start.env("SCHOOL_SECRET", SCHOOL_SECRET).env("BACKEND_TOKEN", BACKEND_TOKEN).env("LOG_FORMAT", "json")
}

/// A JWT of the school with these claims, valid for a minute.
pub(super) fn school_jwt(claims: Value) -> String {
    let mut all = json!({
        "iss": "https://id.school.example", "aud": "classroom", "exp": UnixTime::now().as_secs() + 60,
        "sub": "7", "role": "pupil", "course": 1,
    });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    sign(&format!("{}.{}", base64url(HEADER), base64url(all.to_string())), SCHOOL_SECRET)
}

/// Asks for a token at /token as `bearer`; without a credential if it is empty.
pub(super) fn ask(program: &Program, bearer: &str, body: &str) -> Answer {
    let authorization = format!("Bearer {bearer}");
    let headers: &[_] = if bearer.is_empty() { &[] } else { &[("Authorization", &*authorization)] };
    program.ask(post("/token", headers, body))
}

/// The claims of the token in a good answer of /token.
pub(super) fn claims(answer: &Answer) -> Map<String, Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    payload(answer.json()["token"].as_str().unwrap())
}

/// The lines of the log with this message.
pub(super) fn lines(log: &[String], message: &str) -> Vec<Value> {
    let lines = log.iter().map(|line| serde_json::from_str(line).unwrap_or(json!({ "message": line })));
    lines.filter(|line: &Value| line["message"] == message).collect()
}

/// An application that answers each question with the answer that `session` in its cookie or its bearer names.
pub(super) struct Application {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Application {
    /// `answer` gives the whole answer to the whole head of a question.
    pub(super) fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (answer, questions) = (Arc::new(answer), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, questions) = (Arc::clone(&answer), Arc::clone(&questions));
                thread::spawn(move || serve(stream.unwrap(), &*answer, &questions));
            }
        });
        Self { address, asked }
    }

    /// The heads of all questions.
    pub(super) fn questions(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A `forward` caller `shop` that asks this application, with more settings.
    pub(super) fn caller(&self, more: &str) -> String {
        format!(
            "[callers.shop]\nkind = \"forward\"\nurl = \"http://{}/api/me\"\ncookies = [\"sessionid\"]\nsubject = \"id\"\n{more}\n\n\
             [[rule]]\nname = \"customer\"\ncaller = \"shop\"\nroom = \"support-{{subject}}\"\nidentity = \"customer-{{subject}}\"\n\
             allow = [\"publish\", \"subscribe\"]\n",
            self.address
        )
    }
}

fn serve(mut stream: TcpStream, answer: &(impl Fn(&str) -> String + ?Sized), questions: &Mutex<Vec<String>>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while stream.read(&mut byte).is_ok_and(|read| read > 0) {
        head.push(byte[0]);
        if head.ends_with(b"\r\n\r\n") {
            let question = String::from_utf8(std::mem::take(&mut head)).unwrap();
            questions.lock().unwrap().push(question.clone());
            if stream.write_all(answer(&question).as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// A whole 200 with `json`.
pub(super) fn signed_in(json: &Value) -> String {
    let body = json.to_string();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A whole answer without a body.
pub(super) fn bare(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
}
