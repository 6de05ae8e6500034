//! Tests of authentic deliveries: each is answered with 200 and no body, whatever it says.

use crate::fixtures::{EGRESS_KEY, HEADER, NOW, SERVER_KEY, api_key, digest, first_recorded, forge, recorded};
use crate::harness::client::post;
use crate::harness::edge::{Server, Setup};
use crate::harness::sender::{authorization, authorization_at, request_of};
use roomkey::{ApiKeys, UnixTime};

#[test]
fn every_recorded_delivery_holds_at_its_own_time() {
    let server = Server::start();
    let deliveries = recorded();
    assert_eq!(deliveries.len(), 40);
    // One connection for all of them: each answer leaves it usable.
    let mut client = server.connect();
    for delivery in deliveries {
        for now in [delivery.at, delivery.at + 1, delivery.at - 60, delivery.until, delivery.until + 60] {
            server.set_time(now);
            let answer = client.ask(request_of(&delivery));
            assert_eq!(answer.status, 200, "{} at {now}", delivery.name);
            assert_eq!(answer.header("content-length"), Some("0"));
            assert_eq!(answer.header("connection"), None);
            assert!(answer.body.is_empty());
        }
    }
    client.assert_usable();
}

#[test]
fn the_second_path_is_the_same_endpoint() {
    let server = Server::start();
    let delivery = first_recorded();
    let headers = [("Authorization", delivery.authorization.as_str())];
    let first = server.ask(post("/webhook", &headers, &delivery.body));
    let second = server.ask(post("/livekit/webhook", &headers, &delivery.body));
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(first.header_names(), second.header_names());
}

#[test]
fn a_delivery_that_comes_again() {
    let server = Server::start();
    let delivery = first_recorded();
    for _ in 0..3 {
        assert_eq!(server.ask(request_of(&delivery)).status, 200);
    }
}

#[test]
fn a_key_that_is_not_the_first() {
    let body = br#"{"event":"room_started"}"#;
    let now = UnixTime::from_secs(NOW);
    for (first, second) in [(SERVER_KEY, EGRESS_KEY), (EGRESS_KEY, SERVER_KEY)] {
        let keys = ApiKeys::new(api_key(first), [api_key(second)]).unwrap();
        let server = Setup { keys, ..Setup::default() }.start();
        for key in [first, second] {
            let authorization = authorization_at(now, key, body);
            assert_eq!(server.ask(post("/webhook", &[("Authorization", &authorization)], body)).status, 200);
        }
    }
}

#[test]
fn any_content_type_or_none() {
    let server = Server::start();
    let delivery = first_recorded();
    let authorization = ("Authorization", delivery.authorization.as_str());
    for content_type in ["application/webhook+json", "application/json", "text/plain", "image/png", "", "no type; at all", "ü"] {
        let request = post("/webhook", &[authorization, ("Content-Type", content_type)], &delivery.body);
        assert_eq!(server.ask(request).status, 200, "{content_type:?}");
    }
    assert_eq!(server.ask(post("/webhook", &[authorization], &delivery.body)).status, 200);
}

#[test]
fn bearer_in_any_case_or_not_at_all() {
    let server = Server::start();
    let delivery = first_recorded();
    for prefix in ["", "Bearer ", "bearer ", "BEARER ", "bEaReR "] {
        let authorization = format!("{prefix}{}", delivery.authorization);
        for name in ["Authorization", "authorization", "AUTHORIZATION"] {
            let request = post("/webhook", &[(name, &authorization)], &delivery.body);
            assert_eq!(server.ask(request).status, 200, "{name}: {prefix}");
        }
    }
}

