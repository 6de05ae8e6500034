//! base64url, as the parts of a JWS are written. Does not know what they mean.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use std::sync::LazyLock;

use base64::Engine;

/// base64url without padding ([RFC 4648, section 5]), strict: unused bits must be zero. Uses AVX2 or NEON if the processor has them.
///
/// [RFC 4648, section 5]: https://www.rfc-editor.org/rfc/rfc4648#section-5
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) static BASE64URL: LazyLock<base64::engine::Simd> =
    LazyLock::new(|| base64::engine::Simd::url_safe(base64::engine::general_purpose::NO_PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

/// How many characters `bytes` bytes take.
#[inline]
pub(super) fn encoded(bytes: usize) -> usize {
    bytes.saturating_mul(4).div_ceil(3)
}

/// Writes `bytes` in base64url at the beginning of `out`, which is long enough.
pub(super) fn encode(bytes: &[u8], out: &mut [u8]) {
    let written = BASE64URL.encode_slice(bytes, out);
    debug_assert!(written.is_ok(), "the buffer is large enough");
}

/// The bytes of a part of a JWS, or of a number in a JWK.
#[cfg(feature = "server")]
pub(crate) fn decode(base64url: &str) -> Result<Vec<u8>, super::Error> {
    BASE64URL.decode(base64url).or(Err(super::Error::Encoding))
}
