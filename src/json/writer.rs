//! Writes JSON objects. Does not know what the members mean.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use super::plain::is_plain;
use crate::clock::UnixTime;

/// Where JSON is written: memory that cannot fail.
pub(crate) trait Buffer: io::Write {
    /// Appends `bytes`.
    fn append(&mut self, bytes: &[u8]);

    /// Appends the first `length` of `bytes`. What follows them may be overwritten.
    #[inline]
    fn append_start(&mut self, bytes: &[[u8; 8]; 4], length: usize) {
        self.append(bytes.as_flattened().get(..length).unwrap_or_default());
    }

    /// What has been written.
    fn written(&mut self) -> &mut [u8];
}

impl Buffer for Vec<u8> {
    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn written(&mut self) -> &mut [u8] {
        self
    }
}

/// Appends `value` as JSON. Only for types whose serialization cannot fail: strings, numbers, and structs and maps of them.
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut impl Buffer, value: &T) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "only infallible types are written");
}

/// Appends `text` as a string, in one piece unless it needs escapes.
#[inline]
pub(crate) fn write_text<T: AsRef<[u8]> + Serialize + ?Sized>(out: &mut impl Buffer, text: &T) {
    if is_plain(text.as_ref()) {
        out.append(b"\"");
        out.append(text.as_ref());
        out.append(b"\"");
    } else {
        write(out, text);
    }
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
pub(crate) struct ObjectWriter<'a, B> {
    out: &'a mut B,
    start: usize,
}

impl<'a, B: Buffer> ObjectWriter<'a, B> {
    /// Starts an object. Without [`end`](Self::end), its members continue another one.
    #[inline]
    pub(crate) fn begin(out: &'a mut B) -> Self {
        Self { start: out.written().len(), out }
    }

    /// Closes the object. The opening brace replaces the comma before its first member.
    #[inline]
    pub(crate) fn end(self) {
        match self.out.written().get_mut(self.start) {
            Some(comma) => *comma = b'{',
            None => self.out.append(b"{"),
        }
        self.out.append(b"}");
    }

    /// Members that are written already, each after its comma.
    #[inline]
    pub(crate) fn continue_with(&mut self, members: &[u8]) {
        self.out.append(members);
    }

    /// The member `name`, whose value `write` appends.
    #[inline]
    pub(crate) fn member(&mut self, name: &'static str, write: impl FnOnce(&mut B)) {
        self.out.append(name.as_bytes());
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
            self.member(name, |out| write_text(out, value));
        }
    }

    /// The member `name`.
    #[cfg(feature = "server")]
    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        self.member(name, |out| write(out, value));
    }

    /// A member of any name, whose value `append` appends.
    pub(crate) fn any<T>(&mut self, name: &str, append: impl FnOnce(&mut B) -> T) -> T {
        self.out.append(b",");
        write_text(self.out, name);
        self.out.append(b":");
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
    fn write(&self, out: &mut impl Buffer);
}

impl Written for bool {
    fn is_zero(&self) -> bool {
        !self
    }

    fn write(&self, out: &mut impl Buffer) {
        out.append(if *self { b"true" } else { b"false" });
    }
}

impl Written for String {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }

    #[inline]
    fn write(&self, out: &mut impl Buffer) {
        write_text(out, self);
    }
}

impl Written for UnixTime {
    fn write(&self, out: &mut impl Buffer) {
        write(out, &self.as_secs());
    }
}

/// Only `None` is zero: an option keeps a `false`.
impl<T: Written> Written for Option<T> {
    const MEMBERS: &'static [&'static str] = T::MEMBERS;

    fn is_zero(&self) -> bool {
        self.is_none()
    }

    fn write(&self, out: &mut impl Buffer) {
        if let Some(value) = self {
            value.write(out);
        }
    }
}

impl<T: Serialize> Written for Vec<T> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }

    fn write(&self, out: &mut impl Buffer) {
        write(out, self);
    }
}

impl Written for BTreeMap<String, String> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }

    fn write(&self, out: &mut impl Buffer) {
        write(out, self);
    }
}