#[test]
fn an_authentic_body_of_any_content() {
    let server = Server::start();
    let lists = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let objects = format!("{}0{}", r#"{"x":"#.repeat(100_000), "}".repeat(100_000));
    let open = "[".repeat(100_000);
    let deep_room = format!(r#"{{"event":"room_started","id":"EV_1","room":{objects}}}"#);
    let deep_name = format!(r#"{{"event":"room_started","id":"EV_1","room":{{"name":{lists}}}}}"#);
    let cases: &[(&str, &[u8])] = &[
        ("nothing at all", b""),
        ("white space", b" \r\n"),
        ("no JSON", b"hello"),
        ("no UTF-8", b"\xff\xfe\0\x80"),
        ("cut JSON", br#"{"event":"room_st"#),
        ("two values", b"{}{}"),
        ("null", b"null"),
        ("a number", b"1e999"),
        ("a list", b"[]"),
        ("an empty object", b"{}"),
        ("an unknown event", br#"{"event":"moon_landing","id":"EV_1"}"#),
        ("an unknown field", br#"{"event":"room_started","id":"EV_1","novel":{"a":[1,2]},"room":{"name":"r","novel":null}}"#),
        ("an unknown enum", br#"{"event":"egress_ended","id":"EV_1","egressInfo":{"status":"EGRESS_NOVEL"}}"#),
        ("an enum as a number", br#"{"event":"egress_ended","id":"EV_1","egressInfo":{"status":99}}"#),
        ("an event of another type", br#"{"event":7,"id":{},"createdAt":[],"room":"daily","participant":[],"track":0}"#),
        ("nulls", br#"{"event":null,"id":null,"createdAt":null,"room":null,"participant":{"identity":null}}"#),
        ("numbers for strings", br#"{"event":"participant_joined","id":1,"room":{"name":5},"participant":{"identity":5}}"#),
        (
            "duplicate names",
            br#"{"event":"room_started","event":"room_finished","id":"EV_1","id":"EV_2","room":{"sid":"a","sid":"b"}}"#,
        ),
        ("a half surrogate", br#"{"event":"room_started","id":"\ud800","room":{"name":"\udc00"}}"#),
        ("numbers beyond their type", br#"{"event":"room_started","createdAt":"99999999999999999999","numDropped":-1e400}"#),
        ("100,000 lists", lists.as_bytes()),
        ("100,000 objects", objects.as_bytes()),
        ("100,000 lists that do not end", open.as_bytes()),
        ("100,000 levels of room", deep_room.as_bytes()),
        ("100,000 levels of name", deep_name.as_bytes()),
    ];
    let mut client = server.connect();
    for (name, body) in cases {
        let answer = client.ask(post("/webhook", &[("Authorization", &authorization(body))], body));
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("0")), "{name}");
        assert!(answer.body.is_empty(), "{name}");
    }
    client.assert_usable();
}

#[test]
fn an_authentic_body_without_a_length() {
    let server = Server::start();
    let request = format!("POST /webhook HTTP/1.1\r\nHost: test\r\nAuthorization: {}\r\n\r\n", authorization(""));
    assert_eq!(server.ask(request).status, 200);
}

/// The claims of a webhook's token for an empty body, with `times` in front.
fn with_times(times: &str) -> String {
    forge(HEADER, format!(r#"{{"iss":"{}",{times},"sha256":"{}"}}"#, SERVER_KEY.0, digest("")))
}

#[test]
fn a_token_that_holds_by_its_times() {
    let server = Server::start();
    for times in [
        format!(r#""exp":{NOW}"#),
        format!(r#""exp":{}"#, NOW - 60),
        format!(r#""exp":{}.5,"nbf":{NOW}.25,"iat":{NOW}.75"#, NOW - 60),
        format!(r#""exp":{NOW}.0"#),
        r#""exp":1.795317315e9"#.to_owned(),
        format!(r#""exp":{},"nbf":{},"iat":{}"#, NOW + 300, NOW + 60, NOW + 60),
        format!(r#""exp":{NOW},"nbf":0,"iat":0"#),
        format!(r#""exp":{NOW},"nbf":-1,"iat":-1.5"#),
        format!(r#""exp":{NOW},"nbf":{NOW}"#),
        format!(r#""exp":{NOW},"iat":{NOW}"#),
    ] {
        let answer = server.ask(post("/webhook", &[("Authorization", &with_times(&times))], ""));
        assert_eq!(answer.status, 200, "{times}");
    }
}

#[test]
fn a_token_as_other_libraries_write_it() {
    let server = Server::start();
    let claims = format!(r#"{{"iss":"{}","exp":{NOW},"sha256":"{}""#, SERVER_KEY.0, digest(""));
    for (header, more) in [
        (r#"{"alg":"HS256"}"#, ""),
        (r#"{"typ":"JWT","alg":"HS256"}"#, ""),
        (r#" { "alg" : "HS256" } "#, ""),
        (r#"{"alg":"HS256","kid":"7","typ":"jwt","x":{"y":[]}}"#, ""),
        (r#"{"\u0061lg":"HS256"}"#, ""),
        (HEADER, r#","sub":"""#),
        (HEADER, r#","aud":["x"],"jti":"1","video":{},"novel":{"a":{"b":null}}"#),
    ] {
        let token = forge(header, format!("{claims}{more}}}"));
        assert_eq!(server.ask(post("/webhook", &[("Authorization", &token)], "")).status, 200, "{header} {more}");
    }
}
