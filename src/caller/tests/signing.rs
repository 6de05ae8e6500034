//! Makes JWTs, good and bad ones, with keys of all kinds. Does not use the code under test.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair as RsaKeyPair;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding,
};
use ring::{hmac, rsa};
use serde_json::{Value, json};

use super::{NOW, fixture};

pub(super) const ISSUER: &str = "https://id.example";

/// A key that signs.
pub(super) enum Signer {
    Rsa(RsaKeyPair),
    P256(Box<EcdsaKeyPair>, Vec<u8>),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
}

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key in `fixtures/callers`.
pub(super) fn rsa(name: &str) -> Signer {
    let pem = String::from_utf8(fixture(&format!("callers/{name}.pem"))).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    Signer::Rsa(RsaKeyPair::from_pkcs8(&STANDARD.decode(base64).unwrap()).unwrap())
}

pub(super) fn p256() -> Signer {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    Signer::P256(Box::new(key), pkcs8.as_ref().to_vec())
}

pub(super) fn ed25519() -> Signer {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Signer::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
}

impl Signer {
    /// The public key as a JWK, with further members.
    pub(super) fn jwk(&self, further: Value) -> Value {
        let mut jwk = match self {
            Self::Rsa(key) => {
                let public = rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "n": base64url(public.n), "e": base64url(public.e)})
            }
            Self::P256(key, _) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": base64url(&point[1..33]), "y": base64url(&point[33..])})
            }
            Self::Ed25519(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(key.public_key())}),
            Self::Secret(secret) => json!({"kty": "oct", "k": base64url(secret)}),
        };
        jwk.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        jwk
    }

    /// The signature of `message`, by the key's usual algorithm unless `alg` is another one of its kind.
    pub(super) fn signature(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let padding: &dyn RsaEncoding = match alg {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::P256(key, _) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Secret(secret) => {
                let algorithm = match alg {
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(algorithm, secret), message).as_ref().to_vec()
            }
        }
    }

    /// An ECDSA signature in DER, as OpenSSL makes them.
    pub(super) fn der_signature(&self, message: &[u8]) -> Vec<u8> {
        let Self::P256(_, pkcs8) = self else { panic!("only ECDSA has it") };
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, &random).unwrap();
        key.sign(&random, message).unwrap().as_ref().to_vec()
    }

    /// The JWT with this header and these claims, written as they are.
    pub(super) fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", base64url(header), base64url(claims));
        let alg = serde_json::from_str::<Value>(header).ok().and_then(|header| Some(header["alg"].as_str()?.to_owned()));
        format!("{message}.{}", base64url(self.signature(&alg.unwrap_or_default(), message.as_bytes())))
    }

    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }
}

/// Claims that hold, changed by those in `changes`; `null` removes one.
pub(super) fn claims(changes: Value) -> Value {
    let mut claims = json!({"iss": ISSUER, "aud": "app", "sub": "alice", "exp": NOW + 300, "iat": NOW});
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}
