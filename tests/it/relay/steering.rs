//! Tests of the endpoints below `/relay`: who may ask what, and what is wrong with a request.

use roomkey::{AccessToken, UnixTime, VideoGrants};

use crate::fixtures::api_key;
use crate::harness::client::{Answer, request};
use crate::harness::program::{Program, Start};

const DEVELOPMENT: (&str, &str) = ("devkey", "secret");
const VERBS: [&str; 5] = ["retry", "replay", "skip", "pause", "resume"];

fn token(grants: VideoGrants) -> String {
    let token = AccessToken::new().with_grants(grants).to_jwt(&api_key(DEVELOPMENT), UnixTime::now());
    format!("Bearer {}", token.unwrap())
}

fn reader() -> String {
    token(VideoGrants { room_list: true, ..VideoGrants::default() })
}

fn steerer() -> String {
    token(VideoGrants { room_create: true, ..VideoGrants::default() })
}

fn ask(program: &Program, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    program.ask(request(method, path, headers, body.as_bytes()))
}

fn with_token(program: &Program, method: &str, path: &str, token: &str, body: &str) -> Answer {
    ask(program, method, path, &[("Authorization", token)], body)
}

/// Each path, its method, and the grant that it needs.
fn paths() -> Vec<(&'static str, String, &'static str)> {
    let steered = VERBS.map(|verb| ("POST", format!("/relay/app/{verb}"), "roomCreate"));
    let read = ["/relay", "/relay/app/owed"].map(|path| ("GET", path.to_owned(), "roomList"));
    read.into_iter().chain(steered).collect()
}

#[test]
fn only_a_livekit_token_with_the_right_grant_opens_the_relay() {
    let program = Program::start();
    let all_others = VideoGrants { room_admin: true, room_record: true, room: "daily".to_owned(), ..VideoGrants::default() };
    for (method, path, grant) in paths() {
        for token in [None, Some("Bearer x"), Some("Basic eDp4"), Some(&reader()["Bearer ".len()..])] {
            let headers: Vec<_> = token.iter().map(|token| ("Authorization", *token)).collect();
            let answer = ask(&program, method, &path, &headers, "");
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{path} {token:?}");
            assert_eq!(answer.error(), "a valid LiveKit token is required, as Authorization: Bearer");
        }
        let in_query = ask(&program, method, &format!("{path}?access_token={}", &reader()["Bearer ".len()..]), &[], "");
        assert_eq!(in_query.status, 400, "{path}");
        let wrong = if grant == "roomList" { steerer() } else { reader() };
        for token in [wrong, token(all_others.clone())] {
            let answer = with_token(&program, method, &path, &token, "");
            assert_eq!(answer.status, 403, "{path}");
            assert_eq!(answer.error(), format!("the token does not allow this: it needs {grant}"));
        }
        let right = if grant == "roomList" { reader() } else { steerer() };
        let answer = with_token(&program, method, &path, &right, "");
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.error().contains("--relay"), "{path}");
    }
}

#[test]
fn a_parameter_that_has_no_meaning_is_refused() {
    let program = Program::start();
    for (method, path, grant) in paths() {
        let token = if grant == "roomList" { reader() } else { steerer() };
        let known = if path.ends_with("/owed") { "state, after, limit" } else { "nothing" };
        let answer = with_token(&program, method, &format!("{path}?limti=1"), &token, "");
        let error = format!("the query must not have \"limti\": it can have {known}");
        assert_eq!((answer.status, answer.error()), (400, error), "{path}");
        let answer = with_token(&program, method, &format!("{path}?_=1"), &token, "");
        assert_eq!(answer.status, 404, "{path}: it only keeps caches from answering, and there is no relay");
    }
}

#[test]
fn the_paths_answer_like_all_others() {
    let program = Start::new().env("BASE_PATH", "/x").env("CORS_ORIGIN", "https://app.example.com").serve();
    let (page, origin) = ("https://app.example.com", "access-control-allow-origin");
    for (method, path, _) in paths() {
        let path = format!("/x{path}");
        let allowed = if method == "GET" { "GET, HEAD, OPTIONS" } else { "POST, OPTIONS" };
        let answer = ask(&program, "OPTIONS", &path, &[], "");
        assert_eq!((answer.status, answer.header("allow")), (204, Some(allowed)), "{path}");
        let answer = ask(&program, "DELETE", &path, &[("Origin", page)], "");
        assert_eq!((answer.status, answer.header("allow"), answer.header(origin)), (405, Some(allowed), Some(page)));
        let answer = ask(&program, method, &format!("{path}/"), &[("Origin", page)], "");
        assert_eq!((answer.status, answer.header("cache-control"), answer.header(origin)), (401, Some("no-store"), Some(page)));
        let headers = [("Origin", page), ("Access-Control-Request-Method", method)];
        let answer = ask(&program, "OPTIONS", &path, &headers, "");
        assert_eq!((answer.status, answer.header("access-control-allow-methods")), (204, Some(allowed)), "{path}");
    }
    for path in [
        "/relay",
        "/x/relay/app",
        "/x/relay//owed",
        "/x/relay/app/b/owed",
        "/x/relay/app/owed/owed",
        "/x/relay/owed",
        "/x/relay/app/stop",
    ] {
        assert_eq!(with_token(&program, "GET", path, &reader(), "").status, 404, "{path}");
    }
}

#[test]
fn pages_of_other_sites_may_not_use_the_development_key() {
    let program = Program::start();
    for (method, path, grant) in paths() {
        let token = if grant == "roomList" { reader() } else { steerer() };
        for (origin, status) in [("https://evil.example.com", 403), ("null", 403), ("http://localhost:3000", 404)] {
            let answer = ask(&program, method, &path, &[("Authorization", &token), ("Origin", origin)], "");
            assert_eq!(answer.status, status, "{path} {origin}");
        }
    }
}
