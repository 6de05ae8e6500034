//! JWTs that hold.

use serde_json::{Value, json};

use super::NOW;
use super::fake_server::{FakeServer, reply};
use super::request::{Asks, callers, jwks, named, oidc, path, secret_jwt, who};
use super::signing::{ISSUER, Signer, claims, ed25519, p256, rsa};
use crate::caller::matchers::{Matcher, Matchers};
use crate::caller::settings::{Algorithm, CallerSettings, Proof};
use crate::clock::UnixTime;

fn change(settings: &mut CallerSettings, then: impl FnOnce(&mut crate::caller::settings::Oidc)) {
    let Proof::Oidc(oidc) = &mut settings.proof else { panic!("it is an oidc caller") };
    then(oidc);
}

#[tokio::test]
async fn a_token_that_holds_is_its_callers() {
    let (rsa, ec, ed, attacker) = (rsa("rsa-ours"), p256(), ed25519(), rsa("rsa-other"));
    let published = jwks(&[
        rsa.jwk(json!({"kid": "rsa", "use": "sig", "alg": "RS256", "x5c": ["MIIB"], "unknown": {}})),
        ec.jwk(json!({"kid": "ec", "key_ops": ["verify"], "alg": "ES256"})),
        ed.jwk(json!({"kid": "ed", "alg": "EdDSA"})),
        json!({"kty": "unknown"}),
        json!(7),
    ]);
    let server = FakeServer::start(move |_| reply("200 OK", "", &published)).await;
    let subject = callers(vec![oidc("school", ISSUER, &server.url("/jwks"))]);
    let changed = |key: &Signer, header: Value, changes: Value| key.sign(&header, &claims(changes));
    let none = || json!({});
    let rs256 = || json!({"alg": "RS256", "kid": "rsa"});
    for (name, token) in [
        ("RS256", changed(&rsa, rs256(), none())),
        ("ES256", changed(&ec, json!({"alg": "ES256", "kid": "ec"}), none())),
        ("EdDSA", changed(&ed, json!({"alg": "EdDSA", "kid": "ed"}), none())),
        ("Ed25519", changed(&ed, json!({"alg": "Ed25519", "kid": "ed"}), none())),
        ("no kid, and one key can be meant", changed(&ec, json!({"alg": "ES256"}), none())),
        ("typ JWT", changed(&rsa, json!({"alg": "RS256", "kid": "rsa", "typ": "JWT"}), none())),
        ("typ jwt", changed(&rsa, json!({"alg": "RS256", "kid": "rsa", "typ": "jwt"}), none())),
        ("typ at+jwt", changed(&rsa, json!({"alg": "RS256", "kid": "rsa", "typ": "at+jwt"}), none())),
        ("a jwk of someone else", changed(&rsa, json!({"alg": "RS256", "kid": "rsa", "jwk": attacker.jwk(none())}), none())),
        ("a jku that is never asked", changed(&rsa, json!({"alg": "RS256", "kid": "rsa", "jku": "http://192.0.2.1/"}), none())),
        ("a list of audiences", changed(&rsa, rs256(), json!({"aud": ["other", "app"]}))),
        ("a list of audiences, not all text", changed(&rsa, rs256(), json!({"aud": [7, "app"]}))),
        ("just expired", changed(&rsa, rs256(), json!({"exp": NOW - 60}))),
        ("a fraction", changed(&rsa, rs256(), json!({"exp": NOW as f64 + 0.5}))),
        ("the last time", changed(&rsa, rs256(), json!({"exp": 1e300}))),
        ("not quite valid", changed(&rsa, rs256(), json!({"nbf": NOW + 60, "iat": NOW + 60}))),
        ("no iat", changed(&rsa, rs256(), json!({"iat": null}))),
        ("claims of all kinds", changed(&rsa, rs256(), json!({"x": {"y": [1, 2.5, null, "\u{0}"]}}))),
        ("a lower-case scheme", changed(&rsa, rs256(), none())),
    ] {
        let scheme = if name == "a lower-case scheme" { "bearer " } else { "Bearer " };
        let caller = Asks::new().header("authorization", &format!("{scheme}{token}")).of(&subject.callers).await;
        assert!(caller.is_ok(), "{name}: {caller:?}");
        assert_eq!(who(&caller), named("school", "alice"), "{name}");
    }
    let token = changed(&rsa, rs256(), json!({"sub": 42, "role": "teacher"}));
    let caller = Asks::bearer(&token).of(&subject.callers).await.unwrap();
    assert_eq!(caller.subject.as_deref(), Some("42"));
    assert_eq!((caller.claims["role"].clone(), caller.ends), (json!("teacher"), Some(UnixTime::from_secs(NOW + 300))));
}

