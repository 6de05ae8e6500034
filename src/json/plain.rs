//! Looks for bytes of strings that are not plain, eight bytes at a time. Does not know what is made of them.

const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
const ONES: u64 = u64::from_ne_bytes([1; 8]);
const TWOS: u64 = u64::from_ne_bytes([2; 8]);
const LIMITS: u64 = u64::from_ne_bytes([0x21; 8]);
const SPACES: u64 = u64::from_ne_bytes([b' '; 8]);
const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);

/// As [`end_of_plain`], but looks only at the next two whole words, which is enough for most names and values. It takes no call, but more
/// code where it is used.
#[inline]
pub(super) fn end_of_short_plain(bytes: &[u8], mut at: usize) -> Option<usize> {
    for _ in 0..2 {
        let special = special(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        if special != 0 {
            return Some(at.wrapping_add(special.trailing_zeros() as usize / 8));
        }
        at = at.wrapping_add(8);
    }
    None
}

/// Where, from `at` on, the first of `bytes` is that is not plain: a quote, a backslash or a control character, which JSON does not
/// write as they are (RFC 8259, section 7).
#[inline(never)]
pub(super) fn end_of_plain(bytes: &[u8], mut at: usize) -> usize {
    let chunk = |at| bytes.get(at..).unwrap_or_default();
    loop {
        for _ in 0..4 {
            let Some(word) = chunk(at).first_chunk() else {
                let tail = chunk(at);
                return at.wrapping_add(tail.iter().position(|byte| is_special(*byte)).unwrap_or(tail.len()));
            };
            let special = special(u64::from_le_bytes(*word));
            if special != 0 {
                return at.wrapping_add(special.trailing_zeros() as usize / 8);
            }
            at = at.wrapping_add(8);
        }
        // Most of a long string is plain: 32 bytes at once.
        while let Some(bytes) = chunk(at).first_chunk::<32>()
            && bytes.as_chunks().0.iter().fold(0, |found, word| found | special(u64::from_le_bytes(*word))) == 0
        {
            at = at.wrapping_add(32);
        }
    }
}

/// Whether all `bytes` are plain.
#[inline]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    is_free_of(special, bytes)
}

/// Whether all `bytes` are plain and printable ASCII.
#[cfg(any(feature = "server", test))]
#[inline]
pub(crate) fn is_plain_ascii(bytes: &[u8]) -> bool {
    // Adding one sets the highest bit of DEL. A carry comes only from a byte that is not ASCII.
    is_free_of(|word| special(word) | (word | word.wrapping_add(ONES)) & HIGH_BITS, bytes)
}

/// Whether `find` returns zero for all of `bytes`, in words. A text of less than four bytes is filled up with spaces, which `find` must
/// not find.
#[inline]
fn is_free_of(find: impl Fn(u64) -> u64, bytes: &[u8]) -> bool {
    let word = |word: &[u8; 8]| find(u64::from_le_bytes(*word));
    let half = |half: &[u8; 4]| u64::from(u32::from_le_bytes(*half));
    // The last word of a long text may overlap the one before it.
    match (bytes.last_chunk(), bytes.first_chunk(), bytes.last_chunk()) {
        (Some(end), ..) => bytes.as_chunks().0.iter().fold(word(end), |found, next| found | word(next)) == 0,
        (None, Some(start), Some(end)) => find(half(start) | half(end) << 32) == 0,
        _ => find(bytes.iter().fold(SPACES, |word, byte| word << 8 | u64::from(*byte))) == 0,
    }
}

/// Whether the number of quotes in `bytes` is odd.
#[cfg(any(feature = "server", test))]
pub(super) fn has_odd_quotes(bytes: &[u8]) -> bool {
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    // The highest bit of each byte that is a quote, and of no other.
    let quotes = |word: u64| {
        let differences = word ^ QUOTES;
        !((differences & !HIGH_BITS).wrapping_add(!HIGH_BITS) | differences) & HIGH_BITS
    };
    let (words, rest) = bytes.as_chunks();
    let rest = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let odd = words.iter().fold(quotes(rest), |odd, word| odd ^ quotes(u64::from_le_bytes(*word)));
    !odd.count_ones().is_multiple_of(2)
}

