//! Reads objects in protobuf's JSON: integers of 64 bits are strings, enums are names, and names of fields have two casings. A value
//! of another type is treated as absent. Does not know what the members mean.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::json::{Members, Text};

/// An object with known members.
pub(super) trait Part<'a>: Sized {
    /// Reads the members that have the right type.
    fn of(object: &Members<'a>) -> Self;

    /// Reads `value` if it is an object.
    fn read(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok().map(|object| Self::of(&object))
    }
}

/// Declares [`Part`]s. A row is a field, the function that reads it, its type, and its name in JSON.
macro_rules! parts {
    ($($(#[$about:meta])* $part:ident {
        $($(#[$meta:meta])* $field:ident: $read:ident -> $type:ty = $name:literal,)*
    })*) => {$(
        $(#[$about])*
        #[derive(Clone, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $part<'a> {
            $($(#[$meta])* pub $field: $type,)*
        }

        impl<'a> $crate::livekit::protobuf_json::Part<'a> for $part<'a> {
            fn of(object: &$crate::json::Members<'a>) -> Self {
                Self { $($field: object.value($name).and_then($read).unwrap_or_default(),)* }
            }
        }
    )*};
}
pub(super) use parts;

pub(super) fn part<'a, T: Part<'a>>(value: &'a RawValue) -> Option<Option<T>> {
    T::read(value).map(Some)
}

/// A list of objects. An item of another type is left out.
pub(super) fn part_list<'a, T: Part<'a>>(value: &'a RawValue) -> Option<Vec<T>> {
    list(value, T::read)
}

/// A string, borrowed unless it has escapes.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(|text| text.0)
}

/// The name of an enum's value. If the sender has no name for the value, it is a number, which is kept as text.
pub(super) fn word(value: &RawValue) -> Option<Cow<'_, str>> {
    let number = || serde_json::from_str::<i32>(value.get()).is_ok().then_some(Cow::Borrowed(value.get()));
    text(value).or_else(number)
}

/// A list of names. An item of another type is left out.
pub(super) fn words(value: &RawValue) -> Option<Vec<Cow<'_, str>>> {
    list(value, word)
}

pub(super) fn flag(value: &RawValue) -> Option<bool> {
    serde_json::from_str(value.get()).ok()
}

/// An integer, which may be a number or a string.
pub(super) fn integer(value: &RawValue) -> Option<u64> {
    text(value).map_or_else(|| serde_json::from_str(value.get()).ok(), |digits| digits.parse().ok())
}

/// A map of strings. A member whose value is not a string is left out.
pub(super) fn texts(value: &RawValue) -> Option<BTreeMap<Cow<'_, str>, Cow<'_, str>>> {
    let members: BTreeMap<Text<'_>, &RawValue> = serde_json::from_str(value.get()).ok()?;
    Some(members.into_iter().filter_map(|(name, value)| Some((name.0, text(value)?))).collect())
}

fn list<'a, T>(value: &'a RawValue, read: impl FnMut(&'a RawValue) -> Option<T>) -> Option<Vec<T>> {
    let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
    Some(items.into_iter().filter_map(read).collect())
}

/// Whether `name` is the field `camel`, in lowerCamelCase or in `snake_case`: protobuf's JSON is read in both.
pub(crate) fn is_field(name: &str, camel: &str) -> bool {
    let underscore = |byte: u8| byte.is_ascii_uppercase().then_some(b'_');
    name == camel
        || camel.bytes().flat_map(|byte| underscore(byte).into_iter().chain([byte.to_ascii_lowercase()])).eq(name.bytes())
}

#[cfg(test)]
mod tests {
    use super::is_field;

    #[test]
    fn a_field_has_two_casings() {
        for name in ["assumeRoleExternalId", "assume_role_external_id"] {
            assert!(is_field(name, "assumeRoleExternalId"), "{name}");
        }
        for name in ["assumeroleexternalid", "AssumeRoleExternalId", "assume_roleExternalId", "assumeRoleExternalIds", ""] {
            assert!(!is_field(name, "assumeRoleExternalId"), "{name}");
        }
    }
}
