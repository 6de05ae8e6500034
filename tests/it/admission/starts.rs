//! Tests of the start with a policy: what is warned about, and what keeps the server from starting.

use super::support::{Application, POLICY, bare, with_policy};
use crate::fixtures::SERVER_KEY;
use crate::harness::program::Start;

/// The warnings at the start.
fn warnings(start: Start) -> Vec<String> {
    start.keeping_policy_warning().serve().stop().into_iter().filter(|line| line.contains("WARN")).collect()
}

#[test]
fn without_a_policy_the_start_warns() {
    let open = warnings(Start::new());
    assert!(open.iter().any(|line| line.contains("policy") && line.contains("anyone who reaches this server gets a token")));
    let closed = warnings(with_policy(POLICY));
    assert!(!closed.iter().any(|line| line.contains("policy")), "{closed:#?}");
}

#[test]
fn what_is_perhaps_not_meant_is_a_warning() {
    let application = Application::start(|_| bare("401 Unauthorized"));
    let lines = warnings(with_policy(&application.caller("")));
    assert!(lines.iter().any(|line| line.contains("CORS_ORIGIN")), "{lines:#?}");
    let plain = application.caller("plaintext = true").replace("127.0.0.1", "app.example.com");
    let lines = warnings(with_policy(&plain));
    assert!(lines.iter().any(|line| line.contains("http://")), "{lines:#?}");
}

#[test]
fn every_mistake_is_named_at_once() {
    let error = with_policy(&POLICY.replace("subscribe", "subscrib").replace("lifetime", "lifetme")).run().wrong();
    for part in ["policy.toml", "line 18, column 10", "line 19, column 1", "subscribe", "lifetime"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_policy_that_cannot_be_used() {
    let secret_of_livekit = with_policy(POLICY).env("LIVEKIT_API_KEY", SERVER_KEY.0).env("LIVEKIT_API_SECRET", SERVER_KEY.1);
    let proxy = "[callers.sso]\nkind = \"proxy\"\nheaders = { sub = \"X-Forwarded-User\" }\n\
                 [[rule]]\nname = \"a\"\ncaller = \"sso\"\nroom = \"a\"\nidentity = \"{subject}\"\n";
    for (start, reason) in [
        (with_policy(POLICY).env("SCHOOL_SECRET", ""), "SCHOOL_SECRET"),
        (with_policy(POLICY).env("SCHOOL_SECRET", "short"), "32 bytes"),
        (with_policy(POLICY).env("BACKEND_TOKEN", ""), "BACKEND_TOKEN"),
        (secret_of_livekit.env("SCHOOL_SECRET", SERVER_KEY.1), "LiveKit"),
        (with_policy(POLICY).env("ROOMKEY_POLICY", "missing.toml"), "missing.toml"),
        (with_policy("\u{ff}"), "policy.toml"),
        (with_policy(""), "empty"),
        (with_policy(proxy), "TRUSTED_PROXIES"),
    ] {
        let error = start.run().wrong();
        assert!(error.contains(reason), "{reason}: {error}");
        for secret in ["short\"", SERVER_KEY.1] {
            assert!(!error.contains(secret), "{error}");
        }
    }
}

#[test]
fn the_examples_start_as_they_are() {
    for name in ["classroom", "support", "webinar"] {
        let path = crate::fixtures::path(&format!("fixtures/policy/{name}.toml"));
        let start =
            Start::new().env("ROOMKEY_POLICY", path).env("BACKEND_TOKEN", "token-0123456789").env("ROOMKEY_INBOX", "none");
        let program = start.serve();
        assert_eq!(
            program.ask(crate::harness::client::post("/token", &[], r#"{"roomName":"x"}"#)).status,
            if name == "webinar" { 403 } else { 401 }
        );
    }
}
