//! Sessions that are sent again: they are known by all of their bytes, as long as they are valid and their keys stay.

use std::sync::Arc;

use serde_json::json;

use super::NOW;
use super::fake_server::{FakeServer, reply};
use super::request::{Asks, SECRET, Subject, callers, file_jwt, jwks, named, oidc, secret_jwt, who};
use super::signing::{ISSUER, Signer, claims, p256, rsa};
use crate::caller::Caller;

/// Whether two requests were one session: the second one was not verified.
fn are_same(one: &Arc<Caller>, other: &Arc<Caller>) -> bool {
    Arc::ptr_eq(one, other)
}

fn session(key: &Signer, alg: &str) -> String {
    key.sign(&json!({"alg": alg}), &claims(json!({"nbf": NOW, "exp": NOW + 100})))
}

/// Callers whose keys never change, and a session of each.
fn fixed() -> [(Subject, String); 2] {
    let secret = (callers(vec![secret_jwt("school", ISSUER)]), session(&Signer::Secret(SECRET.into()), "HS256"));
    let public = (callers(vec![file_jwt("school", "rsa-ours-public.pem")]), session(&rsa("rsa-ours"), "RS256"));
    [secret, public]
}

#[tokio::test]
async fn a_session_is_known_again_while_it_is_valid() {
    for (subject, session) in fixed() {
        let asks = Asks::bearer(&session);
        let first = asks.of(&subject.callers).await.unwrap();
        assert_eq!(who(&Ok(Arc::clone(&first))), named("school", "alice"));
        for (seconds, is_valid) in [(0, true), (160, true), (161, false), (0, true), (-60, true), (-61, false), (0, true)] {
            let again = asks.clone().at(NOW.checked_add_signed(seconds).unwrap()).of(&subject.callers).await;
            assert_eq!(again.is_ok_and(|again| are_same(&first, &again)), is_valid, "{seconds}");
        }
    }
}

#[tokio::test]
async fn a_session_that_differs_in_one_character_is_another_one() {
    for (subject, session) in fixed() {
        Asks::bearer(&session).of(&subject.callers).await.unwrap();
        for at in 0..session.len() {
            let mut other = session.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert!(Asks::bearer(&other).of(&subject.callers).await.is_err(), "{other}");
        }
        for other in [format!("{session}A"), format!("{session}."), format!("A{session}"), session[1..].to_owned()] {
            assert!(Asks::bearer(&other).of(&subject.callers).await.is_err(), "{other}");
        }
        Asks::bearer(&session).of(&subject.callers).await.unwrap();
    }
}

#[tokio::test]
async fn new_keys_verify_every_session_again() {
    let (old, new) = (p256(), p256());
    let set = |keys: &[(&Signer, &str)]| jwks(&keys.iter().map(|(key, kid)| key.jwk(json!({"kid": kid}))).collect::<Vec<_>>());
    let (before, after) = (set(&[(&old, "old"), (&new, "stays")]), set(&[(&new, "stays"), (&new, "new")]));
    let server = FakeServer::start(move |_| reply("200 OK", "", &before)).await;
    let subject = callers(vec![oidc("school", ISSUER, &server.url("/jwks"))]);
    let asks = |key: &Signer, kid: &str| Asks::bearer(&key.sign(&json!({"alg": "ES256", "kid": kid}), &claims(json!({}))));
    let (ends, stays) = (asks(&old, "old"), asks(&new, "stays"));
    let [first, second] = [ends.of(&subject.callers).await.unwrap(), stays.of(&subject.callers).await.unwrap()];
    assert!(are_same(&first, &ends.of(&subject.callers).await.unwrap()));
    server.answer(move |_| reply("200 OK", "", &after));
    asks(&new, "new").of(&subject.callers).await.unwrap(); // waits for the keys
    assert!(ends.of(&subject.callers).await.is_err(), "its key is gone");
    assert!(!are_same(&second, &stays.of(&subject.callers).await.unwrap()), "verified by the new keys");
}
