//! base64url, as the parts of a JWS are written. Does not know what they mean.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use std::sync::LazyLock;

use base64::Engine;

use super::mac::DIGEST_BYTES;

/// base64url without padding ([RFC 4648, section 5]), strict: unused bits must be zero. Uses AVX2 or NEON if the processor has them.
///
/// [RFC 4648, section 5]: https://www.rfc-editor.org/rfc/rfc4648#section-5
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) static BASE64URL: LazyLock<base64::engine::Simd> =
    LazyLock::new(|| base64::engine::Simd::url_safe(base64::engine::general_purpose::NO_PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

/// Characters of a MAC in base64url.
pub(super) const MAC_CHARS: usize = 43;

/// How many characters `bytes` bytes take.
#[inline]
pub(super) fn encoded(bytes: usize) -> usize {
    bytes.saturating_mul(4).div_ceil(3)
}

/// The alphabet (RFC 4648, section 5).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Appends `bytes` in base64url.
pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start.saturating_add(encoded(bytes.len())), 0);
    let written = BASE64URL.encode_slice(bytes, out.get_mut(start..).unwrap_or_default());
    debug_assert!(written.is_ok(), "the buffer is large enough");
}

/// A MAC in base64url. So few bytes take less time group by group than by the engine.
#[inline]
pub(super) fn encode_mac(mac: &[u8; DIGEST_BYTES]) -> [u8; MAC_CHARS] {
    let mut encoded = [0; MAC_CHARS];
    let (groups, rest) = mac.as_chunks();
    let (whole, cut) = encoded.as_chunks_mut();
    for (to, group) in whole.iter_mut().zip(groups) {
        *to = characters(*group);
    }
    if let [a, b] = *rest {
        for (to, character) in cut.iter_mut().zip(characters([a, b, 0])) {
            *to = character;
        }
    }
    encoded
}

/// The four characters of three bytes.
#[inline]
fn characters([a, b, c]: [u8; 3]) -> [u8; 4] {
    let bits = u32::from_be_bytes([0, a, b, c]);
    [bits >> 18, bits >> 12, bits >> 6, bits].map(|bits| {
        #[expect(clippy::indexing_slicing, reason = "six bits are fewer than 64")]
        ALPHABET[(bits & 63) as usize]
    })
}

/// The bytes of a part of a JWS, or of a number in a JWK.
#[cfg(feature = "server")]
pub(crate) fn decode(base64url: &str) -> Result<Vec<u8>, super::Error> {
    BASE64URL.decode(base64url).or(Err(super::Error::Encoding))
}
