//! Which caller a request is: the order of the credentials, and what each kind takes.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::fake_server::{FakeServer, reply};
use super::request::{Asks, api_token, application, caller, callers, named, path, proxy, secret_jwt, who};
use super::signing::{ISSUER, Signer, claims};
use crate::caller::matchers::{Matcher, Matchers};
use crate::caller::refused::{CredentialError, Refused};
use crate::caller::settings::{ApiToken, Forward, Proof};

const TOKEN: &str = "opaque-token-of-the-backend";

fn is_unauthorized<T>(answer: &Result<T, Refused>) -> bool {
    matches!(answer, Err(Refused::Unauthorized(_)))
}

#[tokio::test]
async fn a_request_without_credentials_is_anonymous() {
    let subject = callers(vec![secret_jwt("sessions", ISSUER)]);
    let caller = Asks::new().of(&subject.callers).await;
    assert_eq!(who(&caller), ("anonymous".to_owned(), None));
    assert_eq!((caller.as_ref().unwrap().claims.len(), caller.unwrap().ends), (0, None));
    assert_eq!(who(&Asks::new().of(&callers(vec![]).callers).await), ("anonymous".to_owned(), None));
}

#[tokio::test]
async fn an_api_token_is_its_callers_and_the_first_callers_if_two_have_it() {
    let hashes = [b"first token".as_slice(), TOKEN.as_bytes()].map(|token| Sha256::digest(token).into());
    let listed = caller("listed", Proof::ApiToken(ApiToken::Sha256(hashes.into())));
    let subject = callers(vec![api_token("backend", "API_TOKEN"), listed]);
    assert_eq!(who(&Asks::bearer(TOKEN).of(&subject.callers).await), ("backend".to_owned(), None));
    assert!(is_unauthorized(&Asks::bearer("first token").of(&subject.callers).await), "a blank ends a token");
    assert!(is_unauthorized(&Asks::bearer("another").of(&subject.callers).await));
}

