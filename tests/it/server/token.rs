//! Tests of `POST /token`: the contract of the tutorials, and what the tokens say to the byte.

use std::collections::BTreeSet;
use std::time::Duration;

use roomkey::{TokenVerifier, UnixTime};
use serde_json::{Value, json};

use crate::fixtures::{HEADER, NOW, SERVER_KEY, api_key, payload, sign};
use crate::harness::client::{Answer, post};
use crate::harness::edge::{Server, Setup};
use crate::harness::sender::part;

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];
const BOTH_REQUIRED: &str = "roomName and participantName are required";

fn ask(server: &Server, body: impl AsRef<[u8]>) -> Answer {
    server.ask(post("/token", JSON, body))
}

/// The token of an answer that holds nothing else.
#[track_caller]
fn token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    let members = json.as_object().unwrap();
    assert_eq!(members.keys().collect::<Vec<_>>(), ["token"], "clients refuse unknown fields");
    members["token"].as_str().unwrap().to_owned()
}

#[track_caller]
fn token_for(server: &Server, room: &str, participant: &str) -> String {
    token(&ask(server, json!({"roomName": room, "participantName": participant}).to_string()))
}

#[test]
fn a_token_says_that_its_bearer_may_join_and_nothing_else() {
    let server = Server::start();
    let token = token_for(&server, "daily", "alice");

    assert_eq!(part(&token, 0), HEADER.as_bytes());
    let (signing_input, _) = token.rsplit_once('.').unwrap();
    assert_eq!(token, sign(signing_input, SERVER_KEY.1));

    let mut claims = payload(&token);
    let Some(Value::Object(video)) = claims.remove("video") else { panic!("no grants") };
    let expected = json!({
        "iss": SERVER_KEY.0, "sub": "alice", "name": "alice", "nbf": NOW, "iat": NOW, "exp": NOW + 6 * 60 * 60
    });
    assert_eq!(Value::Object(claims), expected);
    assert_eq!((&video["room"], &video["roomJoin"]), (&json!("daily"), &json!(true)));
    for (grant, value) in video.iter().filter(|(grant, _)| !["room", "roomJoin"].contains(&grant.as_str())) {
        let may_be_written = ["canPublish", "canSubscribe", "canPublishData"].contains(&grant.as_str());
        assert!(may_be_written && *value == json!(true), "{grant} is granted: {value}");
    }
}

#[test]
fn a_token_holds_for_the_librarys_verifier() {
    let server = Server::start();
    let token = token_for(&server, "daily", "alice");
    let claims = TokenVerifier::new(api_key(SERVER_KEY)).verify(&token, UnixTime::from_secs(NOW)).unwrap();
    assert_eq!((claims.identity(), claims.name.as_str()), ("alice", "alice"));
    let video = claims.video.unwrap();
    assert!(video.room_join && !video.room_admin && !video.room_create && !video.room_list && !video.room_record);
    assert_eq!(video.room, "daily");
}

#[test]
fn a_token_is_minted_at_the_time_of_its_request() {
    let server = Server::start();
    server.set_time(NOW + 1000);
    assert_eq!(payload(&token_for(&server, "daily", "alice"))["nbf"], json!(NOW + 1000));
}

#[test]
fn a_lifetime_other_than_the_one_set() {
    let server = Setup { ttl: Duration::from_secs(90), ..Setup::default() }.start();
    assert_eq!(payload(&token_for(&server, "daily", "alice"))["exp"], json!(NOW + 90));
}

