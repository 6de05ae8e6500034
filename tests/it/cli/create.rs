//! Tests of `token create`: the identity, the lifetime, and how the token is printed.

use roomkey::{TokenVerifier, UnixTime};
use serde_json::{Value, json};

use super::{assert_says, present};
use crate::fixtures::{SERVER_KEY, payload, verifier};
use crate::harness::ended::Ended;
use crate::harness::program::Start;

/// The claims of a token that `token create` makes with these flags, without the registered ones.
#[track_caller]
pub(super) fn created(flags: &[&str]) -> Value {
    let token = Start::command_with_keys([&["token", "create", "--token-only"], flags].concat()).run().done();
    let mut claims = payload(token.trim_end());
    claims.retain(|name, _| !["iss", "exp", "nbf", "iat"].contains(&name.as_str()));
    Value::Object(claims)
}

#[track_caller]
pub(super) fn wrong(flags: &[&str]) -> String {
    Start::command_with_keys([&["token", "create"], flags].concat()).run().wrong()
}

#[test]
fn a_token_to_join_is_the_one_that_lk_makes() {
    assert_eq!(
        created(&["--join", "--room", "daily", "--identity", "alice"]),
        json!({"sub": "alice", "name": "alice", "video": {"roomJoin": true, "room": "daily"}})
    );
    assert_eq!(
        created(&["--join", "-r", "daily", "-i", "alice", "-n", "Alice Ångström"]),
        json!({"sub": "alice", "name": "Alice Ångström", "video": {"roomJoin": true, "room": "daily"}})
    );
}

#[test]
fn a_token_is_valid_with_the_key_that_mints() {
    let before = present();
    let token = Start::command_with_keys(["token", "create", "--join", "--token-only"]).run().done();
    let claims = verifier().verify(token.trim_end(), UnixTime::from_secs(before)).unwrap();
    assert_eq!(claims.iss, SERVER_KEY.0);
    let iat = claims.iat.unwrap().as_secs();
    assert!((before..before + 30).contains(&iat));
    assert_eq!((claims.nbf, claims.exp.unwrap().as_secs()), (claims.iat, iat + 300), "5 minutes where nothing is said");

    // Without settings it is LiveKit's development key, and a flag or a file of settings beats that.
    let token = Start::command(["token", "create", "--join", "--token-only"]).run().done();
    let development = TokenVerifier::with_api_key("devkey", "secret").unwrap();
    assert!(development.verify(token.trim_end(), UnixTime::from_secs(before)).is_ok());
    let flags =
        ["token", "create", "--join", "--token-only", "--livekit-api-key", SERVER_KEY.0, "--livekit-api-secret-file", "s"];
    let token = Start::command(flags).file("s", SERVER_KEY.1).run().done();
    assert!(verifier().verify(token.trim_end(), UnixTime::from_secs(before)).is_ok());
    let dotenv = format!("LIVEKIT_API_KEY={}\nLIVEKIT_API_SECRET={}\n", SERVER_KEY.0, SERVER_KEY.1);
    let token = Start::command(["token", "create", "--join", "--token-only"]).file(".env", dotenv).run().done();
    assert!(verifier().verify(token.trim_end(), UnixTime::from_secs(before)).is_ok());
}

#[test]
fn a_missing_room_and_identity_are_generated_for_joining_and_reported() {
    let ended = Start::command_with_keys(["token", "create", "--join", "--token-only"]).run();
    let claims = payload(ended.stdout.trim_end());
    let (room, identity) = (claims["video"]["room"].as_str().unwrap(), claims["sub"].as_str().unwrap());
    assert!(room.starts_with("room-") && room.len() == 21, "{room}");
    assert!(identity.starts_with("participant-") && identity.len() == 28, "{identity}");
    assert_eq!(claims["name"], identity);
    assert_says(&ended.stderr, &[room, identity]);
    let other = Start::command_with_keys(["token", "create", "--join", "--token-only"]).run();
    assert_ne!(payload(other.stdout.trim_end())["video"]["room"], room);

    // A token that does not join needs neither.
    assert_eq!(created(&["--list"]), json!({"video": {"roomList": true}}));
    let ended = Start::command_with_keys(["token", "create", "--list", "--token-only"]).run();
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_room_always_goes_into_the_grant() {
    assert_eq!(created(&["--list", "--room", "daily"]), json!({"video": {"roomList": true, "room": "daily"}}));
    assert_eq!(created(&["--inference", "--room", "daily"]), json!({"video": {"room": "daily"}, "inference": {"perform": true}}));
}

#[test]
fn valid_for_takes_durations_as_go_writes_them() {
    for (text, seconds) in
        [("1s", 1), ("90s", 90), ("5m", 300), ("1h10m", 4200), ("1.5h", 5400), ("24h", 86_400), ("1h1m1.9s", 3661)]
    {
        let token = Start::command_with_keys(["token", "create", "--list", "--token-only", "--valid-for", text]).run().done();
        let claims = payload(token.trim_end());
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), seconds, "{text}");
    }
    for text in ["0s", "-5m", "5", "1h 10m", "500ms", "soon", ""] {
        assert_says(&wrong(&["--list", "--valid-for", text]), &["--valid-for must be a duration"]);
    }
}

