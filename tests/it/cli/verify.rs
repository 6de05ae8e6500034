//! Tests of `token verify`: the tokens of LiveKit's own libraries, and each reason why a token is invalid.

use serde_json::Value;

use super::assert_says;
use crate::fixtures::{
    EGRESS_KEY, HEADER, NOW, SERVER_KEY, first_recorded, forge, forge_with, library_tokens, payload, payload_bytes, recorded,
};
use crate::harness::program::Start;

fn verify(token: &str, at: u64) -> Start {
    Start::command_with_keys(["token", "verify", token, "--at", &at.to_string()])
}

#[test]
fn every_token_of_the_libraries_verifies_at_its_own_time() {
    let tokens = library_tokens();
    assert_eq!(tokens.len(), 25, "a token got lost");
    for each in tokens {
        let nbf = payload(&each.token)["nbf"].as_u64().unwrap();
        let claims = verify(&each.token, nbf).run().json();
        assert_eq!(claims, Value::Object(payload(&each.token)), "{}", each.name);
        assert_says(&verify(&each.token, nbf - 61).run().refused(), &["not valid yet", "in 1 minute 1 second"]);
    }
}

#[test]
fn a_webhooks_token_verifies_as_well() {
    for each in recorded() {
        assert_eq!(verify(&each.authorization, each.at).run().json()["iss"], *each.key);
    }
}

#[test]
fn the_claims_keep_their_order_and_their_numbers() {
    let token = forge_with(r#""z":1.50,"a":[123456789012345678901234567890,"\u00fc/"]"#);
    let bytes = String::from_utf8(payload_bytes(&token)).unwrap();
    let run = |more: &[&str]| {
        Start::command_with_keys([&["token", "verify", &token, "--at", &NOW.to_string()], more].concat()).run().done()
    };
    assert_eq!(run(&["--json"]).trim_end(), bytes);
    assert_says(&run(&[]), &["\n  \"z\": 1.50,\n", "    123456789012345678901234567890,\n", "\"\\u00fc/\""]);
}

#[test]
fn a_token_may_be_an_argument_or_on_stdin() {
    let token = forge_with("");
    let at = NOW.to_string();
    for stdin in [token.clone(), format!("{token}\n"), format!("  {token}\r\n"), format!("Bearer {token}\n")] {
        Start::command_with_keys(["token", "verify", "-", "--at", &at]).stdin(stdin).run().done();
    }
    verify(&format!("bearer  {token}"), NOW).run().done();
    assert_says(&Start::command_with_keys(["token", "verify", "-"]).stdin(b"\xff".to_vec()).run().wrong(), &["stdin", "UTF-8"]);
}

#[test]
fn each_reason_is_one_sentence() {
    let (token, now) = (forge_with(""), NOW);
    let [payload, signature] = [forge_with(r#""a":1"#), token.clone()];
    let changed = format!("{}.{}", payload.rsplit_once('.').unwrap().0, signature.rsplit_once('.').unwrap().1);
    assert_says(&verify(&token, now + 3600).run().refused(), &["expired 1 hour ago, at 2026-11-22 03:15:15 UTC", "1795317315"]);
    assert_says(&verify(&forge_with(&format!(r#""nbf":{}"#, now + 61)), now).run().refused(), &["not valid yet", "in 1 minute"]);
    assert_says(&verify(&changed, now).run().refused(), &["the token was changed"]);
    assert_says(&verify(&token[..token.len() - 1], now).run().refused(), &["base64url"]);
    assert_says(&verify("hello", now).run().refused(), &["does not accept", "three"]);
    assert_says(&verify("", now).run().refused(), &["does not accept"]);
    assert_says(&verify(&forge(HEADER, r#"{"exp":1}"#), now).run().refused(), &["names no API key"]);
    assert_says(&verify(&forge(HEADER, r#"{"iss":"APInobody","exp":1}"#), now).run().refused(), &["\"APInobody\"", SERVER_KEY.0]);
    assert_says(&verify(&forge(HEADER, format!(r#"{{"iss":"{}"}}"#, SERVER_KEY.0)), now).run().refused(), &["no expiry"]);
    assert_says(&verify(&forge(r#"{"alg":"none"}"#, "{}"), now).run().refused(), &["not HS256"]);
    assert_says(&verify(&forge_with(r#""video":{"roomJoin":"yes"}"#), now).run().refused(), &["right types"]);
    assert_says(&verify(&forge_with(r#""a":1,"a":2"#), now).run().refused(), &["unique names"]);

    let other = forge(HEADER, format!(r#"{{"iss":"{}","exp":{now}}}"#, EGRESS_KEY.0)); // signed with the server's secret
    let sentence = verify(&other, now).run().refused();
    assert_says(&sentence, &["another secret"]);
    for secret in [SERVER_KEY.1, EGRESS_KEY.1] {
        assert!(!sentence.contains(secret));
    }
}

#[test]
fn now_is_the_default() {
    let first = first_recorded();
    assert_says(&Start::command_with_keys(["token", "verify", &first.authorization]).run().refused(), &["expired", "ago"]);
    let token = Start::command_with_keys(["token", "create", "--list", "--token-only"]).run().done();
    Start::command_with_keys(["token", "verify", token.trim_end()]).run().done();
}
