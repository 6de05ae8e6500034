//! Keys and secrets from files and variables, and what is wrong with them.

use serde_json::{Value, json};

use super::fixture;
use super::request::{
    Asks, api_token, application, caller, callers, file_jwt, issued, named, oidc, reach, secret_jwt, set_up, who,
};
use super::signing::{ISSUER, base64url, claims, ed25519, p256, rsa};
use crate::caller::jwk::{KeyChoiceError, KeySet, KeySetError};
use crate::caller::pem::PemError;
use crate::caller::settings::{Algorithm, CallerSettings, Jwt, JwtKey, Oidc, Proof, Reach, SecretSource};
use crate::livekit::key::{ApiKey, ApiKeys};

#[tokio::test]
async fn a_public_key_in_pem_verifies_whatever_the_kid() {
    let subject = callers(vec![file_jwt("app", "rsa-ours-public.pem")]);
    for header in [json!({"alg": "RS256"}), json!({"alg": "RS256", "kid": "any"})] {
        let token = rsa("rsa-ours").sign(&header, &claims(json!({})));
        assert_eq!(who(&Asks::bearer(&token).of(&subject.callers).await), named("app", "alice"));
        let token = rsa("rsa-other").sign(&header, &claims(json!({})));
        assert!(Asks::bearer(&token).of(&subject.callers).await.is_err());
    }
}

#[test]
fn public_keys_are_read_from_pem_and_private_ones_are_not() {
    for (file, expected) in [
        ("rsa-ours-public.pem", Ok(Algorithm::Rs256)),
        ("p256-public.pem", Ok(Algorithm::Es256)),
        ("ed25519-public.pem", Ok(Algorithm::EdDsa)),
        ("p384-public.pem", Err(PemError::Unsupported)),
        ("rsa-1024-public.pem", Err(PemError::Unsupported)),
        ("rsa-pkcs1-public.pem", Err(PemError::NoKey)),
        ("rsa-ours.pem", Err(PemError::Private)),
    ] {
        let keys = KeySet::from_file(&fixture(&format!("callers/{file}")));
        match expected {
            Ok(algorithm) => assert!(keys.unwrap().find(Some("any"), algorithm).is_ok(), "{file}"),
            Err(error) => assert_eq!(keys.unwrap_err(), KeySetError::Pem(error), "{file}"),
        }
    }
    let two = [fixture("callers/p256-public.pem"), fixture("callers/ed25519-public.pem")].concat();
    assert_eq!(KeySet::from_file(&two).unwrap_err(), KeySetError::Pem(PemError::Several));
    assert_eq!(KeySet::from_file(b"").unwrap_err(), KeySetError::Pem(PemError::NoKey));
    let pem = String::from_utf8(fixture("callers/rsa-ours-public.pem")).unwrap();
    let cut = pem.replacen("MIIB", "MIIC", 1);
    assert_eq!(KeySet::from_file(cut.as_bytes()).unwrap_err(), KeySetError::Pem(PemError::Unsupported));
    let damaged = pem.replace("-----END", "----END");
    assert_eq!(KeySet::from_file(damaged.as_bytes()).unwrap_err(), KeySetError::Pem(PemError::Malformed));
}

