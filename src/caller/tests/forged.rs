//! Credentials that do not hold: each is refused in the same way, and nothing that they name is ever asked.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::fake_server::{FakeServer, reply};
use super::request::{Asks, LIVEKIT_SECRET, SECRET, api_token, callers, file_jwt, jwks, named, oidc, secret_jwt, who};
use super::signing::{ISSUER, Signer, base64url, claims, ed25519, p256, rsa};
use super::{NOW, fixture};
use crate::caller::matchers::{Matcher, Matchers};
use crate::caller::refused::Refused;

const OTHER: &str = "https://other.example";
const SESSIONS: &str = "https://sessions.example";

/// The keys of the issuer, those of another one, and those of an attacker.
struct Keys {
    ours: Signer,
    ec: Signer,
    ed: Signer,
    theirs: Signer,
    attacker: Signer,
    oct: Signer,
    session: Signer,
}

impl Keys {
    fn new() -> Self {
        let secret = |text: &str| Signer::Secret(text.into());
        Self {
            ours: rsa("rsa-ours"),
            ec: p256(),
            ed: ed25519(),
            theirs: p256(),
            attacker: rsa("rsa-other"),
            oct: secret("an-oct-key-in-the-set-0123456789abcdef"),
            session: secret(SECRET),
        }
    }

    fn published(&self) -> String {
        let small: Value = serde_json::from_slice(&fixture("callers/rsa-1024.json")).unwrap();
        jwks(&[
            self.ours.jwk(json!({"kid": "rsa", "use": "sig"})),
            self.ec.jwk(json!({"kid": "ec"})),
            self.ed.jwk(json!({"kid": "ed"})),
            self.oct.jwk(json!({"kid": "oct"})),
            self.attacker.jwk(json!({"kid": "for-encryption", "use": "enc"})),
            self.attacker.jwk(json!({"kid": "encrypts", "key_ops": ["encrypt"]})),
            self.attacker.jwk(json!({"kid": "rsa-pss", "alg": "PS256"})),
            self.ec.jwk(json!({"kid": "twice"})),
            self.ed.jwk(json!({"kid": "twice"})),
            self.attacker.jwk(json!({"kid": "malformed", "n": "!"})),
            json!({"kty": "AKP", "kid": "of-the-future", "pub": "AA"}),
            small["jwk"].clone(),
        ])
    }
}

