//! Public keys, and the signatures that each can verify. Does not know how a key is written, nor what was signed.

use std::fmt;
use std::ops::RangeInclusive;

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

use crate::caller::settings::Algorithm;

/// The sizes of RSA keys. Shorter ones can be broken (NIST SP 800-131A), and longer ones take too long to verify with.
const RSA_BITS: RangeInclusive<usize> = 2048..=4096;
/// Bytes of RSA's public exponent. Nearly all keys have 65537, which takes three.
const MAX_EXPONENT_BYTES: usize = 4;
/// Bytes of a coordinate of P-256.
const COORDINATE_BYTES: usize = 32;
/// Begins a point with both coordinates (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A public key. Its kind decides which algorithms it can verify.
pub(crate) enum PublicKey {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// A point of P-256 with both coordinates.
    P256(Vec<u8>),
    Ed25519([u8; 32]),
}

impl PublicKey {
    /// The RSA key of this modulus and exponent, which are unsigned and big-endian.
    pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        let spare = usize::try_from(modulus.first()?.leading_zeros()).ok()?;
        let bits = modulus.len().checked_mul(8)?.checked_sub(spare)?;
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        let is_exponent = is_odd(exponent) && exponent != [1] && exponent.len() <= MAX_EXPONENT_BYTES;
        let key = RsaPublicKeyComponents { n: modulus.to_vec(), e: exponent.to_vec() };
        (RSA_BITS.contains(&bits) && is_odd(modulus) && is_exponent).then_some(Self::Rsa(key))
    }

    /// The key of P-256 with these coordinates.
    pub(crate) fn p256(x: &[u8], y: &[u8]) -> Option<Self> {
        Self::p256_point(&[&[UNCOMPRESSED], x, y].concat()).filter(|_| x.len() == COORDINATE_BYTES)
    }

    /// The key of P-256 that is this point, uncompressed.
    pub(crate) fn p256_point(point: &[u8]) -> Option<Self> {
        let (form, coordinates) = point.split_first()?;
        let is_uncompressed = *form == UNCOMPRESSED && coordinates.len() / 2 == COORDINATE_BYTES && coordinates.len() % 2 == 0;
        is_uncompressed.then(|| Self::P256(point.to_vec()))
    }

    pub(crate) fn ed25519(key: &[u8]) -> Option<Self> {
        key.try_into().ok().map(Self::Ed25519)
    }

    /// Whether the key can verify signatures of `algorithm`.
    pub(crate) fn is_for(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Ps256, Rs256, Rs384, Rs512};
        matches!(
            (self, algorithm),
            (Self::Rsa(_), Rs256 | Rs384 | Rs512 | Ps256) | (Self::P256(_), Es256) | (Self::Ed25519(_), EdDsa)
        )
    }

    /// Whether `signature` is this key's for `message`.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let verified = match (self, algorithm) {
            (Self::Rsa(key), Algorithm::Rs256) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            (Self::Rsa(key), Algorithm::Rs384) => key.verify(&RSA_PKCS1_2048_8192_SHA384, message, signature),
            (Self::Rsa(key), Algorithm::Rs512) => key.verify(&RSA_PKCS1_2048_8192_SHA512, message, signature),
            (Self::Rsa(key), Algorithm::Ps256) => key.verify(&RSA_PSS_2048_8192_SHA256, message, signature),
            (Self::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Self::Ed25519(key), Algorithm::EdDsa) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            _ => return false,
        };
        verified.is_ok()
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa(_) => "Rsa",
            Self::P256(_) => "P256",
            Self::Ed25519(_) => "Ed25519",
        })
    }
}
