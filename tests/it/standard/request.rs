//! Tests of requests and answers, except `room_config`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::{BOTH, SANDBOX, STANDARD};
use crate::harness::program::{Program, Start};

/// Each field in both casings, with a value of the right type.
fn fields() -> [(&'static str, &'static str, Value); 6] {
    [
        ("room_name", "roomName", json!("daily")),
        ("participant_identity", "participantIdentity", json!("alice")),
        ("participant_name", "participantName", json!("Alice")),
        ("participant_metadata", "participantMetadata", json!("{\"role\":\"host\"}")),
        ("participant_attributes", "participantAttributes", json!({"team": "blue", "empty": ""})),
        ("room_config", "roomConfig", json!({"name": "preset"})),
    ]
}

fn is_made_up(name: &str, prefix: &str) -> bool {
    let is_plain = |random: &str| random.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.strip_prefix(prefix).is_some_and(|random| random.len() >= 11 && is_plain(random))
}

#[test]
fn an_answer_is_200_and_the_two_members() {
    let server = Start::new().env("LIVEKIT_URL", "wss://livekit.example.com").serve();
    for path in BOTH {
        let answer = server.post(path, "{}");
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("*")));
        let token = answer.token();
        assert_eq!(answer.json(), json!({"server_url": "wss://livekit.example.com", "participant_token": token}));
        assert!(answer.verified().video.unwrap().room_join);
    }
    assert_eq!(Program::start().post(STANDARD, "{}").json()["server_url"], "ws://localhost:7880");
}

#[test]
fn an_empty_object_gets_a_room_and_an_identity_and_no_name() {
    let server = Start::new().env("TOKEN_TTL", "10m").serve();
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        let claims = server.claims(&json!({}));
        let names: Vec<&str> = claims.keys().map(String::as_str).collect();
        assert_eq!(names, ["exp", "iat", "iss", "nbf", "sub", "video"]);
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap(), 600);
        let (room, identity) = (claims["video"]["room"].as_str().unwrap(), claims["sub"].as_str().unwrap());
        assert!(is_made_up(room, "room-") && is_made_up(identity, "user-"), "{room} {identity}");
        assert_eq!(claims["video"], json!({"room": room, "roomJoin": true}));
        assert!(seen.insert(room["room-".len()..].to_owned()) && seen.insert(identity["user-".len()..].to_owned()), "twice");
    }
    let letters: BTreeSet<char> = seen.iter().flat_map(|random| random.chars()).collect();
    assert_eq!(letters.len(), 32, "some characters do not come: {letters:?}");
}

#[test]
fn every_field_in_either_casing() {
    let server = Program::start();
    let requests: [Value; 2] = [
        fields().into_iter().map(|(snake, _, value)| (snake, value)).collect(),
        fields().into_iter().map(|(_, camel, value)| (camel, value)).collect(),
    ];
    for request in requests {
        let mut claims = server.claims(&request);
        for time in ["iat", "nbf", "exp"] {
            claims.remove(time);
        }
        let expected = json!({
            "iss": "devkey", "sub": "alice", "name": "Alice", "metadata": "{\"role\":\"host\"}",
            "attributes": {"team": "blue", "empty": ""}, "roomConfig": {"name": "preset"},
            "video": {"room": "daily", "roomJoin": true},
        });
        assert_eq!(Value::Object(claims), expected, "{request}");
    }
}

#[test]
fn null_and_empty_are_as_absent() {
    let server = Program::start();
    for (snake, camel, value) in fields() {
        let empty = if value.is_object() { json!({}) } else { json!("") };
        for nothing in [json!({snake: null}), json!({camel: null}), json!({snake: empty}), json!({camel: empty})] {
            let claims = server.claims(&nothing);
            let names: Vec<&str> = claims.keys().map(String::as_str).collect();
            assert_eq!(names, ["exp", "iat", "iss", "nbf", "sub", "video"], "{nothing}");
            assert!(is_made_up(claims["video"]["room"].as_str().unwrap(), "room-"), "{nothing}");
            assert!(is_made_up(claims["sub"].as_str().unwrap(), "user-"), "{nothing}");
        }
    }
    assert_eq!(server.claims(&json!({"room_name": null, "roomName": "daily"}))["video"]["room"], "daily", "null is absent");
}

