//! Public keys in PEM (RFC 7468, section 13; RFC 8017, appendix A.1.1). Does not know what they verify.

use rustls::pki_types::pem::{PemObject, SectionKind};

use crate::caller::public_key::PublicKey;

/// The tags of DER (X.690, section 8).
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// The algorithm identifiers in front of a key: rsaEncryption (RFC 3279, section 2.3.1), id-ecPublicKey with secp256r1 (RFC 5480,
/// section 2.1.1), and id-Ed25519 (RFC 8410, section 3).
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const P256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";

/// The one public key in `pem`.
pub(crate) fn public_key(pem: &[u8]) -> Result<PublicKey, PemError> {
    let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem);
    let (kind, der) = sections.next().ok_or(PemError::NoKey)?.or(Err(PemError::Malformed))?;
    let key = match kind {
        SectionKind::PublicKey => subject_public_key(&der),
        SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => return Err(PemError::Private),
        _ => return Err(PemError::NoKey),
    };
    if sections.next().is_some() { Err(PemError::Several) } else { key.ok_or(PemError::Unsupported) }
}

/// The key in a SubjectPublicKeyInfo (RFC 5280, section 4.1).
fn subject_public_key(der: &[u8]) -> Option<PublicKey> {
    let whole = only(SEQUENCE, der)?;
    let (algorithm, bits) = element(SEQUENCE, whole)?;
    let key = only(BIT_STRING, bits)?.strip_prefix(&[0])?; // no unused bits
    match algorithm {
        RSA => {
            let (modulus, exponent) = element(INTEGER, only(SEQUENCE, key)?)?;
            PublicKey::rsa(modulus, only(INTEGER, exponent)?)
        }
        P256 => PublicKey::p256_point(key),
        ED25519 => PublicKey::ed25519(key),
        _ => None,
    }
}

/// The content of the element of DER at the beginning of `der`, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let ([found, length], rest) = der.split_first_chunk()?;
    let (length, rest) = match length {
        0x00..=0x7f => (usize::from(*length), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        _ => return None,
    };
    if *found == tag { rest.split_at_checked(length) } else { None }
}

/// The content of the element that `der` is.
fn only(tag: u8, der: &[u8]) -> Option<&[u8]> {
    element(tag, der).filter(|(_, rest)| rest.is_empty()).map(|(content, _)| content)
}

/// Why a file has no public key that can be used. The text follows the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PemError {
    #[error("is damaged: write the key to it again, in PEM")]
    Malformed,
    #[error("contains no public key: it must be a JWK set, or PEM with -----BEGIN PUBLIC KEY-----")]
    NoKey,
    #[error("contains a private key: give roomkey the public one alone")]
    Private,
    #[error("contains more than one key: leave one, or write a JWK set in which each key has its kid")]
    Several,
    #[error("has a key that cannot be used: it must be RSA of 2048 to 4096 bits, P-256 or Ed25519")]
    Unsupported,
}
