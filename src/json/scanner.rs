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

#[cfg(feature = "server")]
use super::ends::end_of_unread_value;
use super::ends::{DIGITS, end_of_value, integer, is_white_space, token};
use super::plain::end_of_plain;
use super::writer::Written;
use crate::clock::UnixTime;

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
    after.iter().all(|byte| is_white_space(*byte)).then_some(value)
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

    /// Skips any value with less work than [`skip`](Self::skip). Does not notice a mistake in a list or an object.
    #[cfg(feature = "server")]
    pub(crate) fn skip_unread(&mut self) -> Option<()> {
        self.at = end_of_unread_value(self.text.as_bytes(), self.at)?;
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

    /// As [`once`](Self::once), but takes a zero too: a `member` without a value is `None`.
    #[inline]
    pub(crate) fn once_optional<T: Scan<'a>>(&mut self, member: &mut Option<T>) -> Option<()> {
        member.replace(T::scan(self)?).is_none().then_some(())
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
