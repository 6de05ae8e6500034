//! The JSON ([RFC 8259]) of tokens and events, as far as `serde` alone does not do it: reads an object member by member without
//! parsing the values, refuses duplicate names, bounds what is read, and writes objects. Does not know what the members mean.
//!
//! [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

mod bounds;
mod digits;
mod ends;
mod plain;
mod scanner;
#[cfg(feature = "server")]
mod unique;
mod writer;

pub(crate) use bounds::{Bounds, Excess};
pub(crate) use digits::ten_digits;
#[cfg(feature = "server")]
pub(crate) use plain::is_plain_ascii;
pub(crate) use plain::plain_words;
pub(crate) use scanner::{Scan, Scanner, scan};
#[cfg(feature = "server")]
pub(crate) use unique::unique;
pub(crate) use writer::{Buffer, ObjectWriter, Written, name, write, write_text};

/// The members of a JSON object in their order, with duplicates.
#[derive(Debug)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads `json`, which must be an object in UTF-8. Values may nest to any depth, because they are skipped and not built.
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        from_utf8(json)
    }

    /// The value of the member `name`; the last one if there are several, as in ECMAScript.
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

    /// Whether there is more than one member `name`.
    #[cfg(feature = "server")]
    pub(crate) fn is_ambiguous(&self, name: &str) -> bool {
        self.0.iter().filter(|(each, _)| each == name).count() > 1
    }

    /// The member `name` as a `T`; `None` also if it has another type.
    pub(crate) fn read<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.value(name)?.get()).ok()
    }

    /// The member `name` as a string, borrowed unless it has escapes; `None` also if it has another type.
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

/// A string, borrowed unless it has escapes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Reads `json` as a `T`. Checks UTF-8 once for the whole text, not for each string.
pub(crate) fn from_utf8<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_str(str::from_utf8(json).map_err(serde_json::Error::custom)?)
}

/// Reads `json` as a `T`, quickly if it is written as usual.
pub(crate) fn scan_or_read<'a, T: Scan<'a> + Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    let json = str::from_utf8(json).map_err(serde_json::Error::custom)?;
    scan(json).map_or_else(|| serde_json::from_str(json), Ok)
}

/// Any JSON value in which no object, at any depth, has two members of one name.
#[derive(Debug)]
pub(crate) struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

macro_rules! leaves {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Self, E> {
            Ok(self)
        })*
    };
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without duplicate names")
    }

    leaves! { visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self, A::Error> {
        while sequence.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = map.next_key()? {
            names.push(name);
            map.next_value::<Self>()?;
        }
        refuse_duplicates(names)?;
        Ok(self)
    }
}

/// Refuses two equal `names` of one object. Sorts them, because that is faster than hashing a few, and not much slower for many.
pub(crate) fn refuse_duplicates<E: Error>(mut names: Vec<Text<'_>>) -> Result<(), E> {
    names.sort_unstable();
    if names.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(E::custom("an object has two members of one name"));
    }
    Ok(())
}

/// Reads a struct from an object; `null` counts as absent. A derived reader would also accept a list of the values.
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

/// An enum's variant, read from a string. A derived reader would also accept an object with that one name.
#[derive(Debug)]
pub(crate) struct Named<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Text::deserialize(deserializer)?;
        T::deserialize(name.0.into_deserializer()).map(Self)
    }
}

/// `json` and what a few mistakes make of it, for the tests of quick readers.
#[cfg(test)]
pub(crate) fn mutations(json: &str) -> impl Iterator<Item = String> {
    let places = (0..=json.len()).filter_map(move |at| json.split_at_checked(at));
    let mutated = places.flat_map(move |(before, after)| {
        let cut = after.get(1..).unwrap_or_default();
        let others =
            ["", "\"", "\\", "{", "}", "[", "]", ":", ",", "0", "1", "-", ".", "e", "t", "null", "{}", " ", "\n", "\u{1}", "ä"];
        let replaced = others.map(|other| format!("{before}{other}{cut}"));
        let inserted = others.map(|other| format!("{before}{other}{after}"));
        replaced.into_iter().chain(inserted).chain([
            before.to_owned(),
            format!("{json}{after}"),
            format!("{before}{json}{after}"),
        ])
    });
    mutated.chain([json.to_owned()])
}
