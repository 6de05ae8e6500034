//! Tests of `room_config` as a client sends it. What is valid in it is tested with the type itself.

use serde_json::{Value, json};

use super::support::{BOTH, STANDARD};
use crate::harness::program::{Program, Start};

const EGRESS_REFUSED: &str = "room_config.egress is not allowed here, because recordings cost money: the server's setting --allow-client-egress (ALLOW_CLIENT_EGRESS) would allow it";

/// Recordings without credentials.
fn egress() -> Value {
    json!({"room": {"file_outputs": [{"filepath": "x.mp4", "unknown": {"deep": 1}}], "unknown": 1}, "unknown": 1})
}

#[test]
fn it_becomes_the_claim_in_lower_camel_case_without_unknown_fields() {
    let server = Program::start();
    let snake = json!({
        "empty_timeout": 300, "departureTimeout": "20", "max_participants": 12, "metadata": "m", "sync_streams": true,
        "min_playout_delay": 10, "max_playout_delay": 400, "tags": {"a_b": "c"}, "unknown_field": {"deep": [1]},
        "agents": [{
            "agent_name": "helper", "metadata": "x", "restart_policy": "JRP_NEVER", "deployment": "staging",
            "attributes": {"k": "v"}, "thread_id": "t", "unknown": 1,
        }],
    });
    let expected = json!({
        "emptyTimeout": 300, "departureTimeout": "20", "maxParticipants": 12, "metadata": "m", "syncStreams": true,
        "minPlayoutDelay": 10, "maxPlayoutDelay": 400, "tags": {"a_b": "c"},
        "agents": [{
            "agentName": "helper", "metadata": "x", "restartPolicy": "JRP_NEVER", "deployment": "staging",
            "attributes": {"k": "v"}, "threadId": "t",
        }],
    });
    for name in ["room_config", "roomConfig"] {
        assert_eq!(server.claims(&json!({name: snake}))["roomConfig"], expected);
    }
}

#[test]
fn an_empty_one_adds_no_claim() {
    let server = Program::start();
    for empty in [json!({}), json!(null), json!({"name": null, "agents": null}), json!({"unknown": 1, "webhooks": []})] {
        assert!(!server.claims(&json!({"room_config": empty})).contains_key("roomConfig"), "{empty}");
    }
}

#[test]
fn a_wrong_type_is_named_to_its_depth() {
    let server = Program::start();
    for (config, message) in [
        (json!({"maxParticipants": "many"}), "maxParticipants must be a whole number from 0 to 4294967295"),
        (json!({"max_participants": -1}), "maxParticipants must be a whole number from 0 to 4294967295"),
        (json!({"agents": {}}), "agents must be a list of objects"),
        (json!({"agents": [{}, {"agent_name": 1}]}), "agents.1.agentName must be a string"),
        (json!({"tags": {"k": 1}}), "tags must be an object of strings"),
        (json!({"egress": true}), "egress must be an object"),
        (json!({"agents": [{"agentName": "a", "agent_name": "b"}]}), "agents.0.agentName is given in both casings"),
    ] {
        for name in ["room_config", "roomConfig"] {
            let answer = server.post(STANDARD, json!({name: config}).to_string());
            answer.assert_both_errors(400, &format!("{name}.{message}"));
        }
    }
}

#[test]
fn recordings_are_the_deployers_to_allow() {
    let server = Program::start();
    for path in BOTH {
        let answer = server.post(path, json!({"room_config": {"egress": egress()}}).to_string());
        answer.assert_both_errors(403, EGRESS_REFUSED);
    }
    for none in [json!(null), json!({})] {
        assert_eq!(server.post(STANDARD, json!({"room_config": {"egress": none}}).to_string()).status, 200, "{none}");
    }
    for start in [Start::new().flags(&["--allow-client-egress"]), Start::new().env("ALLOW_CLIENT_EGRESS", "true")] {
        let claims = start.serve().claims(&json!({"room_config": {"egress": egress()}}));
        assert_eq!(claims["roomConfig"]["egress"], json!({"room": {"fileOutputs": [{"filepath": "x.mp4"}]}}));
    }
    let server = Start::new().env("ALLOW_CLIENT_EGRESS", "false").serve();
    assert_eq!(server.post(STANDARD, json!({"room_config": {"egress": egress()}}).to_string()).status, 403);
}