#[tokio::test]
async fn only_who_has_a_session_for_it_is_asked_about_and_a_bad_token_never_becomes_anonymous() {
    let server = FakeServer::start(|head| match head {
        head if head.contains("sid=in") => reply("200 OK", "", r#"{"sub":"alice"}"#),
        head if head.contains("Bearer opaque") || head.contains("Bearer ey") => reply("200 OK", "", r#"{"sub":"bob"}"#),
        _ => reply("401 Unauthorized", "", ""),
    })
    .await;
    let url = server.url("/me");
    let cookies = caller("cookies", Proof::Forward(application(&url)));
    let tokens = caller("tokens", Proof::Forward(Forward { cookies: vec![], authorization: true, ..application(&url) }));
    let with_cookies = callers(vec![secret_jwt("sessions", ISSUER), api_token("backend", "API_TOKEN"), cookies.clone()]);
    let with_both = callers(vec![secret_jwt("sessions", ISSUER), api_token("backend", "API_TOKEN"), cookies, tokens]);

    let session = Signer::Secret(super::request::SECRET.into()).sign(&json!({"alg": "HS256"}), &claims(json!({})));
    let bad = Signer::Secret(b"another".into()).sign(&json!({"alg": "HS256"}), &claims(json!({})));
    let foreign =
        Signer::Secret(b"another".into()).sign(&json!({"alg": "HS256"}), &claims(json!({"iss": "https://elsewhere.example"})));
    let anonymous = || Some(("anonymous".to_owned(), None));
    let in_cookie = |asks: Asks| asks.header("cookie", "sid=in");
    for (name, asks, by_cookies, by_both) in [
        ("nothing", Asks::new(), anonymous(), anonymous()),
        ("another cookie", Asks::new().header("cookie", "sid2=in; xsid=in"), anonymous(), anonymous()),
        ("a session", in_cookie(Asks::new()), Some(named("cookies", "alice")), Some(named("cookies", "alice"))),
        ("a session of another page", in_cookie(Asks::new()).without_cookies(), anonymous(), anonymous()),
        ("an ended session", Asks::new().header("cookie", "sid=out"), anonymous(), anonymous()),
        (
            "an API token beside a session",
            in_cookie(Asks::bearer(TOKEN)),
            Some(("backend".into(), None)),
            Some(("backend".into(), None)),
        ),
        (
            "a JWT beside a session",
            in_cookie(Asks::bearer(&session)),
            Some(named("sessions", "alice")),
            Some(named("sessions", "alice")),
        ),
        ("a bad JWT beside a session", in_cookie(Asks::bearer(&bad)), None, None),
        ("an opaque token beside a session", in_cookie(Asks::bearer("opaque")), None, Some(named("tokens", "bob"))),
        ("an opaque token", Asks::bearer("opaque"), None, Some(named("tokens", "bob"))),
        ("a JWT of another issuer", Asks::bearer(&foreign), None, Some(named("tokens", "bob"))),
        ("a token that the application does not know", Asks::bearer("unknown"), None, None),
        ("Basic beside a session", in_cookie(Asks::new().header("authorization", "Basic YTpi")), None, None),
    ] {
        for (subject, expected) in [(&with_cookies, by_cookies), (&with_both, by_both)] {
            let caller = asks.of(&subject.callers).await;
            match expected {
                Some(expected) => assert_eq!(who(&caller), expected, "{name}"),
                None => assert!(is_unauthorized(&caller), "{name}: {caller:?}"),
            }
        }
    }
    let livekit =
        Signer::Secret(super::request::LIVEKIT_SECRET.into()).sign(&json!({"alg": "HS256"}), &json!({"iss": "APIlivekit"}));
    let before = server.requests().len();
    let answer = in_cookie(Asks::bearer(&livekit)).of(&with_both.callers).await;
    assert_eq!(answer.unwrap_err(), Refused::Unauthorized(CredentialError::LiveKit));
    assert_eq!(server.requests().len(), before, "LiveKit's tokens are not shown to the application");
}

#[tokio::test]
async fn the_headers_of_a_trusted_proxy_name_the_caller() {
    let mut sso = proxy("sso", &[("sub", "x-forwarded-user"), ("email", "x-forwarded-email")]);
    sso.require = Matchers(vec![(path("email"), Matcher::Like("*@school.example".into()))]);
    let subject = callers(vec![sso, proxy("vpn", &[("sub", "tailscale-user-login")])]);
    let user = |name: &str| Asks::new().header("x-forwarded-user", name).header("x-forwarded-email", "a@school.example");
    for (name, asks, expected) in [
        ("from the proxy", user("alice").behind_trusted_proxy(), Some(named("sso", "alice"))),
        (
            "of the second caller",
            Asks::new().header("tailscale-user-login", "bob").behind_trusted_proxy(),
            Some(named("vpn", "bob")),
        ),
        ("from elsewhere", user("alice"), Some(("anonymous".into(), None))),
        ("empty", user("").behind_trusted_proxy(), Some(("anonymous".into(), None))),
        ("blank", user("  ").behind_trusted_proxy(), Some(("anonymous".into(), None))),
        ("twice", user("alice").header("x-forwarded-user", "mallory").behind_trusted_proxy(), Some(("anonymous".into(), None))),
        ("beside a bearer", user("alice").header("authorization", "Bearer x").behind_trusted_proxy(), None),
        ("without what is required", Asks::new().header("x-forwarded-user", "alice").behind_trusted_proxy(), None),
        ("a claim twice", user("alice").header("x-forwarded-email", "b@school.example").behind_trusted_proxy(), None),
    ] {
        let caller = asks.of(&subject.callers).await;
        match expected {
            Some(expected) => assert_eq!(who(&caller), expected, "{name}"),
            None => assert!(is_unauthorized(&caller), "{name}: {caller:?}"),
        }
    }
    let caller = user("alice").behind_trusted_proxy().of(&subject.callers).await.unwrap();
    assert_eq!(json!(caller.claims), json!({"sub": "alice", "email": "a@school.example"}));
}

#[tokio::test]
async fn the_room_is_needed_only_if_an_application_is_asked_about_it() {
    let asking = Forward { ask_room: true, authorization: true, ..application("http://127.0.0.1:1/me") };
    let subject =
        callers(vec![secret_jwt("sessions", ISSUER), api_token("backend", "API_TOKEN"), caller("app", Proof::Forward(asking))]);
    let session = Signer::Secret(super::request::SECRET.into()).sign(&json!({"alg": "HS256"}), &claims(json!({})));
    for (name, asks, needs_room) in [
        ("nothing", Asks::new(), false),
        ("a cookie", Asks::new().header("cookie", "sid=in"), true),
        ("a cookie that does not count", Asks::new().header("cookie", "sid=in").without_cookies(), false),
        ("an opaque token", Asks::bearer("opaque"), true),
        ("an API token", Asks::bearer(TOKEN), false),
        ("a JWT", Asks::bearer(&session), false),
        ("Basic", Asks::new().header("authorization", "Basic YTpi"), false),
    ] {
        assert_eq!(asks.needs_room(&subject.callers).await, needs_room, "{name}");
    }
    let other = callers(vec![caller("app", Proof::Forward(application("http://127.0.0.1:1/me")))]);
    assert!(!Asks::new().header("cookie", "sid=in").needs_room(&other.callers).await);
}
