//! Tests of what each request is told: the token of its rule, or one of the contract's refusals.

use serde_json::{Value, json};

use super::support::{BACKEND_TOKEN, BODY, OPEN_HALL, POLICY, ask, claims, lines, school_jwt, with_policy};
use crate::fixtures::payload;
use crate::harness::client::{get, post, request};

const PATHS: [&str; 3] = ["/token", "/connection-details", "/api/v2/sandbox/connection-details"];

#[test]
fn a_caller_gets_what_its_rule_gives() {
    let program = with_policy(POLICY).serve();
    let claims = claims(&ask(&program, &school_jwt(json!({})), BODY));
    let video = json!({
        "roomJoin": true, "room": "course-1", "canPublish": false, "canSubscribe": true, "canPublishData": false,
    });
    assert_eq!((&claims["sub"], &claims["video"]), (&json!("pupil-7"), &video));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap(), 600);
    assert!(!claims.contains_key("name"), "{claims:?}");
}

#[test]
fn the_standard_endpoint_has_the_same_policy() {
    let program = with_policy(POLICY).serve();
    let authorization = format!("Bearer {BACKEND_TOKEN}");
    let body = json!({
        "room_name": "any", "participant_identity": "bot", "participant_name": "Bot", "participant_metadata": "m",
        "participant_attributes": {"team": "blue"}, "room_config": {"max_participants": 3},
    });
    for path in &PATHS[1..] {
        let answer = program.ask(post(path, &[("Authorization", &authorization)], body.to_string()));
        assert_eq!(answer.status, 200, "{answer:?}");
        let claims = payload(answer.json()["participant_token"].as_str().unwrap());
        assert_eq!(
            (&claims["sub"], &claims["name"], &claims["metadata"], &claims["attributes"]),
            (&json!("bot"), &json!("Bot"), &json!("m"), &json!({"team": "blue"}))
        );
        assert_eq!(claims["roomConfig"], json!({"maxParticipants": 3}));
        assert_eq!(claims["video"]["roomAdmin"], true);
    }
}

#[test]
fn recordings_and_webhooks_of_a_client_stay_refused() {
    let program = with_policy(POLICY).serve();
    let authorization = format!("Bearer {BACKEND_TOKEN}");
    for config in [json!({"egress": {"room": {}}}), json!({"webhooks": [{"url": "https://evil.example"}]})] {
        let body = json!({"room_name": "any", "participant_identity": "bot", "room_config": config}).to_string();
        let answer = program.ask(post("/connection-details", &[("Authorization", &authorization)], body));
        assert_eq!(answer.status, 403);
        assert!(answer.json()["error"].as_str().unwrap().contains("room_config"), "{answer:?}");
    }
}

