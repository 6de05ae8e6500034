//! Tests of `token inspect`: the tokens of LiveKit's own libraries in words, each danger, and when the status is 1.

use serde_json::{Value, json};

use super::{assert_says, present};
use crate::fixtures::{HEADER, NOW, SERVER_KEY, forge, forge_with, library_tokens, payload, recorded};
use crate::harness::program::Start;

fn inspect(token: &str) -> Start {
    Start::command_with_keys(["token", "inspect", token, "--at", &NOW.to_string()])
}

fn findings(token: &str) -> Value {
    let ended = Start::command_with_keys(["token", "inspect", token, "--json", "--at", &NOW.to_string()]).run();
    assert_eq!(ended.stderr, "");
    serde_json::from_str(&ended.stdout).unwrap()
}

/// The kinds of danger in `token`.
fn dangers(token: &str) -> Vec<String> {
    let findings = findings(token);
    findings["dangers"].as_array().unwrap().iter().map(|danger| danger["danger"].as_str().unwrap().to_owned()).collect()
}

/// A token with these `members` that begins and ends within an hour of [`NOW`].
fn with(members: &str) -> String {
    forge_with(&format!(r#""nbf":{NOW}{}{members}"#, if members.is_empty() { "" } else { "," }))
}

#[test]
fn every_token_of_the_libraries_is_explained() {
    for each in library_tokens() {
        let claims = payload(&each.token);
        let nbf = claims["nbf"].as_u64().unwrap();
        let told = Start::command_with_keys(["token", "inspect", &each.token, "--at", &nbf.to_string()]).run().done();
        assert_says(&told, &["the token is valid", "2026-11-22"]);
        if let Some(identity) = claims.get("sub").and_then(Value::as_str).filter(|identity| !identity.is_empty()) {
            assert_says(&told, &[&format!("identity   {identity:?}")]);
        }
        // Without the key nothing is refused, but the verdict says so.
        let told = Start::command(["token", "inspect", &each.token]).run().done();
        assert_says(&told, &["not checked", &each.key, "ago"]);
    }
}

#[test]
fn a_token_of_the_libraries_has_no_danger() {
    for each in library_tokens() {
        assert_eq!(dangers(&each.token), [] as [&str; 0], "{}", each.name);
    }
}

#[test]
fn permissions_are_listed_in_words() {
    let join = |grants: &str| with(&format!(r#""sub":"alice","video":{{"roomJoin":true,"room":"daily"{grants}}}"#));
    for (token, expected) in [
        (join(""), json!(["join the room \"daily\"", "publish tracks of every source", "subscribe to others", "publish data"])),
        (
            join(r#","canPublish":false,"canSubscribe":false"#),
            json!(["join the room \"daily\"", "not publish tracks", "not subscribe to others", "not publish data"]),
        ),
        (
            join(r#","canPublishSources":["microphone","screen_share_audio"],"canPublishData":false,"hidden":true"#),
            json!([
                "join the room \"daily\"",
                "publish only microphone, screen_share_audio",
                "subscribe to others",
                "not publish data",
                "be invisible to the others"
            ]),
        ),
        (
            with(
                r#""video":{"roomAdmin":true,"room":"daily","roomCreate":true,"roomList":true,"roomRecord":true,"ingressAdmin":true}"#,
            ),
            json!([
                "moderate the room \"daily\"",
                "create and delete rooms",
                "list all rooms",
                "start and stop recordings and streams",
                "manage ingresses"
            ]),
        ),
        (
            with(r#""sip":{"admin":true,"call":true},"inference":{"perform":true},"agentThread":{"read":true,"write":true}"#),
            json!([
                "manage SIP trunks and dispatch rules",
                "call out over SIP",
                "use LiveKit's inference",
                "write to, read agents' threads"
            ]),
        ),
        (with(r#""sha256":"x""#), json!(["vouch for one body, as a webhook's token"])),
        (with(""), json!([])),
    ] {
        assert_eq!(findings(&token)["may"], expected);
    }
    assert_says(&inspect(&with("")).run().done(), &["It allows nothing.", "No danger was found."]);
}

#[test]
fn each_danger_is_found() {
    let unending = forge(HEADER, format!(r#"{{"iss":"{}"}}"#, SERVER_KEY.0));
    let day = 24 * 60 * 60;
    let until = |end: u64| forge(HEADER, format!(r#"{{"iss":"{}","nbf":{NOW},"exp":{end}}}"#, SERVER_KEY.0));
    for (token, expected) in [
        (with(r#""sub":"a","video":{"roomJoin":true}"#), &["no_room"][..]),
        (with(r#""sub":"a","video":{"roomJoin":true,"room":""}"#), &["no_room"]),
        (with(r#""video":{"roomJoin":true,"room":"r"}"#), &["no_identity"]),
        (with(r#""jti":"a","video":{"roomJoin":true,"room":"r"}"#), &[]),
        (with(r#""video":{"roomList":true}"#), &[]),
        (unending, &["no_expiry"]),
        (until(NOW + day), &[]),
        (until(NOW + day + 1), &["long_lived"]),
        (forge(HEADER, format!(r#"{{"iss":"{}","exp":{}}}"#, SERVER_KEY.0, NOW + day + 1)), &["long_lived"]),
        (with(r#""tenant":1"#), &["unknown_claim"]),
        (with(r#""identity":"a","aud":"x""#), &[]),
        (with(r#""video":{"canFly":true}"#), &["unknown_grant"]),
        (with(r#""sip":{"hangUp":true},"agent":{"x":1},"inference":{"x":1}"#), &["unknown_grant"; 3]),
        (with(r#""observability":{"x":1},"agentEndpoint":{"x":1},"agentThread":{"x":1}"#), &["unknown_grant"; 3]),
        (with(r#""video":{"canPublishSources":["webcam","camera"]}"#), &["unknown_source"]),
        (with(r#""sub":"a","video":{"roomJoin":true,"room":"r","roomAdmin":true,"roomCreate":true}"#), &["power", "power"]),
        (with(r#""video":{"roomAdmin":true,"room":"r","roomCreate":true}"#), &[]),
        (with(r#""roomConfig":{"egress":{"room":{"file":{"s3":{"secret":"hushhush"}}}}}"#), &["credentials"]),
        (with(r#""roomConfig":{"egress":{"tracks":{"azure":{"account_key":"hushhush"}}}}"#), &["credentials"]),
        (
            with(
                r#""roomConfig":{"egress":{"tracks":{"s3":{"sessionToken":"hushhush","assume_role_external_id":"hushhush","proxy":{"password":"hushhush","url":"http://u:hushhush@p"}}}}}"#,
            ),
            &["credentials"; 4],
        ),
        (with(r#""roomConfig":{"maxParticipants":"many","egress":{"room":{"stream":{"urls":["hushhush"]}}}}"#), &["credentials"]),
        (with(r#""roomConfig":{"maxParticipants":"many"}"#), &["room_config"]),
        (with(r#""roomConfig":{"future":1}"#), &[]),
        (with(r#""name":7"#), &["wrong_type"]),
        (with(r#""video":{"roomJoin":"yes"}"#), &["wrong_type"]),
        (with(r#""name":"a","name":"b""#), &["ambiguous"]),
        (with(&format!(r#""metadata":"{}""#, "x".repeat(8 * 1024))), &["too_long"]),
        (with(&format!(r#""metadata":"{}""#, "x".repeat(5 * 1024))), &[]),
    ] {
        assert_eq!(dangers(&token), expected, "{:?}", payload(&token));
        for danger in findings(&token)["dangers"].as_array().unwrap() {
            let message = danger["message"].as_str().unwrap();
            assert!(!message.contains("hushhush"), "{message}");
            assert_says(&inspect(&token).run().stdout, &["Dangers", message]);
        }
    }
}

#[test]
fn unknown_names_are_reported() {
    let token = with(r#""tenant":1,"video":{"canFly":true,"canPublishSources":["webcam"]}"#);
    assert_says(&inspect(&token).run().done(), &["\"tenant\"", "\"video.canFly\"", "\"webcam\""]);
}

#[test]
fn status_1_is_for_no_token_and_for_one_that_our_key_refuses() {
    for token in ["", "hello", "a.b.c", &forge(HEADER, "[]"), &forge(r#"{"alg":"none"}"#, "{}")] {
        inspect(token).run().refused();
    }
    let expired = forge(HEADER, format!(r#"{{"iss":"{}","exp":1}}"#, SERVER_KEY.0));
    let unsigned = format!("{}AAAA", &with("")[..with("").len() - 4]);
    for (token, verdict) in [(&expired, "expired"), (&unsigned, "another secret"), (&with(r#""name":7"#), "right types")] {
        let ended = inspect(token).run();
        assert_eq!((ended.status, ended.stderr.as_str()), (1, ""), "{ended:?}");
        assert_says(&ended.stdout, &["verdict", verdict]);
        assert_eq!(findings(token)["holds"], false);
    }
    let stranger = forge(HEADER, r#"{"iss":"APInobody","exp":1}"#);
    inspect(&stranger).run().done();
    assert_eq!(findings(&stranger)["holds"], Value::Null);
    assert_eq!(findings(&with(""))["holds"], true);
}

#[test]
fn each_credential_is_reported() {
    let token = with(
        r#""roomConfig":{"egress":{"room":{"fileOutputs":[{"s3":{"secret":"x","session_token":"x"}}],"stream_outputs":[{}]},"tracks":{"gcp":{"proxy":{"password":"x"}}}}}"#,
    );
    let told = inspect(&token).run().done();
    for path in [
        "room.fileOutputs.0.s3.secret",
        "room.fileOutputs.0.s3.session_token",
        "room.stream_outputs",
        "tracks.gcp.proxy.password",
    ] {
        assert_says(&told, &[&format!("roomConfig: egress.{path} must not be in a token")]);
    }
}

#[test]
fn the_verdict_says_if_a_token_is_valid_only_because_of_the_leeway() {
    let at = |begin: u64, end: u64| forge(HEADER, format!(r#"{{"iss":"{}","nbf":{begin},"exp":{end}}}"#, SERVER_KEY.0));
    for (token, leeway) in [
        (at(NOW, NOW), None),
        (at(NOW - 9, NOW + 9), None),
        (at(NOW - 99, NOW - 1), Some("it expired 1 second ago, at 2026-11-22 03:15:14 UTC")),
        (at(NOW - 99, NOW - 60), Some("it expired 1 minute ago")),
        (at(NOW + 60, NOW + 99), Some("it is valid from 2026-11-22 03:16:15 UTC on, in 1 minute")),
        (
            forge_with(&format!(r#""nbf":{NOW},"iat":{}"#, NOW + 1)),
            Some("it is valid from 2026-11-22 03:15:16 UTC on, in 1 second"),
        ),
    ] {
        let (told, findings) = (inspect(&token).run().done(), findings(&token));
        assert_eq!(findings["holds"], true);
        let verdict = findings["verdict"].as_str().unwrap();
        assert_says(&told, &[verdict]);
        let verify = Start::command_with_keys(["token", "verify", &token, "--at", &NOW.to_string()]).run();
        assert_eq!(verify.status, 0);
        match leeway {
            None => assert!(!verdict.contains("leeway") && verify.stderr.is_empty(), "{verdict}, {}", verify.stderr),
            Some(leeway) => {
                let sentence = format!("only because of the leeway of 60 s for clocks that differ: {leeway}");
                assert_says(verdict, &["the token is valid, signed with the key", &sentence]);
                assert_says(&verify.stderr, &["the token is valid", &sentence]);
            }
        }
    }
}

#[test]
fn a_terminal_obeys_nothing_in_a_token() {
    let hostile = r#""sub":"\u001b[2J\u009b\u202eevil","name":"\u0007","metadata":"\u001b","attributes":{"\u001b":"\n"},"roomConfig":{"metadata":"\u009b2J\u202e"},"\u001b":1"#;
    let told = inspect(&with(&format!(r#"{hostile},"video":{{"room":"\u001b","roomAdmin":true,"\u001bx":1}}"#))).run().done();
    let obeyed = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
    assert!(!told.contains(obeyed), "{told:?}");
}

#[test]
fn json_contains_everything() {
    let token = with(r#""sub":"alice","name":"Alice","video":{"roomJoin":true,"room":"daily"}"#);
    assert_eq!(
        findings(&token),
        json!({
            "identity": "alice", "name": "Alice", "room": "daily", "key": SERVER_KEY.0, "begins": NOW, "ends": NOW, "holds": true,
            "verdict": format!("the token is valid, signed with the key {:?}", SERVER_KEY.0),
            "may": ["join the room \"daily\"", "publish tracks of every source", "subscribe to others", "publish data"],
            "dangers": [], "claims": payload(&token),
        })
    );
}

#[test]
fn a_webhooks_token_is_explained_and_stdin_is_read() {
    let first = &recorded()[0];
    let told =
        Start::command_with_keys(["token", "inspect", "-", "--at", &first.at.to_string()]).stdin(first.authorization.as_str());
    assert_says(&told.run().done(), &["vouch for one body", "5 minutes in all", "No danger"]);
}

#[test]
fn the_development_key_is_known_without_settings() {
    let token = Start::command(["token", "create", "--join", "-r", "daily", "-i", "alice", "--token-only"]).run().done();
    assert_says(
        &Start::command(["token", "inspect", token.trim_end()]).run().done(),
        &["the token is valid, signed with the key \"devkey\""],
    );
    let dangers = |token: &str| {
        let told = Start::command(["token", "inspect", token, "--json"]).run().stdout;
        let findings: Value = serde_json::from_str(&told).unwrap();
        findings["dangers"].as_array().unwrap().iter().map(|danger| danger["danger"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(dangers(token.trim_end()), ["development_key"]);
    // Another key may have the same name.
    let other = ["token", "create", "--join", "-r", "daily", "-i", "alice", "--token-only"];
    let other = Start::command(other).env("LIVEKIT_API_KEY", "devkey").env("LIVEKIT_API_SECRET", SERVER_KEY.1).run().done();
    assert_eq!(dangers(other.trim_end()), [Value::Null; 0]);
    let late = (present() + 400).to_string();
    assert_eq!(Start::command(["token", "inspect", token.trim_end(), "--at", &late]).run().status, 1);
}