#[test]
fn a_jwk_that_cannot_verify_is_skipped() {
    let (rsa, ec, ed) = (rsa("rsa-ours"), p256(), ed25519());
    let good = [rsa.jwk(json!({"kid": "k"})), ec.jwk(json!({"kid": "k"})), ed.jwk(json!({"kid": "k"}))];
    let skipped = |jwk: &Value| KeySet::from_jwks(json!({ "keys": [jwk] }).to_string().as_bytes());
    for jwk in &good {
        assert!(skipped(jwk).is_ok(), "{jwk}");
    }
    for (index, changes) in [
        (0, json!({"kty": "rsa"})),
        (0, json!({"kty": null})),
        (0, json!({"use": "enc"})),
        (0, json!({"use": ["sig"]})),
        (0, json!({"use": null})),
        (0, json!({"key_ops": ["sign"]})),
        (0, json!({"key_ops": []})),
        (0, json!({"key_ops": "verify"})),
        (0, json!({"key_ops": [["verify"]]})),
        (0, json!({"kid": 1})),
        (0, json!({"alg": "RSA-OAEP"})),
        (0, json!({"alg": "ES256"})),
        (0, json!({"alg": 1})),
        (0, json!({"n": base64url([0xff; 255])})),
        (0, json!({"n": base64url([0xff; 513])})),
        (0, json!({"n": base64url([0xfe; 256])})), // even
        (0, json!({"n": ""})),
        (0, json!({"e": "AA"})),
        (0, json!({"e": "AQ"})),   // 1: everyone can sign
        (0, json!({"e": "AQAA"})), // even
        (0, json!({"e": "AQAB=="})),
        (0, json!({"e": 65537})),
        (1, json!({"crv": "P-384"})),
        (1, json!({"crv": "secp256k1"})),
        (1, json!({"crv": null})),
        (1, json!({"x": base64url([1; 31])})),
        (1, json!({"y": base64url([1; 33])})),
        (1, json!({"y": null})),
        (1, json!({"alg": "EdDSA"})),
        (2, json!({"crv": "Ed448"})),
        (2, json!({"crv": "X25519"})),
        (2, json!({"x": base64url([1; 33])})),
        (2, json!({"alg": "ES256"})),
    ] {
        let mut jwk = good[index].clone();
        jwk.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        assert_eq!(skipped(&jwk).unwrap_err(), KeySetError::NoKey, "{changes}");
    }
    let twice = format!(r#"{{"keys":[{}]}}"#, good[2].to_string().replace(r#""kid":"k""#, r#""kid":"k","kid":"k""#));
    assert_eq!(KeySet::from_jwks(twice.as_bytes()).unwrap_err(), KeySetError::NoKey);
}

#[test]
fn what_is_no_jwk_set_is_refused() {
    for json in
        ["", "[]", "{}", "null", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"keys":[],"keys":[]}"#, "<html>", r#"{"keys":["#]
    {
        assert_eq!(KeySet::from_jwks(json.as_bytes()).unwrap_err(), KeySetError::NotASet, "{json}");
    }
    assert_eq!(KeySet::from_jwks(br#"{"keys":[]}"#).unwrap_err(), KeySetError::NoKey);
}

#[test]
fn the_kid_chooses_the_key_and_otherwise_the_algorithm_if_it_can() {
    let (rsa, ec, ed) = (rsa("rsa-ours"), p256(), ed25519());
    let keys = [rsa.jwk(json!({"kid": "a"})), ec.jwk(json!({"kid": "b"})), ed.jwk(json!({"kid": "b"})), ec.jwk(json!({}))];
    let keys = KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    for (kid, algorithm, expected) in [
        (Some("a"), Algorithm::Rs256, None),
        (None, Algorithm::Rs256, None),
        (None, Algorithm::EdDsa, None),
        (None, Algorithm::Es256, Some(KeyChoiceError::Several)),
        (Some("b"), Algorithm::Es256, Some(KeyChoiceError::Several)),
        (Some("a"), Algorithm::Es256, Some(KeyChoiceError::OtherAlgorithm)),
        (Some("c"), Algorithm::Es256, Some(KeyChoiceError::Unknown)),
        (Some(""), Algorithm::Es256, Some(KeyChoiceError::Unknown)),
    ] {
        assert_eq!(keys.find(kid, algorithm).err(), expected, "{kid:?} {algorithm:?}");
    }
}

#[tokio::test]
async fn callers_that_cannot_be_set_up_say_why() {
    let secret = |variable: &str| {
        let key = JwtKey::Secret(SecretSource::Env(variable.into()));
        caller("app", Proof::Jwt(Jwt { issued: issued(ISSUER, "app"), key }))
    };
    let issuer = |issuer: &str, jwks_url: Option<&str>, reach: Reach| {
        let jwks_url = jwks_url.map(|url| url.parse().unwrap());
        caller("app", Proof::Oidc(Oidc { issued: issued(issuer, "app"), jwks_url, algorithms: vec![], reach }))
    };
    let forward = |url: &str| caller("app", Proof::Forward(application(url)));
    let with_authority = |file: &str| issuer(ISSUER, None, Reach { ca_file: Some(file.into()), plaintext: false });
    let cases: [(CallerSettings, &str); 13] = [
        (secret("SHORT"), "callers.app: the secret is shorter than 32 bytes: make one of random bytes"),
        (secret("MISSING"), "callers.app: cannot read the variable MISSING: it is not set"),
        (
            api_token("app", "EMPTY"),
            "callers.app: the token is empty, or has a blank or another character that no Authorization header can have: make one with `openssl rand -hex 32`",
        ),
        (
            file_jwt("app", "rsa-ours.pem"),
            "callers.app: public_key_file: rsa-ours.pem contains a private key: give roomkey the public one alone",
        ),
        (
            file_jwt("app", "rsa-1024.json"),
            "callers.app: public_key_file: rsa-1024.json is not a JWK set, which is an object with a list called keys",
        ),
        (
            issuer("accounts.example", None, reach()),
            "callers.app: the issuer is not the URL of a server, so its keys cannot be found: set jwks_url",
        ),
        (
            issuer("https://id.example/#", None, reach()),
            "callers.app: the issuer is not the URL of a server, so its keys cannot be found: set jwks_url",
        ),
        (
            issuer("http://id.example", None, reach()),
            "callers.app: the keys would be fetched over http, where anyone on the way can replace them: use https, or set plaintext = true",
        ),
        (
            issuer(ISSUER, Some("http://id.example/jwks"), reach()),
            "callers.app: the keys would be fetched over http, where anyone on the way can replace them: use https, or set plaintext = true",
        ),
        (
            issuer(ISSUER, Some("https://a:b@id.example/jwks"), reach()),
            "callers.app: the address of the keys: it must not have a user or a password in it",
        ),
        (
            with_authority("p256-public.pem"),
            "callers.app: ca_file: p256-public.pem contains no certificate: it must be in PEM, with -----BEGIN CERTIFICATE-----",
        ),
        (forward("https://a@app.example/me"), "callers.app: url: it must not have a user or a password in it"),
        (
            forward("http://app.example/me"),
            "callers.app: url: cookies and tokens would be sent over http, where anyone on the way can read them: use https, or set plaintext = true",
        ),
    ];
    for (settings, expected) in cases {
        assert_eq!(set_up(vec![settings], None).err().unwrap().to_string(), expected);
    }
}

#[tokio::test]
async fn a_session_secret_that_is_livekits_is_noticed() {
    let key = |secret: &str| ApiKeys::single(ApiKey::new("APIlivekit", secret).unwrap());
    let subject = callers(vec![oidc("school", ISSUER, "http://127.0.0.1:1/"), secret_jwt("sessions", ISSUER)]);
    assert_eq!(subject.callers.with_secret_of(&key(super::request::SECRET)), Some("sessions"));
    assert_eq!(subject.callers.with_secret_of(&key(super::request::LIVEKIT_SECRET)), None);
}