#[test]
fn names_metadata_and_attributes_are_kept_to_the_byte() {
    let claims = created(&[
        "--join",
        "-r",
        "Raum 1/2?x=%20",
        "-i",
        "<a&b>\u{2028}\"\\é🚀",
        "--metadata",
        "{\"k\":\"</script>\\n\"}",
        "-a",
        "a=b=c, d",
        "--attribute",
        "=empty key",
        "-a",
        "seat=1A",
        "-a",
        "seat=1B",
    ]);
    assert_eq!(
        claims,
        json!({
            "sub": "<a&b>\u{2028}\"\\é🚀", "name": "<a&b>\u{2028}\"\\é🚀", "video": {"roomJoin": true, "room": "Raum 1/2?x=%20"},
            "metadata": "{\"k\":\"</script>\\n\"}", "attributes": {"a": "b=c, d", "": "empty key", "seat": "1B"},
        })
    );
}

#[test]
fn attributes_in_a_file_override_the_others_as_in_lk() {
    let with_file = |content: &str| {
        let flags = ["token", "create", "--list", "--token-only", "-a", "a=flag", "-a", "b=flag", "--attribute-file", "f.json"];
        Start::command_with_keys(flags).file("f.json", content).run()
    };
    let token = with_file(r#"{"b": "file", "c": "file"}"#).done();
    assert_eq!(payload(token.trim_end())["attributes"], json!({"a": "flag", "b": "file", "c": "file"}));
    for content in ["", "[]", r#"{"a": 1}"#, r#"{"a": null}"#, "{", "\"a\""] {
        assert_says(&with_file(content).wrong(), &["--attribute-file", "f.json", "strings"]);
    }
    assert_says(&wrong(&["--list", "--attribute-file", "nowhere.json"]), &["nowhere.json"]);
    let token =
        Start::command_with_keys(["token", "create", "--list", "--token-only", "--attribute-file", "-"]).stdin("{\"a\":\"1\"}");
    assert_eq!(payload(token.run().done().trim_end())["attributes"], json!({"a": "1"}));
}

#[test]
fn limits_are_those_of_livekit_in_bytes() {
    let (most, more) = ("ä".repeat(128), "ä".repeat(128) + "x");
    for flag in ["--room", "--identity", "--name"] {
        created(&["--join", flag, &most]);
        assert_says(&wrong(&["--join", flag, &more]), &[flag, "256 bytes"]);
        assert_says(&wrong(&["--join", flag, ""]), &[flag, "empty"]);
        assert_says(&wrong(&["--list", flag, &more]), &[flag, "256 bytes"]);
    }
    let grant = json!({"room": more}).to_string();
    assert_says(&wrong(&["--join", "--grant", &grant]), &["room", "256 bytes"]);
    let attribute = format!("k={}", "x".repeat(64 * 1024 - 1));
    created(&["--list", "-a", &attribute]);
    assert_says(&wrong(&["--list", "-a", &attribute, "-a", "x="]), &["attributes", "65536 bytes"]);
    // One argument cannot be as long as metadata may be, so a file of attributes shows that so much is accepted.
    let long = format!("{{\"k\":\"{}\"}}", "x".repeat(512 * 1024));
    let flags = ["token", "create", "--list", "--attribute-file", "f"];
    assert_says(&Start::command_with_keys(flags).file("f", long).run().wrong(), &["attributes", "65536 bytes"]);
}

#[test]
fn a_token_that_allows_nothing_is_wrong_use() {
    for flags in [&[][..], &["--room", "daily", "--identity", "alice"], &["--hidden"], &["--allow-source", "camera"]] {
        assert_says(&wrong(flags), &["allow nothing", "--join"]);
    }
}

#[test]
fn the_three_output_formats() {
    let base = ["token", "create", "--join", "-r", "daily", "-i", "alice", "-n", "Alice", "--metadata", "m"];
    let run = |more: &[&str]| -> Ended { Start::command_with_keys([&base, more].concat()).run() };
    let grants = json!({"identity": "alice", "name": "Alice", "metadata": "m", "video": {"roomJoin": true, "room": "daily"}});

    let told = run(&[]);
    assert_says(&told.stderr, &["valid for 5 minutes"]);
    let told = told.done();
    let (head, token) = told.split_once("\nAccess token: ").unwrap();
    assert_eq!(payload(token.trim_end())["sub"], "alice");
    assert_eq!(serde_json::from_str::<Value>(head.strip_prefix("Token grants:\n").unwrap()).unwrap(), grants);

    let told = run(&["--json"]);
    assert_eq!(told.stderr, "");
    let told = told.json();
    assert_eq!(payload(told["access_token"].as_str().unwrap())["sub"], "alice");
    let expected =
        json!({"access_token": told["access_token"], "identity": "alice", "name": "Alice", "room": "daily", "grants": grants});
    assert_eq!(told, expected);

    let told = run(&["--token-only"]);
    assert_eq!((told.stderr.as_str(), told.stdout.lines().count(), told.stdout.split('.').count()), ("", 1, 3));
}

#[test]
fn dangers_are_reported_beside_the_token() {
    for (flags, part) in [
        (&["--join", "-r", "r", "-i", "i", "--admin"][..], "roomAdmin"),
        (&["--join", "-r", "r", "-i", "i", "--create"], "roomCreate"),
        (&["--list", "--valid-for", "25h"], "25 hours"),
        (&["--list", "--claims", r#"{"mine": 1}"#], "mine"),
        (&["--admin"], "--room"),
    ] {
        let ended = Start::command_with_keys([&["token", "create", "--token-only"], flags].concat()).run();
        assert_says(&ended.stderr, &["warning", part]);
        assert_eq!(ended.done().lines().count(), 1);
    }
}
