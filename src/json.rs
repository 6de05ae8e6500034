//! Owns what tokens and events need of JSON ([RFC 8259]) and `serde` alone does not say: an object's members one by one,
//! values untouched, so that nothing in them can fail a reader who does not want them; whether a name stands twice in one
//! object; and types that are read from one form alone. Knows nothing of what the members mean.
//!
//! [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::clock::UnixTime;

/// The members of one JSON object, in their order, duplicates included.
#[derive(Debug)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads `json`, which must be one object in UTF-8. Values may nest to any depth: they are skipped, not built.
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        from_utf8(json)
    }

    /// The value of the member `name`; of several with that name the last, as in ECMAScript.
    pub(crate) fn value(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(each, _)| each == name).map(|(_, value)| *value)
    }

    /// The members' names, in their order.
    #[cfg(feature = "server")]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// The members, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }

    /// Whether the member `name` stands there more than once.
    #[cfg(feature = "server")]
    pub(crate) fn is_ambiguous(&self, name: &str) -> bool {
        self.0.iter().filter(|(each, _)| each == name).count() > 1
    }

    /// The member `name` as a `T`; `None` also where it is of another type.
    pub(crate) fn read<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.value(name)?.get()).ok()
    }

    /// The member `name` as a string, borrowed where it has no escapes; `None` also where it is of another type.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.read::<Text<'a>>(name).map(|text| text.0)
    }
}

impl<'a> Deserialize<'a> for Members<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'a> Visitor<'a> for MembersVisitor {
            type Value = Members<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(Text(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A string that is borrowed where the JSON holds it as it is.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Reads `json` as a `T`. Checks its UTF-8 once and not string by string.
pub(crate) fn from_utf8<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_str(str::from_utf8(json).map_err(serde_json::Error::custom)?)
}

/// How much a text of JSON may hold. Checked before it is read, without building anything, so that the time and the memory that
/// reading takes are bounded too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Values, at all depths.
    pub(crate) values: usize,
    /// Lists and objects within each other.
    pub(crate) depth: usize,
    /// Bytes outside of strings, and those of escapes within them: what a reader looks at one by one.
    pub(crate) steps: usize,
}

/// What is beyond its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    Values,
    Depth,
    Steps,
}

impl Bounds {
    /// Checks `json`, which need not be JSON. The commas outside of strings are counted, for each stands before a value.
    pub(crate) fn check(self, json: &[u8]) -> Result<(), Excess> {
        if json.len() <= self.values.min(self.depth).min(self.steps) {
            return Ok(()); // it has fewer bytes than it may have values
        }
        let (mut values, mut depth, mut steps) = (0_usize, 0_usize, 0_usize);
        let mut bytes = json.iter();
        while let Some(byte) = bytes.next() {
            steps = steps.saturating_add(1);
            match byte {
                b'"' => steps = steps.saturating_add(skip_string(&mut bytes, self.steps)),
                b',' => values = values.saturating_add(1),
                b'{' | b'[' => {
                    depth = depth.saturating_add(1);
                    if depth > self.depth {
                        return Err(Excess::Depth);
                    }
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if values > self.values {
                return Err(Excess::Values);
            }
            if steps > self.steps {
                return Err(Excess::Steps);
            }
        }
        Ok(())
    }
}

/// Moves `bytes` behind the string whose opening quote they have passed, and counts four for each escape. Stops where that is more
/// than `most`.
fn skip_string(bytes: &mut std::slice::Iter<'_, u8>, most: usize) -> usize {
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\');
    let mut escapes = 0_usize;
    while escapes <= most {
        // Most of a long string is plain: 32 bytes at once.
        while let Some((plain, rest)) = bytes.as_slice().split_first_chunk::<32>()
            && !plain.iter().fold(false, |found, byte| found | is_special(byte))
        {
            *bytes = rest.iter();
        }
        if bytes.find(|byte| is_special(byte)) != Some(&b'\\') {
            break;
        }
        bytes.next();
        escapes = escapes.saturating_add(4);
    }
    escapes
}

/// Any one JSON value in which no object, at any depth, names a member twice.
#[derive(Debug)]
pub(crate) struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without duplicate names")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self, A::Error> {
        while sequence.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = Names::default();
        while let Some(name) = map.next_key()? {
            names.push(name);
            map.next_value::<Self>()?;
        }
        names.check()?;
        Ok(self)
    }
}

