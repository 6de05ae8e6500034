//! The vectors of Project Wycheproof for HS256, run against `roomkey::jws`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roomkey::jws::{Key, Unverified};
use serde_json::Value;

use crate::fixtures;

/// Where upstream's verdict is wrong, and the right one: see `fixtures/wycheproof/README.md`.
const CORRECTED: [(u64, bool, &str); 4] = [
    (367, true, "byte-identical to the valid 357"),
    (370, true, "byte-identical to the valid 357"),
    (372, false, "`?` in the header"),
    (373, false, "`?` in the payload"),
];

struct Case {
    id: u64,
    name: String,
    key: Key,
    jws: String,
    upstream: bool,
}

fn cases() -> Vec<Case> {
    let file = std::fs::read(fixtures::path("fixtures/wycheproof/json_web_signature_hs256.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut cases = Vec::new();
    for group in file["testGroups"].as_array().unwrap() {
        let key = Key::new(&URL_SAFE_NO_PAD.decode(text(&group["private"]["k"])).unwrap()).unwrap();
        cases.extend(group["tests"].as_array().unwrap().iter().map(|test| Case {
            id: test["tcId"].as_u64().unwrap(),
            name: format!("{} {}", test["tcId"], text(&test["comment"])),
            key: key.clone(),
            jws: text(&test["jws"]),
            upstream: test["result"] == "valid",
        }));
    }
    cases
}

#[test]
fn every_vector_is_judged_right() {
    let cases = cases();
    assert_eq!(cases.len(), 40, "a vector got lost");
    for Case { id, name, key, jws, upstream } in cases {
        let correction = CORRECTED.iter().find(|(corrected, ..)| *corrected == id);
        let (valid, reason) = correction.map_or((upstream, "as upstream"), |(_, valid, reason)| (*valid, reason));

        match Unverified::parse(&jws).and_then(|token| token.verify(&key).map(<[u8]>::to_vec)) {
            Ok(payload) => {
                assert!(valid, "{name} was accepted ({reason})");
                assert_eq!(payload, fixtures::payload_bytes(&jws), "{name}");
            }
            Err(error) => assert!(!valid, "{name} was refused ({reason}): {error}"),
        }
    }
}

#[test]
fn a_correction_is_of_a_verdict_that_upstream_still_has_wrong() {
    let cases = cases();
    let find = |id: u64| cases.iter().find(|case| case.id == id).unwrap();
    for (id, valid, reason) in CORRECTED {
        assert_ne!(find(id).upstream, valid, "{id} ({reason}) needs no correction any more");
    }
    for id in [367, 370] {
        assert_eq!(find(id).jws, find(357).jws);
    }
}
