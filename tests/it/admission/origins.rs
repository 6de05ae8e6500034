//! Tests of cookies and pages: only pages that may use them make them count, and only listed pages get the answers.

use serde_json::json;

use super::support::{Application, POLICY, signed_in, with_policy};
use crate::harness::client::{Answer, post, request};
use crate::harness::program::Program;

const LISTED: &str = "https://app.example.com";

fn shop(cors: &str) -> (Application, Program) {
    let application = Application::start(|_| signed_in(&json!({"id": 1})));
    let program = with_policy(&application.caller("")).env("CORS_ORIGIN", cors).serve();
    (application, program)
}

fn ask(program: &Program, headers: &[(&str, &str)]) -> Answer {
    let headers = [headers, &[("Cookie", "sessionid=s1")]].concat();
    program.ask(post("/token", &headers, r#"{"roomName":"support-1"}"#))
}

#[test]
fn cookies_count_only_from_pages_that_may_use_them() {
    let (application, program) = shop(LISTED);
    let own = "http://test"; // of the tests
    for (headers, status) in [
        (&[][..], 200),
        (&[("Origin", LISTED)], 200),
        (&[("Origin", LISTED), ("Sec-Fetch-Site", "cross-site")], 200),
        (&[("Origin", own), ("Sec-Fetch-Site", "same-origin")], 200),
        (&[("Sec-Fetch-Site", "same-site")], 200),
        (&[("Origin", "https://other.example.com")], 401),
        (&[("Origin", "https://app.example.com.evil.example")], 401),
        (&[("Origin", "null")], 401),
        (&[("Origin", LISTED), ("Origin", LISTED)], 401),
        (&[("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")], 403),
        (&[("Sec-Fetch-Site", "cross-site")], 403),
    ] {
        assert_eq!(ask(&program, headers).status, status, "{headers:?}");
    }
    assert_eq!(application.questions().len(), 1, "the same session is asked about once, and the others not at all");
    // Without the cookie, the page does not matter.
    let cross = [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")];
    assert_eq!(program.ask(post("/token", &cross, "{}")).status, 401);
}

#[test]
fn listed_pages_may_send_credentials() {
    let (_application, program) = shop(LISTED);
    let allowed = |answer: &Answer| answer.header("access-control-allow-credentials").map(str::to_owned);
    assert_eq!(allowed(&ask(&program, &[("Origin", LISTED)])).as_deref(), Some("true"));
    assert_eq!(allowed(&ask(&program, &[("Origin", "https://evil.example")])), None);
    assert_eq!(allowed(&ask(&program, &[])), None);
    let asked =
        [("Origin", LISTED), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")];
    let preflight = program.ask(request("OPTIONS", "/token", &asked, b""));
    assert_eq!((preflight.status, allowed(&preflight).as_deref()), (204, Some("true")));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("authorization"));
}

#[test]
fn no_credentials_for_any_origin_or_null_or_without_cookies() {
    let allowed =
        |program: &Program, origin| ask(program, &[("Origin", origin)]).header("access-control-allow-credentials").is_some();
    for cors in ["*", "null"] {
        let (_application, program) = shop(cors);
        for origin in ["null", LISTED] {
            assert!(!allowed(&program, origin), "{cors} {origin}");
            assert_eq!(ask(&program, &[("Origin", origin)]).status, 401, "{cors} {origin}");
        }
    }
    let without_cookies = with_policy(POLICY).env("CORS_ORIGIN", LISTED).serve();
    assert!(!allowed(&without_cookies, LISTED));
}
