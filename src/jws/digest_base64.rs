//! The base64 of SHA-256s without padding, from and to the words that the hash computes. The size is constant, and nothing here branches
//! on a value or looks it up in a table, so that compilers turn the loops into vector instructions. Does not know what was hashed.

/// Characters of a SHA-256.
pub(super) const CHARS: usize = 43;

/// The base64 of `words`, in the alphabet that ends with `PLUS` and `SLASH`.
#[inline]
pub(crate) fn encode<const PLUS: u8, const SLASH: u8>(words: [u32; 8]) -> [u8; CHARS] {
    // Six groups of 48 bits, which are eight characters each. The last group has 16 bits, so five of its characters are cut off.
    let [a, b, c, d, e, f, g, h] = words.map(u64::from);
    let groups = [a << 16 | b >> 16, b << 32 | c, d << 16 | e >> 16, e << 32 | f, g << 16 | h >> 16, h << 32];
    let mut encoded = [0; CHARS + 5];
    for (to, sextets) in encoded.as_chunks_mut().0.iter_mut().zip(groups.map(sextets)) {
        *to = sextets.to_le_bytes();
    }
    for byte in &mut encoded {
        *byte = character::<PLUS, SLASH>(*byte);
    }
    encoded.first_chunk().copied().unwrap_or([0; CHARS])
}

/// The last 48 bits of `group`, six in each byte, the first ones in the lowest byte. Each step exchanges the halves of every lane.
#[inline]
fn sextets(group: u64) -> u64 {
    let halves = group >> 24 & 0x00ff_ffff | (group & 0x00ff_ffff) << 32;
    let quarters = halves >> 12 & 0x0000_0fff_0000_0fff | (halves & 0x0000_0fff_0000_0fff) << 16;
    quarters >> 6 & 0x003f_003f_003f_003f | (quarters & 0x003f_003f_003f_003f) << 8
}

/// The character of six bits (RFC 4648, section 4). Each range of the alphabet begins with a jump from the end of the one before it. The
/// comparison is signed, because vector instructions compare signed bytes.
#[inline]
fn character<const PLUS: u8, const SLASH: u8>(sextet: u8) -> u8 {
    let from = |first: u8, step: u8| if sextet.cast_signed() >= first.cast_signed() { step } else { 0 };
    let letter = sextet.wrapping_add(b'A').wrapping_add(from(26, 6));
    let digit = letter.wrapping_add(from(52, b'0'.wrapping_sub(b'z').wrapping_sub(1)));
    let symbol = digit.wrapping_add(from(62, PLUS.wrapping_sub(b'9').wrapping_sub(1)));
    symbol.wrapping_add(from(63, SLASH.wrapping_sub(PLUS).wrapping_sub(1)))
}

/// The words whose base64url is `characters`, if that is canonical: the bits after the last word are zero.
pub(super) fn decode(characters: &[u8; CHARS]) -> Option<[u32; 8]> {
    let mut decoded = [b'A'; CHARS + 5];
    if let Some(start) = decoded.first_chunk_mut() {
        *start = *characters;
    }
    for byte in &mut decoded {
        *byte = sextet(*byte);
    }
    let is_valid = decoded.iter().fold(0, |all, sextet| all | sextet) < 64;
    let mut groups = [0; 6];
    for (to, sextets) in groups.iter_mut().zip(decoded.as_chunks().0) {
        *to = group(u64::from_le_bytes(*sextets));
    }
    let [a, b, c, d, e, f] = groups;
    let words = [a >> 16, a << 16 | b >> 32, b, c >> 16, c << 16 | d >> 32, d, e >> 16, e << 16 | f >> 32];
    (is_valid && f & 0xffff_ffff == 0).then(|| words.map(|word| (word & 0xffff_ffff) as u32))
}

/// The group whose [`sextets`] these are.
#[inline]
fn group(sextets: u64) -> u64 {
    let quarters = (sextets & 0x003f_003f_003f_003f) << 6 | sextets >> 8 & 0x003f_003f_003f_003f;
    let halves = (quarters & 0x0000_0fff_0000_0fff) << 12 | quarters >> 16 & 0x0000_0fff_0000_0fff;
    (halves & 0x00ff_ffff) << 24 | halves >> 32
}

/// The six bits of a character; 255 if it is not in the alphabet.
#[inline]
fn sextet(character: u8) -> u8 {
    // One more than the six bits, so that 0 means that the character is in no range.
    let within = |first: u8, last: u8, value: u8| {
        let at = character.wrapping_sub(first);
        if at <= last.wrapping_sub(first) { at.wrapping_add(value) } else { 0 }
    };
    let known =
        within(b'A', b'Z', 1) | within(b'a', b'z', 27) | within(b'0', b'9', 53) | within(b'-', b'-', 63) | within(b'_', b'_', 64);
    known.wrapping_sub(1)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

    use super::{decode, encode};
    use crate::jws::{sha256, to_bytes};

    #[test]
    fn another_implementation_agrees() {
        for number in 0..10_000_u32 {
            let words = sha256(&number.to_be_bytes());
            let url_safe = encode::<b'-', b'_'>(words);
            assert_eq!(url_safe.as_slice(), URL_SAFE_NO_PAD.encode(to_bytes(words)).as_bytes());
            assert_eq!(encode::<b'+', b'/'>(words).as_slice(), STANDARD_NO_PAD.encode(to_bytes(words)).as_bytes());
            assert_eq!(decode(&url_safe), Some(words));
        }
    }

    #[test]
    fn only_what_is_canonical_is_decoded() {
        let encoded = encode::<b'-', b'_'>(sha256(b"a"));
        for at in 0..encoded.len() {
            for byte in 0..=255 {
                let mut characters = encoded;
                characters[at] = byte;
                let expected = URL_SAFE_NO_PAD.decode(characters).ok();
                assert_eq!(decode(&characters).map(|words| to_bytes(words).to_vec()), expected, "{byte} at {at}");
            }
        }
    }
}
