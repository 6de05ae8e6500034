//! Writes JSON objects. Does not know what the members mean.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::clock::UnixTime;

/// Appends `value` as JSON. Only for types whose serialization cannot fail: strings, numbers, and structs and maps of them.
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "only infallible types are written");
}

/// A member's name with the comma before it, its quotes and its colon, to be written at once. The name must not need escapes.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}
pub(crate) use name;

/// Writes an object straight into a buffer. Names come from [`name!`].
#[derive(Debug)]
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> ObjectWriter<'a> {
    /// Starts an object. Without [`end`](Self::end), its members continue another one.
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> Self {
        Self { start: out.len(), out }
    }

    /// Closes the object. The opening brace replaces the comma before its first member.
    pub(crate) fn end(self) {
        match self.out.get_mut(self.start) {
            Some(comma) => *comma = b'{',
            None => self.out.push(b'{'),
        }
        self.out.push(b'}');
    }

    /// The member `name`, whose value `write` appends.
    #[inline]
    pub(crate) fn member(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(name.as_bytes());
        write(self.out);
    }

    /// The member `name`, unless its value is zero.
    #[inline]
    pub(crate) fn non_zero<T: Written>(&mut self, name: &'static str, value: &T) {
        if !value.is_zero() {
            self.member(name, |out| value.write(out));
        }
    }

    /// The member `name`, unless `value` is empty.
    #[cfg(feature = "server")]
    pub(crate) fn text(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            self.member(name, |out| write(out, value));
        }
    }

    /// The member `name`.
    #[cfg(feature = "server")]
    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        self.member(name, |out| write(out, value));
    }

    /// A member of any name, whose value `append` appends.
    pub(crate) fn any<T>(&mut self, name: &str, append: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.out.push(b',');
        write(self.out, name);
        self.out.push(b':');
        append(self.out)
    }
}

/// A value that is written unless it is zero, as `omitempty` does in Go.
pub(crate) trait Written {
    /// The names of the members, if the value is an object with fixed ones.
    const MEMBERS: &'static [&'static str] = &[];

    /// Whether the value is left out.
    fn is_zero(&self) -> bool {
        false
    }

    /// Appends the value as JSON.
    fn write(&self, out: &mut Vec<u8>);
}

impl Written for bool {
    fn is_zero(&self) -> bool {
        !self
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl Written for String {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }

    fn write(&self, out: &mut Vec<u8>) {
        write(out, self);
    }
}

impl Written for UnixTime {
    fn write(&self, out: &mut Vec<u8>) {
        write(out, &self.as_secs());
    }
}

/// Only `None` is zero: an option keeps a `false`.
impl<T: Written> Written for Option<T> {
    const MEMBERS: &'static [&'static str] = T::MEMBERS;

    fn is_zero(&self) -> bool {
        self.is_none()
    }

    fn write(&self, out: &mut Vec<u8>) {
        if let Some(value) = self {
            value.write(out);
        }
    }
}

impl<T: Serialize> Written for Vec<T> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }

    fn write(&self, out: &mut Vec<u8>) {
        write(out, self);
    }
}

impl Written for BTreeMap<String, String> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }

    fn write(&self, out: &mut Vec<u8>) {
        write(out, self);
    }
}
