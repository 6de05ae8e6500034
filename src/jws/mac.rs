//! SHA-256 and HMAC-SHA256 ([RFC 2104]) of whole messages, on the compression function of `sha2`: a message is hashed where it is, and a key is
//! one state for each of the two hashes. The streaming types of `hmac` and `sha2` copy and wipe their buffers for each message. Does
//! not know what is signed.
//!
//! [RFC 2104]: https://www.rfc-editor.org/rfc/rfc2104

use std::slice;

use hmac::digest::CtOutput;
use sha2::block_api::compress256;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of a block of SHA-256 (FIPS 180-4, section 1).
pub(super) const BLOCK: usize = 64;
/// Bytes of a SHA-256, and so of an HMAC-SHA256.
pub(super) const DIGEST_BYTES: usize = 32;

/// Bytes after the message in its last block, without zeros: one and the length.
const PADDING: usize = 9;
/// The last block of the outer hash, before the digest is in it: the hash is of one block and a digest.
const OUTER_END: [u8; BLOCK] = {
    let mut block = [0; BLOCK];
    block[DIGEST_BYTES] = 0x80;
    block[BLOCK - 2] = 3; // 768 bits
    block
};
/// The state of SHA-256 before the first block (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A MAC, which is compared in constant time.
pub(super) type Mac = CtOutput<Sha256>;

/// A key, and perhaps the beginning of a message: the states of both hashes, which are wiped on drop. What is computed from copies of
/// them overwrites these.
#[derive(Clone)]
pub(super) struct Hmac {
    inner: Zeroizing<[u32; 8]>,
    outer: Zeroizing<[u32; 8]>,
    /// Bytes that the inner hash has seen: whole blocks.
    hashed: usize,
}

impl Hmac {
    pub(super) fn new(secret: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; BLOCK]);
        match key.get_mut(..secret.len()) {
            Some(key) => key.copy_from_slice(secret),
            // Not `sha256`, because this wipes what it copies.
            None => key.iter_mut().zip(Sha256::digest(secret)).for_each(|(key, byte)| *key = byte),
        }
        let padded = |pad: u8| {
            let mut state = Zeroizing::new(INITIAL);
            compress256(&mut state, slice::from_ref(&*Zeroizing::new(key.map(|byte| byte ^ pad))));
            state
        };
        Self { inner: padded(0x36), outer: padded(0x5c), hashed: BLOCK }
    }

    /// The same key, for messages of which `blocks` are the beginning.
    pub(super) fn after(&self, blocks: &[[u8; BLOCK]]) -> Self {
        let mut begun = self.clone();
        compress256(&mut begun.inner, blocks);
        begun.hashed = begun.hashed.saturating_add(blocks.as_flattened().len());
        begun
    }

    /// The MAC of the beginning and `message`.
    pub(super) fn mac(&self, message: &[u8]) -> Mac {
        Mac::new(to_bytes(self.words(message)).into())
    }

    /// The words of the MAC of the beginning and `message`.
    pub(super) fn words(&self, message: &[u8]) -> [u32; 8] {
        self.outer(compress_last(*self.inner, message, self.hashed))
    }

    /// Like [`words`](Self::words), of the first `length` bytes of `buffer`, which zeros follow. It is padded where it is, if there is
    /// room, so that nothing is copied.
    pub(super) fn words_in_place(&self, buffer: &mut [u8], length: usize) -> [u32; 8] {
        let blocks = length.saturating_add(PADDING).div_ceil(BLOCK);
        let Some(blocks) = buffer.as_chunks_mut().0.get_mut(..blocks) else {
            return self.words(buffer.get(..length).unwrap_or_default());
        };
        if let Some(end) = blocks.as_flattened_mut().get_mut(length) {
            *end = 0x80;
        }
        if let Some(end) = blocks.as_flattened_mut().last_chunk_mut() {
            *end = bits(self.hashed.saturating_add(length));
        }
        let mut inner = *self.inner;
        compress256(&mut inner, blocks);
        self.outer(inner)
    }

    fn outer(&self, inner: [u32; 8]) -> [u32; 8] {
        let mut outer = *self.outer;
        let mut last = OUTER_END;
        if let Some(digest) = last.first_chunk_mut() {
            *digest = to_bytes(inner);
        }
        compress256(&mut outer, slice::from_ref(&last));
        outer
    }
}

/// The words of the SHA-256 of `message`.
pub(crate) fn sha256(message: &[u8]) -> [u32; 8] {
    compress_last(INITIAL, message, 0)
}

/// The hash of a message that ends with `message`, after `hashed` bytes (FIPS 180-4, section 5.1.1).
fn compress_last(mut state: [u32; 8], message: &[u8], hashed: usize) -> [u32; 8] {
    let (blocks, rest) = message.as_chunks();
    compress256(&mut state, blocks);
    let mut last = [[0; BLOCK]; 2];
    for (to, from) in last.as_flattened_mut().iter_mut().zip(rest) {
        *to = *from;
    }
    if let Some(end) = last.as_flattened_mut().get_mut(rest.len()) {
        *end = 0x80;
    }
    let last = last.get_mut(..rest.len().saturating_add(PADDING).div_ceil(BLOCK)).unwrap_or_default();
    if let Some(end) = last.as_flattened_mut().last_chunk_mut() {
        *end = bits(hashed.saturating_add(message.len()));
    }
    compress256(&mut state, last);
    state
}

/// The bits of `bytes`.
fn bits(bytes: usize) -> [u8; 8] {
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8).to_be_bytes()
}

#[inline]
pub(crate) fn to_bytes(state: [u32; 8]) -> [u8; DIGEST_BYTES] {
    let mut bytes = [0; DIGEST_BYTES];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use hmac::{KeyInit, Mac};

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 4231, sections 4.2 to 4.8. The fifth MAC is cut to 128 bits there.
    #[test]
    fn the_vectors_of_rfc_4231_hold() {
        let long_key = [0xaa; 131];
        let counted: Vec<u8> = (1..=25).collect();
        let rows: [(&[u8], &[u8], &str); 7] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (&counted, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            (&[0x0c; 20], b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
            (
                &long_key,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &long_key,
                b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be \
                  hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (secret, message, expected) in rows {
            assert!(hex(super::Hmac::new(secret).mac(message).as_bytes()).starts_with(expected), "{expected}");
        }
    }

    #[test]
    fn another_implementation_agrees_whatever_the_lengths() {
        let bytes: Vec<u8> = (0..=255).cycle().take(400).collect();
        for length in 0..300 {
            let (secret, message) = (&bytes[..length % 140], &bytes[7..7 + length]);
            let expected = hmac::Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(message).finalize();
            let ours = super::Hmac::new(secret);
            assert_eq!(ours.mac(message).as_bytes(), expected.as_bytes(), "{length} bytes");
            let (blocks, rest) = message.as_chunks();
            assert_eq!(ours.after(blocks).mac(rest).as_bytes(), expected.as_bytes(), "{length} bytes in two steps");
        }
    }
}