/// The names of the members of one object.
#[derive(Debug, Default)]
pub(crate) struct Names<'a>(Vec<Text<'a>>);

impl<'a> Names<'a> {
    pub(crate) fn push(&mut self, name: Text<'a>) {
        self.0.push(name);
    }

    /// An error where a name stands there twice. Sorts them, for that takes less than hashing where they are few, and not
    /// much more where they are many.
    pub(crate) fn check<E: Error>(mut self) -> Result<(), E> {
        self.0.sort_unstable();
        if self.0.windows(2).all(|pair| pair.first() != pair.last()) {
            Ok(())
        } else {
            Err(E::custom("a name stands twice in one object"))
        }
    }
}

/// Reads a struct from an object; `null` is as if it were absent. What `derive` makes would take a list of the fields' values too.
pub(crate) fn only_object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_any(Object(PhantomData))
}

/// An enum's variant that is read from a string. What `derive` makes would take an object of that one name too.
#[derive(Debug)]
pub(crate) struct Named<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Text::deserialize(deserializer)?;
        T::deserialize(name.0.into_deserializer()).map(Self)
    }
}

/// Appends `text` as a JSON string.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        write(out, text);
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

/// Appends `value` as JSON. For types whose serialization cannot fail: strings, numbers, and structs and maps of them.
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "only infallible types are written");
}

/// A member's name as it stands in an object, to be written in one go. It needs no escapes.
macro_rules! name {
    ($name:literal) => {
        concat!("\"", $name, "\":")
    };
}
pub(crate) use name;

/// Writes one object straight into a buffer. Zero values are left out, as `omitempty` does in Go. Names come from [`name!`].
#[derive(Debug)]
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> ObjectWriter<'a> {
    /// An object of its own.
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out }
    }

    /// More members of an object that has some.
    pub(crate) fn resume(out: &'a mut Vec<u8>) -> Self {
        out.push(b',');
        Self { out }
    }

    /// Closes the object, in place of the comma after its last member.
    pub(crate) fn end(self) {
        match self.out.last_mut() {
            Some(comma @ b',') => *comma = b'}',
            _ => self.out.push(b'}'),
        }
    }

    /// The member whose value `write` appends.
    #[inline]
    pub(crate) fn member(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(name.as_bytes());
        write(self.out);
        self.out.push(b',');
    }

    /// The member `name`, unless its value is zero.
    #[inline]
    pub(crate) fn non_zero<T: Written>(&mut self, name: &'static str, value: &T) {
        if !value.is_zero() {
            self.member(name, |out| value.write(out));
        }
    }

    #[inline]
    pub(crate) fn text(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            self.member(name, |out| write_text(out, value));
        }
    }

    #[inline]
    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        self.member(name, |out| write(out, value));
    }

    /// A member of any name.
    pub(crate) fn further<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.any(name, |out| write(out, value));
    }

    /// A member of any name, whose value `write` appends.
    pub(crate) fn any<T>(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        write_text(self.out, name);
        self.out.push(b':');
        let written = write(self.out);
        self.out.push(b',');
        written
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

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl Written for String {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        write_text(out, self);
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

    #[inline]
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

#[cfg(test)]
mod tests {
    use super::{Bounds, Excess};

    #[test]
    fn what_is_bounded_is_counted_outside_of_strings() {
        let bounds = Bounds { values: 3, depth: 3, steps: 40 };
        for (json, expected) in [
            (r#"{"a":[1,2],"b":{}}"#, Ok(())),
            (r#"{"a":[1,2],"b":[3,4]}"#, Ok(())),
            (r#"{"a":[1,2],"b":[3,4,5]}"#, Err(Excess::Values)),
            (r#"[[["[[[[,,,,,\"]]]]"]]]"#, Ok(())),
            ("[[[[", Err(Excess::Depth)),
            ("[[]][[]][[]]", Ok(())),
            (&" ".repeat(41), Err(Excess::Steps)),
            (&format!("\"{}\"", "x".repeat(1000)), Ok(())),
            (&format!("\"{}\\", "x".repeat(1000)), Ok(())),
            (&format!("\"{}\",,,,", "x".repeat(31)), Err(Excess::Values)),
            (&format!("\"{}\"", r"\n".repeat(9)), Ok(())),
            (&format!("\"{}\"", r"\n".repeat(11)), Err(Excess::Steps)),
        ] {
            assert_eq!(bounds.check(json.as_bytes()), expected, "{json}");
        }
    }
}