/// `text` and spaces after it, if it is plain and shorter than 32 bytes. It is read in words, so that it is never in memory byte by byte.
#[inline]
pub(crate) fn plain_words(text: &[u8]) -> Option<[[u8; 8]; 4]> {
    let (whole, rest) = text.as_chunks();
    let half = |half: &[u8; 4]| u64::from(u32::from_le_bytes(*half));
    let bits = u32::try_from(rest.len()).ok()?.wrapping_mul(8);
    // A rest is read together with bytes before it, which are shifted out, or overlap.
    let last = match (text.last_chunk(), rest.first_chunk(), rest.last_chunk()) {
        (Some(end), ..) => u64::from_le_bytes(*end).unbounded_shr(64_u32.wrapping_sub(bits)),
        (None, Some(start), Some(end)) => half(start) | half(end) << bits.wrapping_sub(32),
        _ => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    let last = last | SPACES.wrapping_shl(bits);
    let word = |word: &[u8; 8]| u64::from_le_bytes(*word);
    let words = match whole {
        [] => [last, SPACES, SPACES, SPACES],
        [a] => [word(a), last, SPACES, SPACES],
        [a, b] => [word(a), word(b), last, SPACES],
        [a, b, c] => [word(a), word(b), word(c), last],
        _ => return None,
    };
    let is_plain = words.into_iter().fold(0, |found, next| found | special(next)) == 0;
    is_plain.then_some(words.map(u64::to_le_bytes))
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..b' ')
}

/// The highest bit of each byte that is special. A byte after the first such byte may be marked by mistake.
#[inline]
fn special(word: u64) -> u64 {
    // With one bit changed, quotes come after the control characters.
    let quotes_and_controls = (word ^ TWOS).wrapping_sub(LIMITS);
    let backslashes = (word ^ BACKSLASHES).wrapping_sub(ONES);
    (quotes_and_controls | backslashes) & !word & HIGH_BITS
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::{end_of_plain, end_of_short_plain, has_odd_quotes, is_plain, is_plain_ascii, is_special, plain_words};

    #[test]
    fn the_first_special_byte_is_found_wherever_it_is() {
        for length in 0..100 {
            assert_eq!(end_of_plain(&vec![b'x'; length], 0), length);
            assert!(is_plain(&vec![b'x'; length]) && is_plain_ascii(&vec![b' '; length]));
            for at in 0..length {
                for byte in 0..=255 {
                    let mut bytes = vec![b'!'; length];
                    bytes[at] = byte;
                    let end = if is_special(byte) { at } else { length };
                    assert_eq!(end_of_plain(&bytes, 0), end, "{byte} at {at} of {length}");
                    let short = end_of_short_plain(&bytes, 0);
                    assert_eq!(short.is_some(), end < (length & !7).min(16), "{byte} at {at} of {length}");
                    assert!(short.is_none_or(|short| short == end), "{byte} at {at} of {length}");
                    assert_eq!(is_plain(&bytes), !is_special(byte), "{byte} at {at} of {length}");
                    let is_printable = matches!(byte, b' '..=b'~');
                    assert_eq!(is_plain_ascii(&bytes), is_printable && !is_special(byte), "{byte} at {at} of {length}");
                    let quotes = bytes.iter().filter(|byte| **byte == b'"').count();
                    assert_eq!(has_odd_quotes(&bytes), quotes % 2 == 1, "{byte} at {at} of {length}");
                    let words = plain_words(&bytes);
                    assert_eq!(words.is_some(), length < 32 && !is_special(byte), "{byte} at {at} of {length}");
                    bytes.resize(32, b' ');
                    assert!(words.is_none_or(|words| words.as_flattened() == bytes), "{byte} at {at} of {length}");
                }
            }
        }
    }
}