#[test]
fn the_answer_is_200_and_json_that_any_page_may_read() {
    let server = Server::start();
    let answer = ask(&server, r#"{"roomName":"daily","participantName":"alice"}"#);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert_eq!(text, format!(r#"{{"token":"{}"}}"#, token(&answer)));
}

#[test]
fn a_body_that_is_no_object() {
    let server = Server::start();
    let deep = "[".repeat(60_000);
    let cases: &[&[u8]] = &[
        b"",
        b" ",
        b"null",
        b"true",
        b"1",
        b"\"roomName\"",
        b"[]",
        br#"["roomName","participantName"]"#,
        b"{",
        b"}",
        b"{}{}",
        br#"{"roomName":"daily","participantName":"alice"} x"#,
        br#"{"roomName":"daily","participantName":"alice""#,
        br#"{"roomName":"daily","participantName":"alice",}"#,
        br#"{'roomName':'daily','participantName':'alice'}"#,
        b"roomName=daily&participantName=alice",
        b"\xef\xbb\xbf{}",
        b"{\"roomName\":\"\xff\",\"participantName\":\"alice\"}",
        b"\0",
        deep.as_bytes(),
    ];
    for body in cases {
        let answer = ask(&server, body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
        assert_eq!((answer.status, answer.error().as_str()), (400, BOTH_REQUIRED), "{shown}");
    }
}

#[test]
fn a_request_without_any_body() {
    let server = Server::start();
    let bare = "POST /token HTTP/1.1\r\nHost: test\r\n\r\n";
    server.ask(bare).assert_error(400, BOTH_REQUIRED);
}

#[test]
fn a_missing_field() {
    let server = Server::start();
    for (body, message) in [
        ("{}", "roomName is required"),
        (r#"{"participantName":"alice"}"#, "roomName is required"),
        (r#"{"roomName":"daily"}"#, "participantName is required"),
        (r#"{"room_name":"daily","participant_name":"alice"}"#, "roomName is required"),
        (r#"{"roomname":"daily","participantname":"alice"}"#, "roomName is required"),
        (r#"{"nested":{"roomName":"daily"},"participantName":"alice"}"#, "roomName is required"),
    ] {
        let answer = ask(&server, body);
        assert_eq!((answer.status, answer.error().as_str()), (400, message), "{body}");
    }
}

#[test]
fn a_field_that_is_no_name_is_named() {
    let server = Server::start();
    let long = format!("\"{}\"", "x".repeat(257));
    let long_in_bytes = format!("\"{}é\"", "é".repeat(128));
    for bad in [
        "null",
        "0",
        "7",
        "-1.5",
        "true",
        "false",
        "[]",
        r#"["daily"]"#,
        "{}",
        r#"{"a":1}"#,
        r#""""#,
        &long,
        &long_in_bytes,
        r#""\ud800""#,
    ] {
        for (body, field) in [
            (format!(r#"{{"roomName":{bad},"participantName":"alice"}}"#), "roomName"),
            (format!(r#"{{"roomName":"daily","participantName":{bad}}}"#), "participantName"),
        ] {
            let answer = ask(&server, &body);
            assert_eq!(answer.status, 400, "{body}");
            let other = if field == "roomName" { "participantName" } else { "roomName" };
            let message = answer.error();
            assert!(message.contains(field) && !message.contains(other), "{body}: {message}");
        }
    }
}

#[test]
fn a_field_that_stands_there_twice_is_named() {
    let server = Server::start();
    let answer = ask(&server, r#"{"roomName":"daily","participantName":"alice","participantName":"bob"}"#);
    assert_eq!(answer.status, 400);
    assert!(answer.error().contains("participantName"));
}

#[test]
fn a_name_that_is_not_kept_to_the_byte() {
    let server = Server::start();
    let longest = "x".repeat(256);
    let longest_in_bytes = "é".repeat(128);
    let names = [
        "a",
        " ",
        "  daily  ",
        "\tdaily\n",
        "\r\n",
        "daily\0standup",
        "\0",
        "\"quoted\"",
        r"back\slash",
        "null",
        "O'Brien & <b>Söhne</b>",
        "Größe 🚀 日本語",
        "\u{e9}",   // é as one character
        "e\u{301}", // é as two
        "\u{feff}bom",
        "\u{202e}right to left",
        "\u{7f}\u{1b}[31m",
        "../../etc/passwd",
        "*",
        &longest,
        &longest_in_bytes,
    ];
    for name in names {
        let room = payload(&token_for(&server, name, "alice"));
        assert_eq!(room["video"]["room"], json!(name));
        let participant = payload(&token_for(&server, "daily", name));
        assert_eq!((&participant["sub"], &participant["name"]), (&json!(name), &json!(name)));
    }
}

#[test]
fn an_escaped_name_or_field() {
    let server = Server::start();
    let claims = payload(&token(&ask(&server, r#"{"\u0072oomName":"d\u0061ily","participantName":"\ud83d\ude80\/"}"#)));
    assert_eq!((&claims["video"]["room"], &claims["sub"]), (&json!("daily"), &json!("🚀/")));
}

#[test]
fn an_unknown_field_grants_nothing() {
    let server = Server::start();
    let plain = token_for(&server, "daily", "alice");
    let deep = format!("{}{}", r#"{"x":["#.repeat(7_000), "]}".repeat(7_000));
    for asked in [
        r#""x":1,"x":2"#,
        r#""metadata":"m","attributes":{"role":"admin"},"name":"root","identity":"root","sub":"root""#,
        r#""video":{"roomAdmin":true,"roomCreate":true,"room":"other","hidden":true,"canPublishSources":[]}"#,
        r#""roomAdmin":true,"roomList":true,"recorder":true,"agent":true,"canUpdateOwnMetadata":true,"hidden":true"#,
        r#""grants":{"roomAdmin":true},"sip":{"admin":true},"kind":"agent","ttl":"1000h","exp":9999999999,"iss":"other""#,
        r#""roomConfig":{"metadata":"m"},"room_config":{"agents":[{"agent_name":"a"}]},"roomPreset":"p","sha256":"x""#,
        r#""room":"other","room_name":"other","participant_name":"other","RoomName":"other""#,
        r#""__proto__":{"roomAdmin":true}"#,
        &format!(r#""deep":{deep}"#),
    ] {
        let before = format!(r#"{{{asked},"roomName":"daily","participantName":"alice"}}"#);
        let after = format!(r#"{{"roomName":"daily","participantName":"alice",{asked}}}"#);
        for body in [before, after] {
            assert_eq!(token(&ask(&server, &body)), plain, "{}", &body[..body.len().min(200)]);
        }
    }
}

#[test]
fn a_content_type_other_than_json() {
    let server = Server::start();
    for content_type in [
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/webhook+json",
        "application/jsonp",
        "application/json5",
        "application/json-seq",
        "text/json",
        "json",
        "*/*",
        "text/plain; application/json",
        "text/plain, application/json",
        "",
        ";",
        "application",
        "application/jsön",
    ] {
        let headers = [("Content-Type", content_type)];
        let answer = server.ask(post("/token", &headers, r#"{"roomName":"daily","participantName":"alice"}"#));
        assert_eq!(answer.status, 415, "{content_type:?}");
        answer.error();
    }
}

#[test]
fn a_content_type_that_is_json() {
    let server = Server::start();
    let body = r#"{"roomName":"daily","participantName":"alice"}"#;
    for content_type in [
        "application/json",
        "APPLICATION/JSON",
        "Application/Json",
        "application/json;charset=utf-8",
        "application/json; charset=UTF-8",
        "application/json ; charset=\"utf-8\"; x=y",
        "application/json;",
    ] {
        let headers = [("Content-Type", content_type)];
        assert_eq!(server.ask(post("/token", &headers, body)).status, 200, "{content_type:?}");
    }
    assert_eq!(server.ask(post("/token", &[], body)).status, 200, "without");
}

#[test]
fn a_wrong_content_type_is_refused_before_its_body_is_read() {
    let server = Server::start();
    let mut client = server.connect();
    let headers = [("Content-Type", "text/plain"), ("Expect", "100-continue")];
    client.send(crate::harness::client::post_head("/token", &headers, 40));
    assert_eq!(client.answer().status, 415);
}

#[test]
fn tokens_of_one_moment_differ_in_who_and_where_alone() {
    let server = Server::start();
    let tokens: BTreeSet<String> = [("daily", "alice"), ("daily", "bob"), ("weekly", "alice"), ("daily", "alice")]
        .map(|(room, participant)| token_for(&server, room, participant))
        .into();
    assert_eq!(tokens.len(), 3);
}