#[test]
fn every_bad_credential_gets_the_same_answer() {
    let program = with_policy(POLICY).serve();
    let good = school_jwt(json!({}));
    let bearer = |token: &str| format!("Bearer {token}");
    let wrong = [
        vec![],
        vec![bearer("nonsense")],
        vec![bearer(&school_jwt(json!({"aud": "other"})))],
        vec![bearer(&school_jwt(json!({"exp": 1})))],
        vec![bearer(&school_jwt(json!({"iss": "https://id.school.example/"})))],
        vec![bearer(&school_jwt(json!({"sub": ""})))],
        vec![format!("Basic {good}")],
        vec![good.clone()],
        vec![bearer(&good), bearer(&good)],
        vec![bearer(&format!("{BACKEND_TOKEN}x"))],
        vec![String::new()],
    ];
    for path in PATHS {
        let mut bodies = Vec::new();
        for authorizations in &wrong {
            let headers: Vec<_> = authorizations.iter().map(|value| ("Authorization", value.as_str())).collect();
            // Whatever is wrong with the body counts less.
            for body in ["{}", BODY, "no json", ""] {
                let answer = program.ask(post(path, &headers, body));
                assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{headers:?} {body}");
                bodies.push(answer.body);
            }
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{path}");
    }
}

#[test]
fn the_method_and_the_type_come_before_the_credential() {
    let program = with_policy(POLICY).serve();
    for path in PATHS {
        assert_eq!(program.ask(get(path)).status, 405);
        assert_eq!(program.ask(post(path, &[("Content-Type", "text/plain")], "")).status, 415);
        assert_eq!(program.ask(request("POST", path, &[("Content-Length", "100000000")], b"")).status, 401, "{path}");
    }
}

#[test]
fn a_caller_without_a_rule_learns_nothing_and_the_log_tells_why() {
    let program = with_policy(POLICY).serve();
    let elsewhere = ask(&program, &school_jwt(json!({})), r#"{"roomName":"course-2","participantName":"a"}"#);
    elsewhere.assert_error(403, "you may not join this room");
    let teacher = ask(&program, &school_jwt(json!({"role": "teacher"})), BODY);
    teacher.assert_error(403, "you may not join this room");
    let denied = lines(&program.stop(), "denied");
    assert_eq!(denied.len(), 2);
    for (line, why) in denied.iter().zip([r#"the room is "course-2""#, r#"claims.role is "teacher", not "pupil""#]) {
        let reason = line["reason"].as_str().unwrap();
        assert!(reason.contains("\"pupil\"") && reason.contains(why), "{reason}");
        assert_eq!((&line["caller"], &line["subject"]), (&json!("school"), &json!("7")));
    }
}

#[test]
fn anonymous_is_refused_before_its_body_unless_a_rule_names_it() {
    let program = with_policy(&format!("{POLICY}{OPEN_HALL}")).serve();
    let claims = claims(&ask(&program, "", r#"{"roomName":"hall"}"#));
    assert!(claims["sub"].as_str().unwrap().strip_prefix("visitor-").is_some_and(|random| random.len() == 16));
    ask(&program, "", r#"{"roomName":"course-1"}"#).assert_error(403, "you may not join this room");
    // The rule's pattern has no star, so it names the room.
    assert_eq!(claims_of_room(&ask(&program, "", "{}")), "hall");
    assert_eq!(ask(&program, "wrong", r#"{"roomName":"hall"}"#).status, 401, "a bad credential never becomes anonymous");
}

fn claims_of_room(answer: &crate::harness::client::Answer) -> Value {
    claims(answer)["video"]["room"].clone()
}

#[test]
fn a_room_that_is_needed() {
    let program = with_policy(POLICY).serve();
    ask(&program, BACKEND_TOKEN, r#"{"participantName":"a"}"#).assert_error(400, "roomName is required");
    ask(&program, BACKEND_TOKEN, "[]").assert_error(400, "roomName and participantName are required");
    ask(&program, BACKEND_TOKEN, r#"{"roomName":"a"}"#).assert_error(403, "you may not join this room");
    let authorization = format!("Bearer {BACKEND_TOKEN}");
    let answer = program.ask(post("/connection-details", &[("Authorization", &authorization)], "{}"));
    assert_eq!((answer.status, answer.json()["error"].clone()), (400, json!("room_name is required")));
}

#[test]
fn the_log_says_who_got_a_token_and_why() {
    let program = with_policy(POLICY).serve();
    let long = "x".repeat(100);
    claims(&ask(&program, &school_jwt(json!({"sub": long})), BODY));
    claims(&ask(&program, BACKEND_TOKEN, BODY));
    let tokens = lines(&program.stop(), "token");
    assert_eq!((&tokens[0]["caller"], &tokens[0]["rule"]), (&json!("school"), &json!("pupil")));
    assert_eq!(tokens[0]["subject"], json!("x".repeat(64)));
    assert_eq!(
        (&tokens[1]["caller"], &tokens[1]["rule"], &tokens[1]["subject"]),
        (&json!("backend"), &json!("backend"), &Value::Null)
    );
}

#[test]
fn the_metrics_count_decisions() {
    let metrics = crate::harness::program::free_address();
    let program = with_policy(POLICY).env("METRICS_BIND", metrics.to_string()).serve();
    claims(&ask(&program, &school_jwt(json!({})), BODY));
    ask(&program, &school_jwt(json!({"course": 2})), BODY);
    let page = crate::harness::client::Client::connect(metrics).ask(get("/metrics")).body;
    let page = String::from_utf8(page).unwrap();
    for line in [
        r#"roomkey_policy_decisions_total{caller="school",outcome="allowed",rule="pupil"} 1"#,
        r#"roomkey_policy_decisions_total{caller="school",outcome="denied",rule=""} 1"#,
    ] {
        assert!(page.contains(line), "{page}");
    }
}

#[test]
fn an_authenticating_proxy_names_the_caller() {
    const POLICY: &str = r#"
        [callers.sso]
        kind = "proxy"
        headers = { sub = "X-Forwarded-User", email = "X-Forwarded-Email" }
        [[rule]]
        name = "staff"
        caller = "sso"
        claims = { email = { like = "*@example.com" } }
        room = "staff"
        identity = "{subject}"
        allow = ["publish"]
    "#;
    let program = with_policy(POLICY).env("TRUSTED_PROXIES", "127.0.0.1").serve();
    let user = ("X-Forwarded-User", "ann");
    let email = ("X-Forwarded-Email", "ann@example.com");
    let ask = |headers: &[(&str, &str)]| program.ask(post("/token", headers, "{}"));
    assert_eq!(claims(&ask(&[user, email]))["sub"], "ann");
    for (headers, status) in [
        (&[user][..], 403),
        (&[user, ("X-Forwarded-Email", "ann@evil.example")], 403),
        (&[email], 401),
        (&[("X-Forwarded-User", ""), email], 401),
        (&[user, user, email], 401),
        (&[user, email, ("Origin", "http://test")], 200),
        // The proxy may know the user by the network alone, so a page of another site counts as a stranger.
        (&[user, email, ("Origin", "https://evil.example")], 401),
        (&[user, email, ("Sec-Fetch-Site", "cross-site")], 401),
    ] {
        assert_eq!(ask(headers).status, status, "{headers:?}");
    }
    // From elsewhere the headers are ignored.
    let program = with_policy(POLICY).env("TRUSTED_PROXIES", "192.0.2.1").serve();
    assert_eq!(program.ask(post("/token", &[user, email], "{}")).status, 401);
}

#[test]
fn the_log_tells_once_a_minute_why_credentials_do_not_hold() {
    let program = with_policy(POLICY).serve();
    let expired = school_jwt(json!({"exp": 1}));
    for bearer in [&*expired, &*expired, "nonsense", &*expired] {
        assert_eq!(ask(&program, bearer, BODY).status, 401);
    }
    assert_eq!(ask(&program, "", BODY).status, 401);
    let log = program.stop();
    let told = lines(&log, "a credential does not hold");
    assert_eq!(told.len(), 2, "{log:#?}");
    assert!(told[0]["reason"].as_str().unwrap().contains("expired"), "{told:?}");
    assert!(!log.iter().any(|line| line.contains(&expired) || line.contains("nonsense")), "{log:#?}");
}
