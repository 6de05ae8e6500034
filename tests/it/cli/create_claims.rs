//! Tests of `token create` for what a token allows: every flag, and the claims that JSON adds.

use serde_json::{Value, json};

use super::assert_says;
use super::create::{created, wrong};
use crate::fixtures::payload;
use crate::harness::program::Start;

/// The claims with these flags in addition to `--join`.
#[track_caller]
fn joining(flags: &[&str]) -> Value {
    created(&[&["--join", "-r", "r", "-i", "i"], flags].concat())
}

#[test]
fn each_flag_sets_its_grant() {
    for (flag, grant) in [
        ("--create", "roomCreate"),
        ("--list", "roomList"),
        ("--admin", "roomAdmin"),
        ("--egress", "roomRecord"),
        ("--ingress", "ingressAdmin"),
        ("--ingress-admin", "ingressAdmin"),
    ] {
        assert_eq!(created(&[flag]), json!({"video": {grant: true}}), "{flag}");
        assert_eq!(joining(&[flag])["video"], json!({"roomJoin": true, "room": "r", grant: true}), "{flag}");
    }
    for (flag, grant) in [("--recorder", "recorder"), ("--hidden", "hidden"), ("--allow-update-metadata", "canUpdateOwnMetadata")]
    {
        assert_eq!(joining(&[flag])["video"], json!({"roomJoin": true, "room": "r", grant: true}), "{flag}");
    }
    assert_eq!(created(&["--inference"]), json!({"inference": {"perform": true}}));
    assert_eq!(created(&["--sip-admin"]), json!({"sip": {"admin": true}}));
    assert_eq!(created(&["--sip-call"]), json!({"sip": {"call": true}}));
    assert_eq!(created(&["--sip-admin", "--sip-call"]), json!({"sip": {"admin": true, "call": true}}));
}

#[test]
fn sources_may_be_repeated_or_listed() {
    let all = json!(["camera", "microphone", "screen_share", "screen_share_audio"]);
    for flags in [
        &["--allow-source", "camera,microphone,screen_share,screen_share_audio"][..],
        &["--allow-source", "camera,microphone", "--allow-source", "screen_share", "--allow-source=screen_share_audio"],
    ] {
        assert_eq!(joining(flags)["video"]["canPublishSources"], all);
    }
    for source in ["", "CAMERA", "screenshare", "camera, microphone", "camera,"] {
        assert_says(&wrong(&["--join", "--allow-source", source]), &["--allow-source"]);
    }
}

#[test]
fn every_kind() {
    for kind in ["standard", "ingress", "egress", "sip", "agent", "connector", "bridge"] {
        assert_eq!(joining(&["--kind", kind])["kind"], kind);
    }
    assert_says(&wrong(&["--join", "--kind", "AGENT"]), &["--kind must be one of"]);
}

