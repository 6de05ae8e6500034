//! The keys of an issuer: found, fetched, renewed, rotated, and gone. The server counts what it is asked.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::NOW;
use super::fake_server::{FakeServer, Reply, raw, reply};
use super::request::{Asks, at, callers, issued, jwks, named, oidc, reach, set_up, who};
use super::signing::{ISSUER, Signer, claims, p256, rsa};
use crate::caller::observer::KeyFetchOutcome::{Failed, Fetched};
use crate::caller::refused::Refused;
use crate::caller::settings::{Algorithm, CallerSettings, Oidc, Proof};

fn token(key: &Signer, kid: &str) -> Asks {
    token_of(ISSUER, key, kid)
}

fn token_of(issuer: &str, key: &Signer, kid: &str) -> Asks {
    let alg = if matches!(key, Signer::Rsa(_)) { "RS256" } else { "ES256" };
    // It holds for longer than any test moves the time.
    Asks::bearer(&key.sign(&json!({"alg": alg, "kid": kid}), &claims(json!({"iss": issuer, "exp": NOW * 2}))))
}

fn set(keys: &[(&Signer, &str)]) -> String {
    jwks(&keys.iter().map(|(key, kid)| key.jwk(json!({ "kid": kid }))).collect::<Vec<_>>())
}

async fn serve(keys: String) -> FakeServer {
    FakeServer::start(move |_| reply("200 OK", "", &keys)).await
}

fn is_unauthorized<T>(answer: &Result<T, Refused>) -> bool {
    matches!(answer, Err(Refused::Unauthorized(_)))
}

/// Whether the caller is told to come back when there are keys.
fn is_not_ready<T>(answer: &Result<T, Refused>) -> bool {
    matches!(answer, Err(Refused::Unknown { retry_after, .. }) if *retry_after == Duration::from_secs(5))
}

#[tokio::test]
async fn the_first_requests_wait_for_the_first_fetch() {
    let key = p256();
    let (open, gate) = watch::channel(false);
    let answer = raw("200 OK", "", &set(&[(&key, "a")]));
    let server = FakeServer::start(move |_| Reply::After(gate.clone(), answer.clone())).await;
    let subject = callers(vec![oidc("school", ISSUER, &server.url("/jwks"))]);
    let asks = token(&key, "a");
    let ((first, second), ()) =
        tokio::join!(async { tokio::join!(asks.of(&subject.callers), asks.of(&subject.callers)) }, async {
            server.has_requests(1).await;
            open.send_replace(true);
        });
    assert_eq!([who(&first), who(&second)], [named("school", "alice"), named("school", "alice")]);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(*subject.reports.fetches.lock().unwrap(), [Fetched]);
    assert_eq!(subject.callers.key_ages(at(NOW + 7)).collect::<Vec<_>>(), [("school", Duration::from_secs(7))]);
    let head = &server.requests()[0];
    assert!(head.starts_with("GET /jwks HTTP/1.1\r\n") && head.contains("accept: application/json\r\n"), "{head}");
}

