//! Callers of each kind that can be measured without another server: the policy that lets each have a token, and its credential. Does
//! not know how they are sent.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use ring::rand::SystemRandom;
use ring::rsa;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256};
use roomkey::UnixTime;
use sha2::Sha256;

const SESSION_SECRET: &str = "the-secret-of-sessions-0123456789";
const API_TOKEN: &str = "the-token-of-the-backend-0123456789";

/// The variables that the policies name.
pub const SECRETS: [(&str, &str); 2] = [("BENCH_SESSION_SECRET", SESSION_SECRET), ("BENCH_API_TOKEN", API_TOKEN)];

/// The backend asks for any token. Its token has the same names as one without a policy.
const BACKEND: &str = r#"[callers.backend]
kind = "api-token"
token_env = "BENCH_API_TOKEN"

[[rule]]
name = "backend"
caller = "backend"
room = "*"
identity = "{request.identity}"
display = "{request.name}"
allow = ["publish", "subscribe", "data"]
"#;

/// Sessions get the rooms of their team. The caller's key comes after this.
const MEMBERS: &str = r#"[[rule]]
name = "member"
caller = "app"
claims = { role = "member" }
room = "{claims.team}-*"
identity = "{subject}"
display = "{claims.name}"
allow = ["publish", "subscribe", "data"]

[callers.app]
kind = "jwt"
issuer = "https://id.example.com"
audience = "meetings"
"#;

/// More sessions than a server keeps in mind.
const MANY: u64 = 11_000;

/// A caller that gets a token.
pub struct Session {
    pub name: String,
    pub policy: String,
    /// Its credentials, which are sent in turn.
    pub bearers: Vec<String>,
}

/// An API token, and sessions that are signed with each kind of key: one that is sent again and again, and many. The keys that are made here are written to `scratch`.
pub fn all(root: &Path, scratch: &Path) -> crate::Result<Vec<Session>> {
    let hs256 = |message: &[u8]| {
        let hmac = Hmac::<Sha256>::new_from_slice(SESSION_SECRET.as_bytes())?;
        Ok(hmac.chain_update(message).finalize().into_bytes().to_vec())
    };
    let rsa = rsa_key(&root.join("fixtures/callers/rsa-ours.pem"))?;
    let rs256 = |message: &[u8]| {
        let mut signature = vec![0; rsa.public().modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).or(Err("RSA does not sign"))?;
        Ok(signature)
    };
    let p256 = p256_key()?;
    let es256 = |message: &[u8]| Ok(p256.sign(&SystemRandom::new(), message).or(Err("ECDSA does not sign"))?.as_ref().to_vec());
    let jwks = scratch.join("p256.json");
    fs::write(&jwks, p256_jwks(&p256))?;

    let public_key = |path: &Path| format!("public_key_file = {:?}", path.display().to_string());
    let mut all = vec![Session { name: "api-token".to_owned(), policy: BACKEND.to_owned(), bearers: vec![API_TOKEN.to_owned()] }];
    all.extend(sessions("HS256", "secret_env = \"BENCH_SESSION_SECRET\"", hs256)?);
    all.extend(sessions("RS256", &public_key(&root.join("fixtures/callers/rsa-ours-public.pem")), rs256)?);
    all.extend(sessions("ES256", &public_key(&jwks), es256)?);
    Ok(all)
}

/// One session of a day and many, with `key` as the caller's key, signed by `sign`. Their header is as its issuers usually write it.
fn sessions(alg: &str, key: &str, sign: impl Fn(&[u8]) -> crate::Result<Vec<u8>>) -> crate::Result<[Session; 2]> {
    let now = UnixTime::now().as_secs();
    let kid = if alg == "HS256" { "" } else { r#","kid":"2026-11""# };
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}","typ":"JWT"{kid}}}"#));
    let bearer = |number: u64| {
        let (iat, exp) = (now - number, now + 86_400);
        let claims = format!(
            r#"{{"iss":"https://id.example.com","aud":"meetings","sub":"alice","name":"alice","role":"member","team":"daily","iat":{iat},"exp":{exp}}}"#
        );
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(sign(message.as_bytes())?)))
    };
    let policy = format!("{MEMBERS}{key}\n");
    let many = (0..MANY).map(bearer).collect::<crate::Result<Vec<_>>>()?;
    Ok([
        Session { name: alg.to_owned(), policy: policy.clone(), bearers: vec![bearer(0)?] },
        Session { name: format!("{alg}, {MANY} sessions"), policy, bearers: many },
    ])
}

fn rsa_key(pem: &Path) -> crate::Result<rsa::KeyPair> {
    let base64: String = fs::read_to_string(pem)?.lines().filter(|line| !line.starts_with("-----")).collect();
    Ok(rsa::KeyPair::from_pkcs8(&STANDARD.decode(base64)?).map_err(|error| error.to_string())?)
}

fn p256_key() -> crate::Result<EcdsaKeyPair> {
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).or(Err("no randomness"))?;
    Ok(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).map_err(|error| error.to_string())?)
}

/// The JWK set of `key` alone.
fn p256_jwks(key: &EcdsaKeyPair) -> String {
    let [x, y] = [1..33, 33..65].map(|coordinate| URL_SAFE_NO_PAD.encode(&key.public_key().as_ref()[coordinate]));
    format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"2026-11","x":"{x}","y":"{y}"}}]}}"#)
}