#[test]
fn grants_as_json_override_the_flags() {
    assert_eq!(
        joining(&["--list", "--grant", r#"{"canPublish": false, "roomList": false, "canSubscribe": true, "hidden": null}"#])["video"],
        json!({"roomJoin": true, "room": "r", "canPublish": false, "canSubscribe": true})
    );
    assert_eq!(joining(&["--grant", r#"{"room": "other"}"#])["video"]["room"], "other");
    let made = created(&["--grant", r#"{"roomJoin": true}"#]);
    assert!(made["video"]["room"].as_str().unwrap().starts_with("room-"), "a join is a join, whoever says it: {made}");
    assert_eq!(
        created(&["--grant", r#"{"agent": true, "destinationRoom": "b"}"#]),
        json!({"video": {"agent": true, "destinationRoom": "b"}})
    );
}

#[test]
fn grants_as_json_that_livekit_would_ignore_or_refuse_are_wrong_use() {
    for (grant, part) in [
        (r#"{"canFly": true}"#, "video.canFly"),
        (r#"{"can_publish": false}"#, "video.can_publish"),
        (r#"{"canPublish": "false"}"#, "canPublish does not have the type"),
        (r#"{"room": 1}"#, "room does not have the type"),
        (r#"{"canPublishSources": ["webcam"]}"#, "webcam"),
        ("[]", "not a JSON object"),
        ("", "not a JSON object"),
        ("{", "not a JSON object"),
    ] {
        assert_says(&wrong(&["--join", "--grant", grant]), &["--grant", part]);
    }
}

#[test]
fn further_claims() {
    let claims = r#"{
        "agent": {"admin": true, "dispatchAdmin": true}, "observability": {"write": true}, "kindDetails": ["forwarded"],
        "agentEndpoint": {"call": true, "agentName": "helper"}, "agentThread": {"threadIds": ["t1"], "read": true},
        "roomPreset": "small", "jti": "one", "tenant": {"id": 7, "tags": ["ä"]}
    }"#;
    let mut expected: Value = serde_json::from_str(claims).unwrap();
    expected["sub"] = "svc".into();
    expected["name"] = "svc".into();
    assert_eq!(created(&["-i", "svc", "--claims", claims]), expected);
}

#[test]
fn claims_that_the_flag_cannot_set() {
    for (claims, part) in [
        (r#"{"sub": "mallory"}"#, "--identity"),
        (r#"{"iss": "APIother"}"#, "iss"),
        (r#"{"exp": 1}"#, "--valid-for"),
        (r#"{"nbf": 1}"#, "nbf"),
        (r#"{"iat": 1}"#, "iat"),
        (r#"{"name": "x"}"#, "--name"),
        (r#"{"metadata": "x"}"#, "--metadata"),
        (r#"{"attributes": {}}"#, "--attribute"),
        (r#"{"kind": "agent"}"#, "--kind"),
        (r#"{"video": {"roomJoin": true}}"#, "--grant"),
        (r#"{"sip": {"admin": true}}"#, "--sip-admin"),
        (r#"{"inference": {"perform": true}}"#, "--inference"),
        (r#"{"roomConfig": {}}"#, "--room-configuration"),
        (r#"{"agent": true}"#, "agent does not have the type"),
        (r#"{"agent": {"flies": true}}"#, "agent.flies"),
        (r#"{"kindDetails": "x"}"#, "kindDetails does not have the type"),
        (r#"{"sha256": "x"}"#, "sha256"),
    ] {
        assert_says(&wrong(&["--join", "-r", "r", "-i", "i", "--claims", claims]), &[part]);
    }
}

#[test]
fn joining_dispatches_an_agent() {
    assert_eq!(joining(&["--agent", "helper"])["roomConfig"], json!({"agents": [{"agentName": "helper"}]}));
    assert_eq!(
        joining(&["--agent", "helper", "--deployment", "staging", "--job-metadata", "{\"lang\":\"de\"}"])["roomConfig"],
        json!({"agents": [{"agentName": "helper", "deployment": "staging", "metadata": "{\"lang\":\"de\"}"}]})
    );
    assert_eq!(joining(&["--agent", "helper", "-d", "staging"])["roomConfig"]["agents"][0]["deployment"], "staging");
    assert_says(&wrong(&["--list", "--agent", "helper"]), &["--agent", "--join"]);
    assert_says(&wrong(&["--join", "--job-metadata", "x"]), &["--agent"]);
    assert_says(&wrong(&["--join", "--deployment", "x"]), &["--agent"]);
}

#[test]
fn a_room_configuration_comes_from_a_file_and_is_checked() {
    let with_file = |content: &str, more: &[&str]| {
        let flags = [&["token", "create", "--join", "--token-only", "--room-configuration", "c.json"], more].concat();
        Start::command_with_keys(flags).file("c.json", content).run()
    };
    let config = r#"{"empty_timeout": 60, "maxParticipants": 2, "agents": [{"agent_name": "one", "future": 2}], "future": [1],
        "webhooks": [{"url": "https://example.com", "signing_key": "k"}], "egress": {"room": {"layout": "grid", "future": 3}}}"#;
    let token = with_file(config, &["--agent", "two"]).done();
    assert_eq!(
        payload(token.trim_end())["roomConfig"],
        json!({
            "emptyTimeout": 60, "maxParticipants": 2, "agents": [{"agentName": "one", "future": 2}, {"agentName": "two"}],
            "future": [1], "webhooks": [{"url": "https://example.com", "signing_key": "k"}],
            "egress": {"room": {"layout": "grid", "future": 3}},
        })
    );
    assert!(!payload(with_file("{}", &[]).done().trim_end()).contains_key("roomConfig"));
    for (config, part) in [
        (r#"{"maxParticipants": "many"}"#, "maxParticipants"),
        (r#"{"agents": [{"agentName": 1}]}"#, "agents.0.agentName"),
        (r#"{"emptyTimeout": 1, "empty_timeout": 1}"#, "both casings"),
        (r#"{"egress": {"room": {"file": {"s3": {"secret": "hushhush"}}}}}"#, "egress.room.file.s3.secret"),
        (r#"{"egress": {"tracks": {"s3": {"sessionToken": "hushhush"}}}}"#, "egress.tracks.s3.sessionToken"),
        (r#"{"egress": {"tracks": {"s3": {"assume_role_external_id": "hushhush"}}}}"#, "assume_role_external_id"),
        (r#"{"egress": {"tracks": {"gcp": {"proxy": {"password": "hushhush"}}}}}"#, "egress.tracks.gcp.proxy.password"),
        (r#"{"egress": {"tracks": {"s3": {"proxy": {"url": "http://u:hushhush@p"}}}}}"#, "egress.tracks.s3.proxy.url"),
        (r#"{"egress": {"room": {"stream": {"urls": ["rtmp://hushhush"]}}}}"#, "egress.room.stream"),
        (r#"{"egress": {"room": {"streamOutputs": [{"urls": ["rtmp://hushhush"]}]}}}"#, "egress.room.streamOutputs"),
        ("[]", "not a JSON object"),
        ("", "not a JSON object"),
    ] {
        let sentence = with_file(config, &[]).wrong();
        assert_says(&sentence, &["--room-configuration", part]);
        assert!(!sentence.contains("hushhush"), "{sentence}");
    }
    assert_says(&with_file(r#"{"agents": {}}"#, &["--agent", "two"]).wrong(), &["agents", "list"]);
    assert_says(&wrong(&["--join", "--room-configuration", "nowhere"]), &["cannot read nowhere"]);
    assert_says(&wrong(&["--list", "--room-configuration", "nowhere"]), &["--room-configuration", "--join"]);
}