type Row = (&'static str, Asks);

fn row(name: &'static str, token: impl AsRef<str>) -> Row {
    (name, Asks::bearer(token.as_ref()))
}

/// A token with our key's header, changed by `header`, and claims changed by `changes`.
fn ours(keys: &Keys, header: Value, changes: Value) -> String {
    let mut whole = json!({"alg": "RS256", "typ": "JWT", "kid": "rsa"});
    for (name, value) in header.as_object().unwrap() {
        whole[name] = value.clone();
    }
    keys.ours.sign(&whole, &claims(changes))
}

fn algorithms(keys: &Keys) -> Vec<Row> {
    let claims = &claims(json!({}));
    let pem = fixture("callers/rsa-ours-public.pem");
    let modulus = keys.ours.jwk(json!({}))["n"].as_str().unwrap().to_owned();
    let hs256 = |secret: &[u8], kid: &str| Signer::Secret(secret.to_vec()).sign(&json!({"alg": "HS256", "kid": kid}), claims);
    let mut rows = vec![
        row("HS256 with the PEM of the public key", hs256(&pem, "rsa")),
        row("HS256 with the PEM without its last line end", hs256(pem.trim_ascii_end(), "rsa")),
        row("HS256 with the modulus", hs256(modulus.as_bytes(), "rsa")),
        row("HS256 with the JWK", hs256(keys.ours.jwk(json!({"kid": "rsa", "use": "sig"})).to_string().as_bytes(), "rsa")),
        row("HS256 with an oct key of the set", keys.oct.sign(&json!({"alg": "HS256", "kid": "oct"}), claims)),
        row("HS256 with no kid and an oct key of the set", keys.oct.sign(&json!({"alg": "HS256"}), claims)),
        row("RS256 for an EC key", keys.ours.sign(&json!({"alg": "RS256", "kid": "ec"}), claims)),
        row("RS256 for an EC key, signed by it", keys.ec.sign(&json!({"alg": "RS256", "kid": "ec"}), claims)),
        row("ES256 for an RSA key", keys.ec.sign(&json!({"alg": "ES256", "kid": "rsa"}), claims)),
        row("ES256 for an Ed25519 key", keys.ec.sign(&json!({"alg": "ES256", "kid": "ed"}), claims)),
        row("EdDSA for an EC key", keys.ed.sign(&json!({"alg": "EdDSA", "kid": "ec"}), claims)),
        row("RS384, which is not listed", keys.ours.sign(&json!({"alg": "RS384", "kid": "rsa"}), claims)),
        row("RS512, which is not listed", keys.ours.sign(&json!({"alg": "RS512", "kid": "rsa"}), claims)),
        row("PS256, which is not listed", keys.ours.sign(&json!({"alg": "PS256", "kid": "rsa"}), claims)),
        row("RS256 for a key whose alg is PS256", keys.attacker.sign(&json!({"alg": "RS256", "kid": "rsa-pss"}), claims)),
        row("RS256 of an RSA key of 1024 bits", small_token()),
        row("a session in HS384", keys.session.sign(&json!({"alg": "HS384"}), &session(json!({})))),
        row("a session in HS512", keys.session.sign(&json!({"alg": "HS512"}), &session(json!({})))),
        row("a session in RS256", keys.ours.sign(&json!({"alg": "RS256"}), &session(json!({})))),
        row("a session of another secret", Signer::Secret(b"another".into()).sign(&json!({"alg": "HS256"}), &session(json!({})))),
        row("a session of the empty secret", Signer::Secret(vec![]).sign(&json!({"alg": "HS256"}), &session(json!({})))),
    ];
    for alg in ["none", "None", "NONE", "nOnE", "rs256", "RS256 ", "", "ES384", "ES512", "PS384", "ES256K", "dir"] {
        rows.push(("an unknown alg", Asks::bearer(&ours(keys, json!({"alg": alg}), json!({})))));
    }
    for alg in ["none", "None", "NONE", "nOnE"] {
        let unsigned = format!("{}.{}.", base64url(json!({"alg": alg}).to_string()), base64url(claims.to_string()));
        rows.push(("none, without a signature", Asks::bearer(&unsigned)));
    }
    for alg in [json!(["RS256"]), json!(256), json!(true), json!({})] {
        rows.push(("alg of a wrong type", Asks::bearer(&ours(keys, json!({ "alg": alg }), json!({})))));
    }
    rows.push(row("no alg", keys.ours.sign(&json!({"kid": "rsa"}), claims)));
    rows
}

fn small_token() -> String {
    let small: Value = serde_json::from_slice(&fixture("callers/rsa-1024.json")).unwrap();
    small["token"].as_str().unwrap().to_owned()
}

fn session(changes: Value) -> Value {
    let mut claims = claims(json!({"iss": SESSIONS}));
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn headers(keys: &Keys, evil: &FakeServer) -> Vec<Row> {
    let attacked = |header: Value| keys.attacker.sign(&header, &claims(json!({})));
    let claims = &claims(json!({}));
    let mut rows = vec![
        row("the kid of another issuer, signed by its key", keys.theirs.sign(&json!({"alg": "ES256", "kid": "theirs"}), claims)),
        row("the other issuer's token, signed by ours", {
            keys.ec.sign(
                &json!({"alg": "ES256", "kid": "theirs"}),
                &json!({"iss": OTHER, "aud": "app", "sub": "a", "exp": NOW + 300}),
            )
        }),
        row("an unknown kid", attacked(json!({"alg": "RS256", "kid": "unknown"}))),
        row("a kid in another casing", ours(keys, json!({"kid": "RSA"}), json!({}))),
        row("an empty kid", ours(keys, json!({"kid": ""}), json!({}))),
        row("a kid that is a number", ours(keys, json!({"kid": 1}), json!({}))),
        row("a kid that is null", ours(keys, json!({"kid": null}), json!({}))),
        row("a kid that is a path", attacked(json!({"alg": "RS256", "kid": "../../../../dev/null"}))),
        row("a kid that two keys have", keys.ec.sign(&json!({"alg": "ES256", "kid": "twice"}), claims)),
        row("the kid of a key for encryption", attacked(json!({"alg": "RS256", "kid": "for-encryption"}))),
        row("the kid of a key that only encrypts", attacked(json!({"alg": "RS256", "kid": "encrypts"}))),
        row("the kid of a malformed key", attacked(json!({"alg": "RS256", "kid": "malformed"}))),
        row("the kid of an unknown kind of key", attacked(json!({"alg": "RS256", "kid": "of-the-future"}))),
        row("no kid, and two keys could be meant", keys.ec.sign(&json!({"alg": "ES256"}), claims)),
        row(
            "the attacker's jwk",
            attacked(json!({"alg": "RS256", "kid": "rsa", "jwk": keys.attacker.jwk(json!({"kid": "rsa"}))})),
        ),
        row("the attacker's jwk, without kid", attacked(json!({"alg": "RS256", "jwk": keys.attacker.jwk(json!({}))}))),
        row("a jku", attacked(json!({"alg": "RS256", "kid": "evil", "jku": evil.url("/jwks")}))),
        row("a jku for a known kid", attacked(json!({"alg": "RS256", "kid": "rsa", "jku": evil.url("/jwks")}))),
        row("an x5u", attacked(json!({"alg": "RS256", "kid": "evil", "x5u": evil.url("/certificate")}))),
        row("an x5c", attacked(json!({"alg": "RS256", "kid": "rsa", "x5c": ["MIIB"]}))),
        row("crit", ours(keys, json!({"crit": ["exp"], "exp": 1}), json!({}))),
        row("an empty crit", ours(keys, json!({"crit": []}), json!({}))),
        row("a crit that is null", ours(keys, json!({"crit": null}), json!({}))),
        row("b64", ours(keys, json!({"b64": false}), json!({}))),
        row("b64 and crit", ours(keys, json!({"b64": false, "crit": ["b64"]}), json!({}))),
        row("alg twice", keys.ours.sign_text(r#"{"alg":"RS256","alg":"RS256","kid":"rsa"}"#, &claims.to_string())),
        row("kid twice", keys.ours.sign_text(r#"{"alg":"RS256","kid":"ec","kid":"rsa"}"#, &claims.to_string())),
        row("an unknown member twice", keys.ours.sign_text(r#"{"alg":"RS256","kid":"rsa","x":1,"x":1}"#, &claims.to_string())),
        row(
            "a member twice by an escape",
            keys.ours.sign_text(r#"{"alg":"RS256","kid":"rsa","\u0061lg":"RS256"}"#, &claims.to_string()),
        ),
        row("a header that is a list", keys.ours.sign_text(r#"["RS256"]"#, &claims.to_string())),
        row("a header that is no JSON", keys.ours.sign_text("RS256", &claims.to_string())),
        row("an empty header", keys.ours.sign_text("", &claims.to_string())),
    ];
    for typ in ["refresh+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "rt+jwt", "JWE", "application/json", ""] {
        rows.push(("a token for something else", Asks::bearer(&ours(keys, json!({ "typ": typ }), json!({})))));
    }
    rows.push(row("a typ that is a number", ours(keys, json!({"typ": 1}), json!({}))));
    rows
}

fn claimed(keys: &Keys) -> Vec<Row> {
    let mut rows = Vec::new();
    let issuers = [
        ("iss with a slash", json!("https://id.example/")),
        ("iss in upper case", json!("HTTPS://ID.EXAMPLE")),
        ("iss with another scheme", json!("http://id.example")),
        ("iss with a port", json!("https://id.example:443")),
        ("iss that begins the same", json!("https://id.example.evil")),
        ("iss that is shorter", json!("https://id.exampl")),
        ("iss of another caller", json!(OTHER)),
        ("iss that is a list", json!([ISSUER])),
        ("no iss", Value::Null),
    ];
    let audiences = [
        ("no aud", Value::Null),
        ("another aud", json!("another")),
        ("aud that begins the same", json!("app2")),
        ("aud that is shorter", json!("ap")),
        ("aud in upper case", json!("APP")),
        ("aud with a blank", json!("app ")),
        ("aud of words", json!("other app")),
        ("an empty list of aud", json!([])),
        ("a list without aud", json!(["other", "app2"])),
        ("aud in a list in a list", json!([["app"]])),
        ("aud as an object", json!({"app": true})),
        ("aud as a number", json!(7)),
    ];
    let subjects = [
        ("no sub", Value::Null),
        ("an empty sub", json!("")),
        ("sub that is a fraction", json!(1.5)),
        ("sub that is true", json!(true)),
        ("sub that is a list", json!(["alice"])),
        ("sub that is an object", json!({})),
    ];
    let times = [
        ("no exp", "exp", Value::Null),
        ("exp as text", "exp", json!((NOW + 300).to_string())),
        ("exp that is true", "exp", json!(true)),
        ("exp in a list", "exp", json!([NOW + 300])),
        ("expired", "exp", json!(NOW - 61)),
        ("expired a fraction over the leeway", "exp", json!(NOW as f64 - 60.5)),
        ("a negative exp", "exp", json!(-1)),
        ("exp of zero", "exp", json!(0)),
        ("not valid yet", "nbf", json!(NOW + 61)),
        ("nbf as text", "nbf", json!("0")),
        ("nbf in the far future", "nbf", json!(1e300)),
        ("issued in the future", "iat", json!(NOW + 61)),
        ("iat as text", "iat", json!("now")),
    ];
    let of = |claim: &'static str| move |(name, value): (&'static str, Value)| (name, claim, value);
    let all = issuers.map(of("iss")).into_iter().chain(audiences.map(of("aud"))).chain(subjects.map(of("sub"))).chain(times);
    for (name, claim, value) in all {
        rows.push(row(name, ours(keys, json!({}), json!({ claim: value }))));
    }
    let text = |claims: &str| keys.ours.sign_text(r#"{"alg":"RS256","kid":"rsa"}"#, claims);
    let good = claims(json!({})).to_string();
    let with = |member: &str| format!("{},{member}}}", good.strip_suffix('}').unwrap());
    rows.extend([
        row("exp twice", text(&with(r#""exp":4102444800"#))),
        row("exp that is null", text(&good.replace(&format!(r#""exp":{}"#, NOW + 300), r#""exp":null"#))),
        row("nbf that is null", text(&with(r#""nbf":null"#))),
        row("iss twice", text(&with(&format!(r#""iss":"{ISSUER}""#)))),
        row("sub twice", text(&with(r#""sub":"mallory""#))),
        row("a claim twice in an object", text(&with(r#""realm_access":{"roles":[],"roles":["admin"]}"#))),
        row("claims that are a list", text("[]")),
        row("claims that are no JSON", text("alice")),
        row("claims with something after them", text(&format!("{good}{{}}"))),
        row("claims that nest too deep", text(&with(&format!(r#""x":{}{}"#, "[".repeat(500), "]".repeat(500))))),
        row("a refresh token of Keycloak", ours(keys, json!({}), json!({"use": "Refresh"}))),
        row("a session for another audience", keys.session.sign(&json!({"alg": "HS256"}), &session(json!({"aud": "other"})))),
        row("a session that has expired", keys.session.sign(&json!({"alg": "HS256"}), &session(json!({"exp": NOW - 61})))),
    ]);
    rows
}

fn written(keys: &Keys) -> Vec<Row> {
    let good = ours(keys, json!({}), json!({}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let ec_message = format!("{}.{payload}", base64url(r#"{"alg":"ES256","kid":"ec"}"#));
    let ec = |signature: &[u8]| format!("{ec_message}.{}", base64url(signature));
    let fixed = keys.ec.signature("ES256", ec_message.as_bytes());
    let admin = base64url(claims(json!({"sub": "admin"})).to_string());
    let mut bits = signature.to_owned();
    let last = bits.pop().unwrap();
    // 256 bytes leave two characters of which the last has four unused bits.
    bits.push(char::from(last as u8 + 1));
    vec![
        row("signed by another key", keys.attacker.sign(&json!({"alg": "RS256", "kid": "rsa"}), &claims(json!({})))),
        row("another payload", format!("{header}.{admin}.{signature}")),
        row("another header", format!("{}.{payload}.{signature}", base64url(r#"{"alg":"RS256","kid":"rsa"}"#))),
        row("the signature of another token", {
            let other = ours(keys, json!({}), json!({"sub": "bob"}));
            format!("{message}.{}", other.rsplit_once('.').unwrap().1)
        }),
        row("ES256 in DER", ec(&keys.ec.der_signature(ec_message.as_bytes()))),
        row("ES256 with its halves swapped", ec(&[&fixed[32..], &fixed[..32]].concat())),
        row("ES256 of zeros", ec(&[0; 64])),
        row("ES256 that is empty", ec(&[])),
        row("ES256 that is too short", ec(&fixed[..63])),
        row("ES256 that is too long", ec(&[&fixed[..], &[0]].concat())),
        row("no signature", format!("{message}.")),
        row("no signature and no dot", message),
        row("half a signature", format!("{message}.{}", &signature[..signature.len() / 2])),
        row("a signature with one more byte", format!("{good}AA")),
        row("trailing bits in the signature", format!("{message}.{bits}")),
        row("padding in the signature", format!("{good}==")),
        row("padding in the header", format!("{header}=.{payload}.{signature}")),
        row("the alphabet of base64", good.replace(['-', '_'], "+")),
        row("four parts", format!("{good}.{signature}")),
        row("five parts, as in a JWE", format!("{good}.{signature}.{signature}")),
        row("a dot in front", format!(".{good}")),
        row("only dots", ".."),
        row("a token that is too long", ours(keys, json!({}), json!({"x": "x".repeat(16 * 1024)}))),
    ]
}

fn others(keys: &Keys) -> Vec<Row> {
    let good = ours(keys, json!({}), json!({}));
    let livekit = Signer::Secret(LIVEKIT_SECRET.into());
    let signed = |claims: &Value| livekit.sign(&json!({"alg": "HS256", "typ": "JWT"}), claims);
    let with = |value: &str| Asks::new().header("authorization", value);
    let hash: String = Sha256::digest("opaque-token-of-the-backend").iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        row(
            "a LiveKit token",
            signed(&json!({"iss": "APIlivekit", "sub": "alice", "exp": NOW + 300, "video": {"roomJoin": true}})),
        ),
        row("a LiveKit token with our issuer", signed(&claims(json!({})))),
        row("a LiveKit token with the issuer of sessions", signed(&session(json!({})))),
        row("a LiveKit token that has expired", signed(&json!({"iss": "APIlivekit", "sub": "alice", "exp": 1}))),
        row("an unknown opaque token", "opaque-token-of-someone-else"),
        row("the beginning of the API token", "opaque-token-of-the-backen"),
        row("the API token and more", "opaque-token-of-the-backend2"),
        row("the API token in upper case", "OPAQUE-TOKEN-OF-THE-BACKEND"),
        row("the hash of the API token", hash),
        ("two headers", with(&format!("Bearer {good}")).header("authorization", &format!("Bearer {good}"))),
        ("two different headers", with(&format!("Bearer {good}")).header("authorization", "Basic YTpi")),
        ("Basic", with("Basic YWxpY2U6c2VjcmV0")),
        ("Digest", with("Digest username=\"alice\"")),
        ("a bare JWT", with(&good)),
        ("Bearer without a token", with("Bearer")),
        ("Bearer with a blank", with("Bearer ")),
        ("Bearer with two tokens", with(&format!("Bearer {good} {good}"))),
        ("Bearer with a comma", with(&format!("Bearer {good}, Bearer {good}"))),
        ("Bearer with a tab", with(&format!("Bearer\t{good}"))),
        ("Bearer twice", with(&format!("Bearer Bearer {good}"))),
        ("Bearer of bytes that are no text", with("Bearer \u{e4}\u{f6}")),
        ("an empty header", with("")),
        ("Bearer with quotes", with(&format!("Bearer \"{good}\""))),
    ]
}

#[tokio::test]
async fn a_credential_that_does_not_hold_is_refused_and_nothing_that_it_names_is_asked() {
    let keys = Keys::new();
    let evil_keys = jwks(&[keys.attacker.jwk(json!({"kid": "evil"}))]);
    let evil = FakeServer::start(move |_| reply("200 OK", "", &evil_keys)).await;
    let (published, theirs) = (keys.published(), jwks(&[keys.theirs.jwk(json!({"kid": "theirs"}))]));
    let server =
        FakeServer::start(move |head| reply("200 OK", "", if head.starts_with("GET /theirs ") { &theirs } else { &published }))
            .await;
    let mut school = oidc("school", ISSUER, &server.url("/ours"));
    school.require = Matchers(vec![(super::request::path("use"), Matcher::Exists(false))]);
    let other = oidc("other", OTHER, &server.url("/theirs"));
    let subject = callers(vec![school, other, secret_jwt("sessions", SESSIONS), api_token("backend", "API_TOKEN")]);

    let mut rows = [algorithms(&keys), headers(&keys, &evil), claimed(&keys), written(&keys), others(&keys)].concat();
    assert!(rows.len() >= 150, "only {} rows", rows.len());
    let last = rows.split_off(rows.len() / 2);
    // In both halves a good token is accepted, so that the rows do not fail for another reason.
    for half in [rows, last] {
        for (name, asks) in half {
            let answer = asks.of(&subject.callers).await;
            assert!(matches!(answer, Err(Refused::Unauthorized(_))), "{name}: {answer:?} for {asks:?}");
        }
        let good = Asks::bearer(&ours(&keys, json!({}), json!({}))).of(&subject.callers).await;
        assert_eq!(who(&good), named("school", "alice"));
    }
    assert_eq!(evil.requests().len(), 0);
    // The first fetch of each issuer, and one each that an unknown kid and a bad signature asked for.
    let asked = |path: &str| server.requests().iter().filter(|head| head.starts_with(&format!("GET {path} "))).count();
    assert!(asked("/ours") <= 3 && asked("/theirs") <= 3, "{} and {} fetches", asked("/ours"), asked("/theirs"));
}

#[tokio::test]
async fn a_token_with_any_character_changed_is_refused() {
    let subject = callers(vec![file_jwt("school", "rsa-ours-public.pem"), secret_jwt("sessions", SESSIONS)]);
    let keys = Keys::new();
    for token in [ours(&keys, json!({}), json!({})), keys.session.sign(&json!({"alg": "HS256"}), &session(json!({})))] {
        assert!(Asks::bearer(&token).of(&subject.callers).await.is_ok());
        for place in 0..token.len() {
            for character in ["A", "_", ".", "="].into_iter().filter(|character| token[place..=place] != **character) {
                let changed = [&token[..place], character, &token[place + 1..]].concat();
                let answer = Asks::bearer(&changed).of(&subject.callers).await;
                assert!(matches!(answer, Err(Refused::Unauthorized(_))), "{character} at {place}: {answer:?}");
            }
        }
    }
}
