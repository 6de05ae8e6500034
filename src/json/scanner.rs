//! Reads JSON ([RFC 8259]) in the form in which programs usually write it, because a general reader takes longer. Gives up, as `None`,
//! on what is wrong and on what is unusual: an escape in a string that is wanted, a fraction, a `null`, an object in an unknown
//! member. Then `serde` has to read the text: only that says what is wrong. Does not know what the members mean.
//!
//! [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use super::plain::end_of_plain;
use super::writer::Written;
use crate::clock::UnixTime;

/// Nested lists and objects that are skipped. In practice there are four.
const DEPTH: u32 = 32;
/// Digits of an integer that always fits 64 bits.
const DIGITS: usize = 18;

/// A value that may be read quickly.
pub(crate) trait Scan<'a>: Sized {
    /// Reads the next value.
    fn scan(scanner: &mut Scanner<'a>) -> Option<Self>;
}

/// Reads all of `json`.
pub(crate) fn scan<'a, T: Scan<'a>>(json: &'a str) -> Option<T> {
    let mut scanner = Scanner { text: json, at: 0 };
    let value = T::scan(&mut scanner)?;
    let after = json.as_bytes().get(scanner.at..)?;
    after.iter().all(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).then_some(value)
}

/// A place in a JSON text.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// The next byte that is not white space; `None` at the end.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        let (byte, after) = token(self.text.as_bytes(), self.at)?;
        self.at = after.wrapping_sub(1);
        Some(byte)
    }

    /// The next byte that is not white space.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (byte, after) = token(self.text.as_bytes(), self.at)?;
        self.at = after;
        Some(byte)
    }

    #[inline]
    fn expect(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// A string without escapes.
    #[inline]
    pub(crate) fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        let end = end_of_plain(self.text.as_bytes(), start);
        self.at = end.wrapping_add(1);
        if self.text.as_bytes().get(end) == Some(&b'"') { self.text.get(start..end) } else { None }
    }

    /// An integer of at most 18 digits, without a sign.
    pub(crate) fn integer(&mut self) -> Option<u64> {
        self.peek()?;
        let (integer, end) = integer(self.text.as_bytes(), self.at)?;
        let digits = end.wrapping_sub(self.at);
        self.at = end;
        (digits <= DIGITS).then_some(integer)
    }

    /// An object, of which `member` reads each value.
    #[inline]
    pub(crate) fn object(&mut self, mut member: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        self.items(b'}', |scanner| {
            let name = scanner.string()?;
            scanner.expect(b':')?;
            member(scanner, name)
        })
    }

    /// The items of a list or an object until it is closed.
    #[inline]
    fn items(&mut self, close: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if self.peek()? == close {
            return self.expect(close);
        }
        loop {
            item(self)?;
            match self.next()? {
                b',' => {}
                byte => return (byte == close).then_some(()),
            }
        }
    }

    /// Skips any value.
    pub(crate) fn skip(&mut self) -> Option<()> {
        self.at = end_of_value(self.text.as_bytes(), self.at)?;
        Some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let is_next = self.rest().starts_with(word.as_bytes());
        self.at = self.at.wrapping_add(word.len());
        is_next.then_some(())
    }

    /// The value of a member that may be given only once. Gives up on a zero, because then a second value would not be noticed.
    #[inline]
    pub(crate) fn once<T: Scan<'a> + Written>(&mut self, member: &mut T) -> Option<()> {
        let value = T::scan(self)?;
        if value.is_zero() || !member.is_zero() {
            return None;
        }
        *member = value;
        Some(())
    }

    /// The value of the member `name`, which is not known, and so is none of the `others`. Gives up on a list or an object.
    pub(crate) fn other(&mut self, name: &'a str, others: &mut Vec<&'a str>) -> Option<()> {
        if others.contains(&name) || others.len() > 16 {
            return None;
        }
        others.push(name);
        match self.peek()? {
            b'"' => self.string().map(drop),
            b't' | b'f' => bool::scan(self).map(drop),
            _ => self.integer().map(drop),
        }
    }

    /// An enum's variant.
    pub(crate) fn variant<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let name: StrDeserializer<'a, Error> = self.string()?.into_deserializer();
        T::deserialize(name).ok()
    }
}

/// The first byte from `at` on that is not white space, and where the next one is.
#[inline]
fn token(json: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        let byte = *json.get(at)?;
        at = at.wrapping_add(1);
        if byte > b' ' {
            return Some((byte, at));
        }
        if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            return None;
        }
    }
}

/// Where the value ends that is next from `at` on. The lists and objects that are open are the bits of a stack, so this calls itself
/// nowhere.
fn end_of_value(json: &[u8], mut at: usize) -> Option<usize> {
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

/// Where a value begins, after the name that begins at `at` and its colon.
#[inline]
fn end_of_name(json: &[u8], at: usize) -> Option<usize> {
    match token(json, end_of_string(json, at)?)? {
        (b':', after) => Some(after),
        _ => None,
    }
}

/// The end of a string, after its opening quote. Its escapes are only those of one character.
#[inline]
fn end_of_string(json: &[u8], mut at: usize) -> Option<usize> {
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
fn integer(json: &[u8], start: usize) -> Option<(u64, usize)> {
    let (mut integer, mut at) = (0_u64, start);
    while let Some(digit @ b'0'..=b'9') = json.get(at) {
        integer = integer.wrapping_mul(10).wrapping_add(u64::from(digit & 0xf));
        at = at.wrapping_add(1);
    }
    let is_integer = match at.wrapping_sub(start) {
        0 => false,
        1 => true,
        _ => json.get(start) != Some(&b'0'),
    };
    is_integer.then_some((integer, at))
}

impl<'a> Scan<'a> for Cow<'a, str> {
    #[inline]
    fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        scanner.string().map(Cow::Borrowed)
    }
}

impl<'a> Scan<'a> for String {
    #[inline]
    fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        scanner.string().map(str::to_owned)
    }
}

impl<'a> Scan<'a> for bool {
    fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        match scanner.peek()? {
            b't' => scanner.word("true").map(|()| true),
            _ => scanner.word("false").map(|()| false),
        }
    }
}

impl<'a> Scan<'a> for UnixTime {
    fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        scanner.integer().map(Self::from_secs)
    }
}

impl<'a, T: Scan<'a>> Scan<'a> for Option<T> {
    #[inline]
    fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        T::scan(scanner).map(Some)
    }
}

impl<'a, T: Scan<'a>> Scan<'a> for Vec<T> {
    fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        let mut items = Self::new();
        scanner.expect(b'[')?;
        scanner.items(b']', |scanner| {
            items.push(T::scan(scanner)?);
            Some(())
        })?;
        Some(items)
    }
}

impl<'a> Scan<'a> for BTreeMap<String, String> {
    fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        let mut members = Self::new();
        scanner.object(|scanner, name| {
            let value = String::scan(scanner)?;
            members.insert(name.to_owned(), value).is_none().then_some(())
        })?;
        Some(members)
    }
}
