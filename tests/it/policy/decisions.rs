//! The table of decisions: each row is a request, and either the claims of its token or the reason why there is none.

use serde_json::{Map, Value, json};

use crate::fixtures;
use crate::harness::program::Start;

const FOLDER: &str = "fixtures/policy";
/// The claims that the server adds.
const OWN_CLAIMS: [&str; 4] = ["iss", "iat", "nbf", "exp"];

#[test]
fn every_decision_of_the_table_is_made_for_its_reason() {
    let table = std::fs::read_to_string(fixtures::path(FOLDER).join("decisions.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&table).unwrap();
    assert!(rows.len() >= 80, "a decision got lost");
    let wrong: Vec<String> = rows.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// What differs from the row, if anything does.
fn wrong(row: &Value) -> Option<String> {
    let file = fixtures::path(FOLDER).join(format!("{}.toml", row["file"].as_str().unwrap()));
    let mut arguments = vec!["policy".to_owned(), "test".to_owned(), file.to_str().unwrap().to_owned(), "--json".to_owned()];
    arguments.extend(["--caller".to_owned(), row["caller"].as_str().unwrap().to_owned()]);
    if let Some(claims) = row.get("claims") {
        arguments.extend(["--claims".to_owned(), claims.to_string()]);
    }
    arguments.extend(["--request".to_owned(), row["request"].to_string()]);
    let ended = Start::command(arguments).run();
    let answer: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{row}\n{ended:?}"));

    let mut found = outcome(&answer);
    if row.get("passed").is_none() {
        found.remove("passed");
    }
    let mut expected = row.as_object().unwrap().clone();
    expected.retain(|name, _| ["allowed", "denied", "passed"].contains(&name.as_str()));
    let has_status = ended.status == i32::from(expected.contains_key("denied"));
    let row = Value::Object(row.as_object().unwrap().clone());
    (found != expected || !has_status).then(|| format!("{row}\n  but: {}", Value::Object(found)))
}

/// The answer in the form of a row.
fn outcome(answer: &Value) -> Map<String, Value> {
    let passed: Vec<_> = answer["passed"].as_array().unwrap().iter().map(|each| json!([each["rule"], each["why"]])).collect();
    let rule = &answer["rule"];
    let outcome = if answer["allowed"] == true {
        let claims = &answer["claims"];
        let lifetime = claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap();
        let mut claims = claims.as_object().unwrap().clone();
        claims.retain(|name, _| !OWN_CLAIMS.contains(&name.as_str()));
        let claims = without_random(Value::Object(claims));
        json!({"allowed": {"rule": rule, "lifetime": lifetime, "claims": claims}, "passed": passed})
    } else {
        json!({"denied": {"status": answer["status"], "rule": rule, "why": answer["why"]}, "passed": passed})
    };
    outcome.as_object().unwrap().clone()
}

/// The claims with `{random}` in place of the 16 random letters at the end of the identity and the room.
fn without_random(mut claims: Value) -> Value {
    for name in ["/sub", "/video/room"] {
        let value = claims.pointer_mut(name).unwrap();
        let text = value.as_str().unwrap().to_owned();
        let split = text.len().checked_sub(16).and_then(|at| text.split_at_checked(at));
        let is_letter = |each: char| each.is_ascii_lowercase() && !"lo".contains(each) || ('2'..='9').contains(&each);
        if let Some((before, letters)) = split
            && before.ends_with('-')
            && letters.chars().all(is_letter)
        {
            *value = format!("{before}{{random}}").into();
        }
    }
    claims
}
