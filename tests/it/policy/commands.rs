//! Tests of `policy check` and `policy test` beside their tables: what they read, what they print, and their status.

use crate::fixtures;
use crate::harness::program::Start;

fn example(name: &str) -> String {
    std::fs::read_to_string(fixtures::path("fixtures/policy").join(name)).unwrap()
}

fn policy_test(file: &str, arguments: &[&str]) -> Start {
    Start::command([&["policy", "test", "policy.toml"], arguments].concat()).file("policy.toml", example(file))
}

const PUPIL: &str = r#"{"sub":"p1","role":"pupil","course":"algebra","name":"Bo"}"#;

#[test]
fn the_answer_in_words() {
    let stdout =
        policy_test("classroom.toml", &["--caller", "school", "--claims", PUPIL, "--room", "course-algebra"]).run().done();
    let (reasons, claims) = stdout.split_once("\n\n").unwrap();
    assert_eq!(
        reasons.lines().collect::<Vec<_>>(),
        [
            "\"teacher\" does not answer: claims.role is \"pupil\", not \"teacher\"",
            "\"pupil with leave to speak\" does not answer: claims.speak is missing, not true",
            "\"pupil\" answers",
        ]
    );
    assert!(claims.contains("\"canPublish\": false"), "{claims}");

    let ended = policy_test("classroom.toml", &["--caller", "school", "--claims", PUPIL, "-r", "course-1"]).run();
    assert_eq!((ended.status, &*ended.stderr), (1, ""));
    assert!(ended.stdout.ends_with("denied, 403: no rule matches\n"), "{ended:?}");
}

#[test]
fn claims_and_requests_come_from_stdin_too() {
    let claims = policy_test("classroom.toml", &["--caller", "school", "--claims", "-", "--json"]).stdin(PUPIL).run().json();
    assert_eq!(claims["rule"], "pupil");
    let request = r#"{"roomName":"x","participantIdentity":"i","participantName":null}"#;
    let asked = policy_test("support.toml", &["--caller", "backend", "--request", "-", "--json"]).stdin(request).run().json();
    assert_eq!(asked["claims"]["sub"], "i");
    let flags = ["--caller", "backend", "--request", request, "--room", "y", "--identity", "j", "--name", "J", "--json"];
    let claims = policy_test("support.toml", &flags).run().json()["claims"].clone();
    assert_eq!([&claims["video"]["room"], &claims["sub"], &claims["name"]], ["y", "j", "J"]);
}

#[test]
fn the_settings_of_the_server_count() {
    let arguments = [
        "--caller",
        "backend",
        "-r",
        "x",
        "-i",
        "i",
        "--json",
        "--request",
        r#"{"room_config":{"egress":{"room":{"room_name":"x"}}}}"#,
    ];
    let start = policy_test("support.toml", &arguments);
    let answer =
        start.env("TOKEN_TTL", "10m").env("ALLOW_CLIENT_EGRESS", "true").env("LIVEKIT_KEYS", fixtures::key_lines()).run().json();
    let claims = &answer["claims"];
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap(), 600);
    assert_eq!(
        (claims["iss"].as_str(), &claims["roomConfig"]["egress"]["room"]["roomName"]),
        (Some(fixtures::SERVER_KEY.0), &"x".into())
    );
    // A rule gives no longer life than the server.
    let viewer = policy_test("webinar.toml", &["--caller", "anonymous", "-r", "webinar-1", "--json"]).env("TOKEN_TTL", "60s");
    let claims = viewer.run().json()["claims"].clone();
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap(), 60);

    let check = |origin: &str| {
        let start = Start::command(["policy", "check", "--strict", "policy.toml"]).file("policy.toml", example("support.toml"));
        start.env("CORS_ORIGIN", origin).run()
    };
    check("https://shop.example.com").done();
    let ended = check("*");
    assert_eq!(ended.status, 1);
    assert!(ended.stdout.contains("7:10: warning: \"shop\" takes cookies"), "{ended:?}");
}

#[test]
fn bad_input_is_not_a_denial() {
    for (arguments, expected) in [
        (&["--caller", "scool"][..], "--caller: there is no caller \"scool\": the callers are school, anonymous"),
        (&["--caller", "school", "--claims", "[]"], "--claims is not a JSON object"),
        (&["--caller", "anonymous", "--claims", "{\"sub\":1}"], "--claims: the caller \"anonymous\" has no claims"),
        (&["--caller", "anonymous", "--request", "x"], "--request is not a JSON object"),
        (&["--caller", "anonymous", "--request", "{\"room\":1}"], "--request: room_name must be text"),
        (
            &["--caller", "anonymous", "--request", "{\"attributes\":{\"a\":1}}"],
            "participant_attributes must be an object of strings",
        ),
        (&["--caller", "anonymous", "--request", "{\"rom\":\"x\"}"], "there is no field \"rom\": the fields are room_name, "),
        (&[], "--caller"),
    ] {
        let sentence = policy_test("classroom.toml", arguments).run().wrong();
        assert!(sentence.contains(expected), "{sentence}");
    }
    let sentence = Start::command(["policy", "check", "none.toml"]).run().wrong();
    assert!(sentence.contains("none.toml"), "{sentence}");
    // A policy with mistakes can decide nothing.
    let ended = Start::command(["policy", "test", "x", "--caller", "a"]).file("x", "[rules]").run();
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.stdout.contains("x:1:2: mistake: "), "{ended:?}");
}

#[test]
fn what_is_not_utf8_is_a_mistake_with_its_place() {
    let ended = Start::command(["policy", "check", "x"]).file("x", b"# \n# \xff").run();
    assert_eq!((ended.status, ended.stdout.as_str()), (1, "x:2:3: mistake: it is not UTF-8: save it as UTF-8\n1 mistake\n"));
}

#[test]
fn relative_paths_and_a_byte_order_mark() {
    let file = format!("\u{feff}{}", example("classroom.toml"));
    let stdout = Start::command(["policy", "check", "-"]).stdin(file.replace('\n', "\r\n")).run().done();
    assert_eq!(stdout, "-: 1 caller, 3 rules, no mistakes\n");
}