#[tokio::test]
async fn other_algorithms_of_rsa_verify_if_they_are_listed() {
    let key = rsa("rsa-ours");
    let published = jwks(&[key.jwk(json!({"kid": "any"})), key.jwk(json!({"kid": "pss", "alg": "PS256"}))]);
    let server = FakeServer::start(move |_| reply("200 OK", "", &published)).await;
    let mut school = oidc("school", ISSUER, &server.url("/jwks"));
    change(&mut school, |oidc| oidc.algorithms = vec![Algorithm::Rs384, Algorithm::Rs512, Algorithm::Ps256]);
    let subject = callers(vec![school]);
    for (alg, kid, holds) in [
        ("RS384", "any", true),
        ("RS512", "any", true),
        ("PS256", "any", true),
        ("PS256", "pss", true),
        ("RS256", "any", false),
        ("RS384", "pss", false),
    ] {
        let caller = Asks::bearer(&key.sign(&json!({"alg": alg, "kid": kid}), &claims(json!({})))).of(&subject.callers).await;
        assert_eq!(caller.is_ok(), holds, "{alg} {kid}: {caller:?}");
    }
}

#[tokio::test]
async fn callers_of_one_issuer_are_told_apart_by_audience_or_by_what_they_require() {
    let key = rsa("rsa-ours");
    let published = jwks(&[key.jwk(json!({}))]);
    let server = FakeServer::start(move |_| reply("200 OK", "", &published)).await;
    let requires = |claim: &str, value: &str| Matchers(vec![(path(claim), Matcher::OneOf(vec![value.into()]))]);
    let caller = |name: &str, audience: Option<&str>, require: Matchers| {
        let mut caller = oidc(name, ISSUER, &server.url("/jwks"));
        change(&mut caller, |oidc| oidc.issued.audience = audience.map(str::to_owned).into_iter().collect());
        CallerSettings { require, ..caller }
    };
    let mut by_azp = caller("by azp", Some("client"), Matchers::default());
    change(&mut by_azp, |oidc| oidc.issued.audience_claim = path("azp"));
    let subject = callers(vec![
        caller("first", Some("one"), Matchers::default()),
        caller("second", Some("two"), requires("scope", "rooms")),
        by_azp,
        caller("third", None, requires("client_id", "abc")),
        caller("fourth", None, requires("client_id", "def")),
    ]);
    for (changes, expected) in [
        (json!({"aud": "one"}), Some("first")),
        (json!({"aud": ["two", "one"], "scope": "rooms"}), Some("first")),
        (json!({"aud": "two", "scope": "rooms"}), Some("second")),
        (json!({"aud": "two", "client_id": "abc"}), None), // it is the second caller's, and not what that requires
        (json!({"azp": "client"}), Some("by azp")),
        (json!({"client_id": "abc"}), Some("third")),
        (json!({"client_id": "def", "aud": null}), Some("fourth")),
        (json!({"client_id": "ghi"}), None),
    ] {
        let caller = Asks::bearer(&key.sign(&json!({"alg": "RS256"}), &claims(changes.clone()))).of(&subject.callers).await;
        assert_eq!(caller.ok().map(|caller| caller.name.to_string()).as_deref(), expected, "{changes}");
    }
}

#[tokio::test]
async fn a_session_is_verified_with_its_secret() {
    let mut sessions = secret_jwt("sessions", ISSUER);
    sessions.subject = path("user.id");
    let subject = callers(vec![sessions]);
    let key = Signer::Secret(super::request::SECRET.into());
    let token = key.sign(&json!({"alg": "HS256", "kid": "ignored"}), &claims(json!({"user": {"id": "u1"}})));
    assert_eq!(who(&Asks::bearer(&token).of(&subject.callers).await), named("sessions", "u1"));
}
