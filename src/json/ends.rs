//! Finds where JSON values end that are written as usual. Gives up, as `None`, on what is wrong and on what is unusual, as `scanner`
//! does, except where a value stays unread. Does not know what is done with them.

#[cfg(feature = "server")]
use memchr::memchr3;

#[cfg(feature = "server")]
use super::plain::has_odd_quotes;
use super::plain::{end_of_plain, end_of_short_plain};

/// Nested lists and objects that are skipped. In practice there are four.
const DEPTH: u32 = 32;
/// Digits of an integer that always fits 64 bits.
pub(super) const DIGITS: usize = 18;

/// RFC 8259, section 2.
pub(super) const fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// The first byte from `at` on that is not white space, and where the next one is.
#[inline]
pub(super) fn token(json: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        let byte = *json.get(at)?;
        at = at.wrapping_add(1);
        if byte > b' ' {
            return Some((byte, at));
        }
        if !is_white_space(byte) {
            return None;
        }
    }
}

/// Where the value ends that is next from `at` on. The lists and objects that are open are the bits of a stack, so this calls itself
/// nowhere.
pub(super) fn end_of_value(json: &[u8], mut at: usize) -> Option<usize> {
    let (mut open, mut objects) = (0_u32, 0_u32);
    loop {
        let (first, after) = token(json, at)?;
        at = match first {
            b'"' => end_of_string(json, after)?,
            b'{' | b'[' if open == DEPTH => return None,
            b'{' | b'[' => {
                (open, objects) = (open.wrapping_add(1), objects << 1 | u32::from(first == b'{'));
                match (first, token(json, after)?) {
                    (b'{', (b'"', after)) => {
                        at = end_of_name(json, after)?;
                        continue;
                    }
                    (b'{', (b'}', _)) | (b'[', (b']', _)) => after, // which is closed below
                    (b'[', _) => {
                        at = after;
                        continue;
                    }
                    _ => return None,
                }
            }
            b't' if json.get(after..)?.starts_with(b"rue") => after.wrapping_add(3),
            b'f' if json.get(after..)?.starts_with(b"alse") => after.wrapping_add(4),
            _ => integer(json, after.wrapping_sub(1))?.1,
        };
        loop {
            if open == 0 {
                return Some(at);
            }
            let (byte, after) = token(json, at)?;
            at = after;
            let is_object = objects & 1 == 1;
            match byte {
                b',' if is_object => {
                    let (b'"', after) = token(json, at)? else { return None };
                    at = end_of_name(json, after)?;
                    break;
                }
                b',' => break,
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return None,
            }
            (open, objects) = (open.wrapping_sub(1), objects >> 1);
        }
    }
}

/// Where the value ends that is next from `at` on, and that is taken to be valid: of a list or an object, this looks only for the bracket
/// that closes it, whatever is in it.
#[cfg(feature = "server")]
pub(super) fn end_of_unread_value(json: &[u8], at: usize) -> Option<usize> {
    match token(json, at)? {
        (b'{', after) => closing(b'{', b'}', json, after),
        (b'[', after) => closing(b'[', b']', json, after),
        _ => end_of_value(json, at),
    }
}

/// Where the bracket closes that was opened before `at`. Brackets in strings do not count.
#[cfg(feature = "server")]
fn closing(open: u8, close: u8, json: &[u8], mut at: usize) -> Option<usize> {
    let (mut depth, mut is_in_string) = (1_usize, false);
    loop {
        let rest = json.get(at..)?;
        let (before, found) = rest.split_at(memchr3(open, close, b'\\', rest)?);
        is_in_string ^= has_odd_quotes(before);
        let byte = *found.first()?;
        at = at.wrapping_add(before.len()).wrapping_add(1);
        if byte == b'\\' {
            at = at.wrapping_add(1); // what is escaped is no quote
        } else if !is_in_string {
            depth = if byte == open { depth.wrapping_add(1) } else { depth.wrapping_sub(1) };
            if depth == 0 {
                return Some(at);
            }
        }
    }
}

/// Where a value begins, after the name that begins at `at` and its colon.
#[inline]
fn end_of_name(json: &[u8], at: usize) -> Option<usize> {
    match token(json, end_of_string(json, at)?)? {
        (b':', after) => Some(after),
        _ => None,
    }
}

/// The end of a string, after its opening quote.
#[inline]
fn end_of_string(json: &[u8], at: usize) -> Option<usize> {
    match end_of_short_plain(json, at) {
        Some(end) if json.get(end) == Some(&b'"') => Some(end.wrapping_add(1)),
        _ => end_of_any_string(json, at),
    }
}

/// As [`end_of_string`], also for a long string, and for escapes of one character. Others are unusual.
#[inline(never)]
fn end_of_any_string(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = end_of_plain(json, at);
        match json.get(at..)? {
            [b'"', ..] => return Some(at.wrapping_add(1)),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => at = at.wrapping_add(2),
            _ => return None,
        }
    }
}

/// The integer without a sign that begins at `start`, and where it ends. If it has more than [`DIGITS`], only the end is right.
#[inline]
pub(super) fn integer(json: &[u8], start: usize) -> Option<(u64, usize)> {
    let (mut integer, mut at) = (0_u64, start);
    while let Some(digit @ b'0'..=b'9') = json.get(at) {
        integer = integer.wrapping_mul(10).wrapping_add(u64::from(digit & 0xf));
        at = at.wrapping_add(1);
    }
    let has_zero_before = json.get(start) == Some(&b'0') && at != start.wrapping_add(1);
    (at != start && !has_zero_before).then_some((integer, at))
}