#[tokio::test]
async fn without_keys_the_answer_is_to_come_back() {
    let key = p256();
    for (name, answer) in [
        ("404", reply("404 Not Found", "", &set(&[(&key, "a")]))),
        ("500", reply("500 Internal Server Error", "", "")),
        ("204", Reply::Raw("HTTP/1.1 204 No Content\r\n\r\n".into())),
        ("no JSON", reply("200 OK", "", "<html>")),
        ("no set", reply("200 OK", "", "[]")),
        ("an empty set", reply("200 OK", "", r#"{"keys":[]}"#)),
        ("only keys that cannot verify", reply("200 OK", "", &jwks(&[Signer::Secret(vec![1; 40]).jwk(json!({"kid": "a"}))]))),
        ("a connection that ends", Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".into())),
        ("no HTTP", Reply::Raw("hello\r\n\r\n".into())),
        ("more than 1 MiB", reply("200 OK", "", &format!("{{\"x\":\"{}\",\"keys\":[]}}", "x".repeat(1024 * 1024)))),
    ] {
        let server = FakeServer::start(move |_| answer.clone()).await;
        let subject = callers(vec![oidc("school", ISSUER, &server.url("/jwks"))]);
        let answer = token(&key, "a").of(&subject.callers).await;
        assert!(is_not_ready(&answer), "{name}: {answer:?}");
        assert_eq!(*subject.reports.fetches.lock().unwrap(), [Failed], "{name}");
        assert_eq!(subject.callers.key_ages(at(NOW)).count(), 0, "{name}");
        // What cannot hold in any case is refused even now.
        assert!(is_unauthorized(&token(&key, "a").at(NOW * 3).of(&subject.callers).await), "{name}");
    }
}

#[tokio::test]
async fn over_tls_the_issuer_must_prove_itself_by_the_authorities_in_ca_file() {
    let key = p256();
    let keys = set(&[(&key, "a")]);
    let server = FakeServer::start_tls(move |_| reply("200 OK", "", &keys)).await;
    for (host, authority, is_trusted) in [
        ("localhost", Some("../tls/authority.pem"), true),
        ("localhost", Some("../tls/expired.pem"), false),
        ("localhost", None, false),
        ("127.0.0.1", Some("../tls/authority.pem"), false), // the certificate is for localhost
    ] {
        let mut school = oidc("school", ISSUER, &server.url_at(host, "/jwks"));
        let Proof::Oidc(oidc) = &mut school.proof else { panic!("it is an oidc caller") };
        oidc.reach.ca_file = authority.map(Into::into);
        let answer = token(&key, "a").of(&callers(vec![school]).callers).await;
        assert!(if is_trusted { answer.is_ok() } else { is_not_ready(&answer) }, "{host} {authority:?}: {answer:?}");
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let key = p256();
    let elsewhere = serve(set(&[(&key, "a")])).await;
    let location = format!("location: {}\r\n", elsewhere.url("/jwks"));
    let server = FakeServer::start(move |_| reply("302 Found", &location, "")).await;
    let subject = callers(vec![oidc("school", ISSUER, &server.url("/jwks"))]);
    assert!(is_not_ready(&token(&key, "a").of(&subject.callers).await));
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_rotated_key_is_fetched_at_once_and_the_old_one_no_longer_verifies() {
    let (old, new) = (p256(), rsa("rsa-ours"));
    let server = serve(set(&[(&old, "old")])).await;
    let subject = callers(vec![oidc("school", ISSUER, &server.url("/jwks"))]);
    assert!(token(&old, "old").of(&subject.callers).await.is_ok());

    let keys = set(&[(&new, "new")]);
    server.answer(move |_| reply("200 OK", "", &keys));
    let asks = token(&new, "new");
    // All at the same time: one fetch is enough.
    let answers = tokio::join!(asks.of(&subject.callers), asks.of(&subject.callers), asks.of(&subject.callers));
    assert!(answers.0.is_ok() && answers.1.is_ok() && answers.2.is_ok(), "{answers:?}");
    assert_eq!(server.requests().len(), 2);
    assert!(is_unauthorized(&token(&old, "old").of(&subject.callers).await), "it was rotated out");
}

#[tokio::test]
async fn unknown_kids_fetch_once_in_30_s_and_never_delay_known_ones() {
    let key = p256();
    let server = serve(set(&[(&key, "a")])).await;
    let subject = callers(vec![oidc("school", ISSUER, &server.url("/jwks"))]);
    let unknown = |kid: &str, seconds: u64| token(&key, kid).at(NOW + seconds);
    assert!(token(&key, "a").of(&subject.callers).await.is_ok());
    for (kid, seconds, requests) in [("b", 0, 2), ("c", 0, 2), ("d", 29, 2), ("b", 30, 3), ("e", 59, 3), ("e", 60, 4)] {
        assert!(is_unauthorized(&unknown(kid, seconds).of(&subject.callers).await));
        assert_eq!(server.requests().len(), requests, "{kid} after {seconds} s");
    }
    // While the issuer hangs, known keys verify without waiting for it.
    server.answer(|_| Reply::Hang);
    let flood = async {
        let waiting = [unknown("f", 90), unknown("g", 90), unknown("h", 90)];
        let answers =
            tokio::join!(waiting[0].of(&subject.callers), waiting[1].of(&subject.callers), waiting[2].of(&subject.callers));
        assert!(is_unauthorized(&answers.0) && is_unauthorized(&answers.1) && is_unauthorized(&answers.2));
        "flood"
    };
    let known = async {
        server.has_requests(5).await;
        for _ in 0..100 {
            assert!(token(&key, "a").at(NOW + 90).of(&subject.callers).await.is_ok());
        }
        "known"
    };
    let first = tokio::select! { biased; name = known => name, name = flood => name };
    assert_eq!((first, server.requests().len()), ("known", 5));
}

#[tokio::test]
async fn after_a_failure_an_unknown_kid_may_fetch_after_5_s() {
    let (key, new) = (p256(), p256());
    let server = serve(set(&[(&key, "a")])).await;
    let subject = callers(vec![oidc("school", ISSUER, &server.url("/jwks"))]);
    assert!(token(&key, "a").of(&subject.callers).await.is_ok());
    server.answer(|_| reply("500 Internal Server Error", "", ""));
    for (seconds, requests) in [(0, 2), (4, 2), (5, 3)] {
        assert!(is_unauthorized(&token(&new, "new").at(NOW + seconds).of(&subject.callers).await));
        assert_eq!(server.requests().len(), requests, "after {seconds} s");
    }
    assert!(token(&key, "a").at(NOW + 5).of(&subject.callers).await.is_ok(), "the last good keys are kept");
    let keys = set(&[(&new, "new")]);
    server.answer(move |_| reply("200 OK", "", &keys));
    assert!(token(&new, "new").at(NOW + 10).of(&subject.callers).await.is_ok());
    assert_eq!(*subject.reports.fetches.lock().unwrap(), [Fetched, Failed, Failed, Fetched]);
}

#[tokio::test]
async fn a_bad_signature_under_a_known_kid_fetches_in_the_background() {
    let (old, new) = (p256(), p256());
    let server = serve(set(&[(&old, "same")])).await;
    let subject = callers(vec![oidc("school", ISSUER, &server.url("/jwks"))]);
    assert!(token(&old, "same").of(&subject.callers).await.is_ok());
    let keys = set(&[(&new, "same")]);
    server.answer(move |_| reply("200 OK", "", &keys));
    assert!(is_unauthorized(&token(&new, "same").of(&subject.callers).await), "it does not wait for the new key");
    server.has_requests(2).await;
    while *subject.reports.fetches.lock().unwrap() != [Fetched, Fetched] {
        tokio::task::yield_now().await;
    }
    assert!(token(&new, "same").of(&subject.callers).await.is_ok());
    assert!(is_unauthorized(&token(&old, "same").of(&subject.callers).await));
    assert_eq!(server.requests().len(), 2, "once in 30 s");
}

#[tokio::test]
async fn keys_are_kept_for_a_day_after_the_last_good_fetch() {
    const DAY: u64 = 24 * 60 * 60;
    let key = p256();
    let server = serve(set(&[(&key, "a")])).await;
    let subject = callers(vec![oidc("school", ISSUER, &server.url("/jwks"))]);
    assert!(token(&key, "a").of(&subject.callers).await.is_ok());
    assert!(token(&key, "a").at(NOW + DAY).of(&subject.callers).await.is_ok());
    assert!(is_not_ready(&token(&key, "a").at(NOW + DAY + 1).of(&subject.callers).await));
}

fn discovered(issuer: &str) -> CallerSettings {
    let proof =
        Proof::Oidc(Oidc { issued: issued(issuer, "app"), jwks_url: None, algorithms: vec![Algorithm::Es256], reach: reach() });
    super::request::caller("school", proof)
}

#[tokio::test]
async fn keys_are_found_by_discovery() {
    let key = p256();
    for path in ["", "/", "/realms/school", "/realms/school/"] {
        let server = FakeServer::start(|_| Reply::Hang).await;
        let (issuer, jwks_uri, keys) = (server.url(path), server.url("/keys"), set(&[(&key, "a")]));
        let metadata = json!({"issuer": issuer, "jwks_uri": jwks_uri, "x": [1]}).to_string();
        server.answer(move |head| reply("200 OK", "", if head.starts_with("GET /keys ") { &keys } else { &metadata }));
        let subject = callers(vec![discovered(&issuer)]);
        let caller = token_of(&issuer, &key, "a").of(&subject.callers).await;
        assert_eq!(who(&caller), named("school", "alice"), "{path}");
        let expected = format!("GET {}/.well-known/openid-configuration HTTP/1.1\r\n", path.trim_end_matches('/'));
        assert!(server.requests()[0].starts_with(&expected), "{:?}", server.requests());
    }
}

#[tokio::test]
async fn metadata_of_another_issuer_or_with_unsafe_keys_is_refused() {
    let key = p256();
    let elsewhere = serve(set(&[(&key, "a")])).await;
    let server = FakeServer::start(|_| Reply::Hang).await;
    let (issuer, keys) = (server.url(""), elsewhere.url("/keys"));
    for metadata in [
        json!({"issuer": format!("{issuer}/"), "jwks_uri": keys}),
        json!({"issuer": "https://id.example", "jwks_uri": keys}),
        json!({"jwks_uri": keys}),
        json!({"issuer": [issuer], "jwks_uri": keys}),
        json!({"issuer": issuer}),
        json!({"issuer": issuer, "jwks_uri": "/keys"}),
        json!({"issuer": issuer, "jwks_uri": "http://192.0.2.1/keys"}),
        json!({"issuer": issuer, "jwks_uri": "file:///etc/passwd"}),
        json!([issuer, keys]),
        Value::Null,
    ] {
        let text = metadata.to_string();
        server.answer(move |_| reply("200 OK", "", &text));
        let subject = callers(vec![discovered(&issuer)]);
        assert!(is_not_ready(&token_of(&issuer, &key, "a").of(&subject.callers).await), "{metadata}");
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn callers_with_the_same_kid_never_share_keys() {
    let (ours, theirs) = (p256(), p256());
    let (first, second) = (serve(set(&[(&ours, "1")])).await, serve(set(&[(&theirs, "1")])).await);
    let other = "https://other.example";
    let subject = callers(vec![oidc("first", ISSUER, &first.url("/")), oidc("second", other, &second.url("/"))]);
    assert_eq!(who(&token(&ours, "1").of(&subject.callers).await), named("first", "alice"));
    assert_eq!(who(&token_of(other, &theirs, "1").of(&subject.callers).await), named("second", "alice"));
    assert!(is_unauthorized(&token(&theirs, "1").of(&subject.callers).await));
    assert!(is_unauthorized(&token_of(other, &ours, "1").of(&subject.callers).await));
}

#[tokio::test]
async fn new_callers_keep_the_keys_of_issuers_that_stay_the_same() {
    let key = p256();
    let server = serve(set(&[(&key, "a")])).await;
    let settings = |jwks: &str| vec![oidc("school", ISSUER, &server.url(jwks))];
    let first = callers(settings("/jwks"));
    assert!(token(&key, "a").of(&first.callers).await.is_ok());
    server.answer(|_| Reply::Hang);
    let second = set_up(settings("/jwks"), Some(&first.callers)).unwrap();
    drop(first);
    assert!(token(&key, "a").of(&second.callers).await.is_ok());
    assert_eq!(server.requests().len(), 1);
    // Elsewhere there may be other keys.
    let third = set_up(settings("/other"), Some(&second.callers)).unwrap();
    assert_eq!(third.callers.key_ages(at(NOW)).count(), 0);
}