#[test]
fn credentials_and_stream_outputs_are_refused_in_any_case_and_told_to_nobody() {
    for flags in [&[][..], &["--allow-client-egress"]] {
        let server = Start::new().flags(flags).env("LOG_LEVEL", "trace").serve();
        for (path, egress) in [
            ("egress.room.fileOutputs.0.s3.secret", json!({"room": {"fileOutputs": [{"s3": {"secret": "hunter2"}}]}})),
            ("egress.tracks.azure.account_key", json!({"tracks": {"azure": {"account_key": "hunter2"}}})),
            (
                "egress.participant.segment_outputs.0.gcp.credentials",
                json!({"participant": {"segment_outputs": [{"gcp": {"credentials": "hunter2"}}]}}),
            ),
            ("egress.room.stream_outputs", json!({"room": {"stream_outputs": [{"urls": ["rtmp://example.com/hunter2"]}]}})),
            ("egress.room.streamOutputs", json!({"room": {"streamOutputs": [{"urls": ["rtmp://example.com/hunter2"]}]}})),
            ("egress.tracks.s3.session_token", json!({"tracks": {"s3": {"session_token": "hunter2"}}})),
            ("egress.tracks.s3.assumeRoleExternalId", json!({"tracks": {"s3": {"assumeRoleExternalId": "hunter2"}}})),
            ("egress.tracks.gcp.proxy.password", json!({"tracks": {"gcp": {"proxy": {"password": "hunter2"}}}})),
            ("egress.tracks.s3.proxy.url", json!({"tracks": {"s3": {"proxy": {"url": "http://u:hunter2@proxy:3128"}}}})),
            ("egress.room.stream", json!({"room": {"stream": {"urls": ["rtmp://example.com/hunter2"]}}})),
            ("egress.….secret", json!({"hunter2 \n hunter2": {"secret": "hunter2"}})),
        ] {
            let answer = server.post(STANDARD, json!({"room_config": {"egress": egress}}).to_string());
            answer.assert_both_errors(400, &format!("room_config.{path} must not be in a token, because its bearer can read it"));
        }
        let log = server.stop().join("\n");
        assert!(log.contains("refused") && !log.contains("hunter2"), "{log}");
    }
}

#[test]
fn a_client_does_not_say_where_events_go() {
    const SENT: &str = "is not allowed, because a client could have the room's events sent to itself";
    let webhooks = json!([{"url": "https://example.com/hook", "signing_key": "devkey"}]);
    let server = Start::new().flags(&["--allow-client-egress"]).serve();
    for path in BOTH {
        for name in ["room_config", "roomConfig"] {
            for (field, config) in [
                ("webhooks", json!({"name": "n", "webhooks": webhooks})),
                ("egress.room.webhooks", json!({"egress": {"room": {"webhooks": webhooks}}})),
            ] {
                let answer = server.post(path, json!({name: config}).to_string());
                answer.assert_both_errors(403, &format!("{name}.{field} {SENT}"));
            }
        }
    }
}

#[test]
fn more_than_any_room_needs_is_refused_by_its_bound() {
    let server = Program::start();
    let many = format!(r#"{{"agents":[{}]}}"#, vec!["{}"; 11_000].join(","));
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    let deeper = format!(r#"{{"egress":{}{}}}"#, r#"{"a":"#.repeat(80_000), "}".repeat(80_000));
    for (config, message) in [
        (many.as_str(), "must hold at most 10000 values"),
        (&deep, "must not nest deeper than 32 levels"),
        (r#"{"name":"a","name":"b"}"#, "must not have two members of one name in an object, nor a number beyond 1e308"),
    ] {
        for name in ["room_config", "roomConfig"] {
            server.post(STANDARD, format!(r#"{{"{name}":{config}}}"#)).assert_both_errors(400, &format!("{name} {message}"));
        }
    }
    let answer = server.post(STANDARD, format!(r#"{{"room_config":{deeper}}}"#));
    assert_eq!(answer.status, 400);
    // A thousand agents in a room are not too many.
    let agents: Vec<Value> = (0..1000).map(|index| json!({"agentName": format!("a{index}"), "attributes": {"k": "v"}})).collect();
    assert_eq!(server.claims(&json!({"room_config": {"agents": agents}}))["roomConfig"]["agents"], Value::Array(agents));
}

#[test]
fn a_token_is_no_longer_than_what_was_asked_for() {
    let server = Start::new().flags(&["--allow-client-egress"]).serve();
    for number in ["9e15", "1e3", "0.1e1", "-0", "1e-7", "12345678901234567890123", "1.50"] {
        let outputs = format!(r#"{{"advanced":{{"keyFrameInterval":{number}}}}}"#);
        let body = format!(r#"{{"room_config":{{"egress":{{"participant":{outputs}}}}}}}"#);
        let token = server.post(STANDARD, &body).token();
        let payload = String::from_utf8(crate::harness::sender::part(&token, 1)).unwrap();
        assert!(payload.contains(&format!(r#""egress":{{"participant":{outputs}}}"#)), "{number} is written otherwise");
    }
    let agents = vec![r#"{"agentName":"a"}"#; 5000].join(",");
    let body = format!(r#"{{"room_config":{{"agents":[{agents}]}}}}"#);
    let token = server.post(STANDARD, &body).token();
    assert!(token.len() < body.len() * 4 / 3 + 1000, "{} of {}", token.len(), body.len());
}
