//! Project Wycheproof's vectors for public keys, and the example of RFC 8037, against the JWT reader and the keys.

use serde_json::{Value, json};

use super::fixture;
use crate::caller::jwk::KeySet;
use crate::caller::jwt::JwtError;
use crate::caller::settings::Algorithm;
use crate::jws;

/// Where upstream's verdict is wrong: see `fixtures/wycheproof/README.md`.
const CORRECTED: [u64; 4] = [346, 347, 350, 351];
/// Valid, but of algorithms that are not supported: PS384 and PS512.
const UNSUPPORTED: [u64; 8] = [320, 321, 322, 323, 325, 326, 327, 328];

/// Whether a key of `keys` made the JWS `token`, whatever its payload is.
fn is_signed(keys: &KeySet, token: &str) -> Result<bool, JwtError> {
    let Some((message, signature)) = token.rsplit_once('.') else { return Ok(false) };
    let Some((header, payload)) = message.split_once('.') else { return Ok(false) };
    if jws::decode(payload).is_err() {
        return Ok(false);
    }
    let header = crate::caller::jwt::read_header(header)?;
    let algorithm = Algorithm::named(&header.alg).ok_or(JwtError::Algorithm)?;
    let key = keys.find(header.kid.as_deref(), algorithm)?;
    Ok(key.verifies(algorithm, message.as_bytes(), &jws::decode(signature).or(Err(JwtError::Encoding))?))
}

#[test]
fn every_vector_gets_the_right_verdict() {
    let file: Value = serde_json::from_slice(&fixture("wycheproof/json_web_signature_public_keys.json")).unwrap();
    let (mut tests, mut accepted) = (0, 0);
    for group in file["testGroups"].as_array().unwrap() {
        let keys = KeySet::from_jwks(json!({"keys": [group["public"]]}).to_string().as_bytes());
        for test in group["tests"].as_array().unwrap() {
            let (id, upstream) = (test["tcId"].as_u64().unwrap(), test["result"] == "valid");
            let expected = upstream && !CORRECTED.contains(&id) && !UNSUPPORTED.contains(&id);
            assert!(upstream || !CORRECTED.contains(&id), "{id} needs no correction any more");
            let verdict = keys.as_ref().is_ok_and(|keys| is_signed(keys, test["jws"].as_str().unwrap()) == Ok(true));
            assert_eq!(verdict, expected, "{id} {}", test["comment"]);
            tests += 1;
            accepted += usize::from(verdict);
        }
    }
    assert_eq!((tests, accepted), (361, 24), "a vector got lost");
}

#[test]
fn the_ed25519_example_of_rfc_8037_verifies() {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let keys = KeySet::from_jwks(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
    let jws = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
               hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(is_signed(&keys, jws), Ok(true));
    for (from, to) in [("RXhh", "RXhi"), ("hgyY", "hgyZ"), ("KAg", "KAw"), ("KAg", "KA"), ("KAg", "KAgA")] {
        assert_ne!(is_signed(&keys, &jws.replacen(from, to, 1)), Ok(true), "{from} became {to}");
    }
}
