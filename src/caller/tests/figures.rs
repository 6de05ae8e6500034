//! How long it takes to know who is calling. Prints figures, and asserts none.
//!
//!     cargo test --release --lib figures -- --ignored --nocapture

use std::time::Instant;

use criterion::Criterion;
use serde_json::json;
use tokio::runtime::Runtime;

use super::request::{Asks, SECRET, Subject, api_token, callers, jwks, secret_jwt};
use super::signing::{ISSUER, Signer, claims, ed25519, p256, rsa};
use crate::caller::jwk::KeySet;
use crate::caller::jwt_caller::TokenKeys;
use crate::caller::sessions::Sessions;

/// A caller with the public key of `signer`.
fn public(signer: &Signer) -> Subject {
    let mut subject = callers(vec![secret_jwt("sessions", ISSUER)]);
    let keys = KeySet::from_jwks(jwks(&[signer.jwk(json!({}))]).as_bytes()).unwrap();
    subject.callers.jwt[0].keys = TokenKeys::Fixed(keys);
    subject
}

#[test]
#[ignore = "prints figures, which count in a release build only"]
fn callers_identified() {
    let claims = claims(json!({"name": "Alice", "role": "teacher", "course": "maths"}));
    let jwt = |alg: &str, signer: &Signer| signer.sign(&json!({"alg": alg, "typ": "JWT"}), &claims);
    let (hs256, rs256, es256, eddsa) = (Signer::Secret(SECRET.into()), rsa("rsa-ours"), p256(), ed25519());
    let mut criterion = Criterion::default();
    let runtime = Runtime::new().unwrap();
    for (name, mut subject, bearer) in [
        ("an API token", callers(vec![api_token("backend", "API_TOKEN")]), "opaque-token-of-the-backend".to_owned()),
        ("a session by HS256", callers(vec![secret_jwt("sessions", ISSUER)]), jwt("HS256", &hs256)),
        ("a session by RS256", public(&rs256), jwt("RS256", &rs256)),
        ("a session by ES256", public(&es256), jwt("ES256", &es256)),
        ("a session by EdDSA", public(&eddsa), jwt("EdDSA", &eddsa)),
    ] {
        let asks = Asks::bearer(&bearer);
        let mut measure = |name: &str, is_known: bool| {
            criterion.bench_function(name, |bencher| {
                bencher.iter_custom(|times| {
                    runtime.block_on(asks.with(async |credentials| {
                        let start = Instant::now();
                        for _ in 0..times {
                            if !is_known {
                                subject.callers.jwt.iter_mut().for_each(|caller| caller.sessions = Sessions::default());
                            }
                            subject.callers.identify_now(credentials, asks.at).unwrap().unwrap();
                        }
                        start.elapsed()
                    }))
                });
            });
        };
        measure(name, false);
        measure(&format!("{name}, again"), true);
    }
}