/// As LiveKit's SDKs write them.
#[test]
fn requests_of_the_sdks() {
    let server = Program::start();
    for (request, room) in [
        // Swift always sends the configuration.
        (r#"{"room_config":{}}"#, None),
        (r#"{"room_name":"daily","participant_identity":"alice","room_config":{"agents":[]}}"#, Some("daily")),
        // livekit-client 2.23 for options that are empty strings.
        (
            r#"{"room_name":"","participant_name":"","participant_identity":"","participant_metadata":"","room_config":{"agents":[{"agent_name":"","metadata":""}]}}"#,
            None,
        ),
        (
            r#"{"room_name":"daily","participant_attributes":{"a":"1"},"room_config":{"agents":[{"agent_name":"helper","metadata":"x","deployment":"staging"}]}}"#,
            Some("daily"),
        ),
        // Node's server SDK, whose configuration has all zero values.
        (
            r#"{"roomConfig":{"name":"","emptyTimeout":0,"departureTimeout":0,"maxParticipants":0,"metadata":"","minPlayoutDelay":0,"maxPlayoutDelay":0,"syncStreams":false,"agents":[],"tags":{}}}"#,
            None,
        ),
    ] {
        for path in BOTH {
            let answer = server.post(path, request);
            assert_eq!(answer.status, 200, "{request}: {answer:?}");
            let found = answer.verified().video.unwrap().room;
            assert!(room.map_or_else(|| is_made_up(&found, "room-"), |room| found == room), "{request}: {found}");
        }
    }
}

#[test]
fn what_is_unknown_grants_nothing() {
    let server = Program::start();
    let request = json!({
        "room_name": "daily", "participant_identity": "alice",
        "kind": "agent", "participant_kind": "agent", "kindDetails": ["x"], "ttl": "999h", "exp": 9_999_999_999_u64, "iss": "other",
        "sub": "bob", "identity": "bob", "name": "Bob", "metadata": "m", "attributes": {"k": "v"}, "sha256": "x", "roomPreset": "p",
        "video": {"roomAdmin": true, "room": ""}, "grants": {"roomCreate": true}, "roomAdmin": true, "canPublish": true,
        "hidden": true, "recorder": true, "agent": {"admin": true}, "sip": {"admin": true}, "inference": {"perform": true},
        "Room_name": "other", "room-name": "other", "ROOM_NAME": "other", "nested": {"room_name": 1},
    });
    let mut claims = server.claims(&request);
    let lifetime = claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap();
    for time in ["iat", "nbf", "exp"] {
        claims.remove(time);
    }
    let expected = json!({"iss": "devkey", "sub": "alice", "video": {"room": "daily", "roomJoin": true}});
    assert_eq!((Value::Object(claims), lifetime), (expected, 6 * 60 * 60));
}

#[test]
fn a_body_that_is_no_object() {
    let server = Program::start();
    let deep = "[".repeat(100_000);
    for body in
        [&b""[..], b" ", b"null", b"true", b"1", b"\"{}\"", b"[]", b"[{}]", b"{", b"{}{}", b"{\"a\":1,}", b"{'a':1}", b"a=b"]
            .into_iter()
            .chain([&b"\xef\xbb\xbf{}"[..], b"{\"room_name\":\"\xff\"}", b"\0", deep.as_bytes()])
    {
        server.post(STANDARD, body).assert_both_errors(400, "the body must be a JSON object");
    }
}

#[test]
fn a_wrong_type_names_its_field() {
    let server = Program::start();
    for (snake, camel, right) in fields() {
        for name in [snake, camel] {
            let (expected, wrong) = match (&right, snake) {
                (Value::String(_), _) => ("a string", vec![json!(1), json!(true), json!([]), json!({}), json!(["daily"])]),
                (_, "room_config") => ("an object", vec![json!(1), json!(false), json!([]), json!(""), json!("{}")]),
                _ => (
                    "an object of strings",
                    vec![json!(1), json!([]), json!(""), json!("x"), json!({"k": 1}), json!({"k": null}), json!({"k": {}})],
                ),
            };
            for wrong in wrong {
                let answer = server.post(STANDARD, json!({name: wrong}).to_string());
                answer.assert_both_errors(400, &format!("{name} must be {expected}"));
            }
        }
    }
}

#[test]
fn a_field_that_stands_there_twice() {
    let server = Program::start();
    for (snake, camel, value) in fields() {
        let both = server.post(STANDARD, format!(r#"{{"{snake}":{value},"{camel}":{value}}}"#));
        both.assert_both_errors(400, &format!("{camel} must not appear in both casings"));
        for name in [snake, camel] {
            let twice = server.post(STANDARD, format!(r#"{{"{name}":{value},"{name}":{value}}}"#));
            twice.assert_both_errors(400, &format!("{name} must appear only once"));
        }
    }
}

/// A string of this many bytes, most of them not ASCII.
fn text_of(bytes: usize) -> Value {
    json!("é".repeat(bytes / 2) + &"x".repeat(bytes % 2))
}

/// Attributes with this many bytes in keys and values together.
fn attributes_of(bytes: usize) -> Value {
    json!({"key": "x".repeat(1000), "é": text_of(bytes - 1000 - "keyé".len())})
}

#[test]
fn a_field_over_its_limit_is_named() {
    const METADATA: usize = 512 * 1024;
    const ATTRIBUTES: usize = 64 * 1024;
    let server = Program::start();
    for (snake, camel, value) in fields() {
        let (limit, message) = match snake {
            "room_config" => continue,
            "participant_metadata" => (METADATA, ": metadata must be at most 524288 bytes"),
            "participant_attributes" => (ATTRIBUTES, ": attributes must be at most 65536 bytes"),
            _ => (256, " must be at most 256 bytes"),
        };
        let of_bytes = if value.is_object() { attributes_of } else { text_of };
        for name in [snake, camel] {
            assert_eq!(server.post(STANDARD, json!({name: of_bytes(limit)}).to_string()).status, 200, "{name}");
            let answer = server.post(STANDARD, json!({name: of_bytes(limit + 1)}).to_string());
            answer.assert_both_errors(400, &format!("{name}{message}"));
        }
    }
}

#[test]
fn names_are_kept_to_the_byte() {
    let server = Program::start();
    for name in [" ", "\"alice\"", "a/b?c#d", "ünï ©ødé 🎉", "a\u{0}b\r\n", "null"] {
        let claims = server.claims(&json!({"room_name": name, "participant_identity": name, "participant_name": name}));
        assert_eq!((&claims["sub"], &claims["name"], &claims["video"]["room"]), (&json!(name), &json!(name), &json!(name)));
    }
}

#[test]
fn a_body_has_at_most_a_mebibyte() {
    let server = Program::start();
    for path in [STANDARD, SANDBOX] {
        let body = |bytes: usize| format!("{}{{}}", " ".repeat(bytes - 2));
        assert_eq!(server.post(path, body(1024 * 1024)).status, 200);
        server
            .request("POST", path, &[("Content-Length", "1048577")], "")
            .assert_both_errors(413, "the body must be at most 1048576 bytes");
    }
}

#[test]
fn a_content_type_is_jsons_or_missing() {
    let server = Program::start();
    for fine in ["application/json", "application/json; charset=utf-8", "Application/JSON ;x=y"] {
        assert_eq!(server.request("POST", STANDARD, &[("Content-Type", fine)], "{}").status, 200, "{fine}");
    }
    assert_eq!(server.request("POST", STANDARD, &[], "{}").status, 200);
    for wrong in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/webhook+json", ""] {
        let answer = server.request("POST", STANDARD, &[("Content-Type", wrong)], "{}");
        answer.assert_both_errors(415, "Content-Type must be application/json");
    }
}

#[test]
fn a_body_of_more_values_than_a_request_has() {
    let server = Program::start();
    for members in [r#""":1"#, r#""room_name":"a""#, r#""x":[{},{},{},{}]"#] {
        let body = format!("{{{}}}", vec![members; 65_000].join(","));
        server
            .post(STANDARD, &body[..body.len().min(1 << 20)])
            .assert_both_errors(400, "the body must hold at most 20000 values");
    }
    let attributes: serde_json::Map<String, Value> = (0..9000).map(|index| (format!("k{index:04}"), json!("v"))).collect();
    let claims = server.claims(&json!({"participant_attributes": attributes}));
    assert_eq!(claims["attributes"].as_object().unwrap().len(), 9000, "64 KiB of attributes stay possible");
    let metadata = "m".repeat(512 * 1024);
    assert_eq!(server.claims(&json!({"participant_metadata": metadata}))["metadata"], metadata);
}
