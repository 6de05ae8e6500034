//! Reads the members of an object as protobuf's JSON writes them: integers of 64 bits as strings, enums as names. A value of
//! another type is as if it were absent. Does not know what the members mean.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::json::{Members, Text};

/// What `read` makes of the member `name`: the type's default where there is none, or one of another type.
pub(super) fn member<'a, T: Default>(object: &Members<'a>, name: &str, read: impl FnOnce(&'a RawValue) -> Option<T>) -> T {
    object.value(name).and_then(read).unwrap_or_default()
}

/// A string, borrowed where it has no escapes.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(|text| text.0)
}

/// The name of an enum's value. A value that the sender has no name for is a number, which is kept as text.
pub(super) fn word(value: &RawValue) -> Option<Cow<'_, str>> {
    let number = || serde_json::from_str::<i32>(value.get()).is_ok().then_some(Cow::Borrowed(value.get()));
    text(value).or_else(number)
}

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

/// A map of strings. A member whose value is no string is left out.
pub(super) fn texts(value: &RawValue) -> Option<BTreeMap<Cow<'_, str>, Cow<'_, str>>> {
    let members: BTreeMap<Text<'_>, &RawValue> = serde_json::from_str(value.get()).ok()?;
    Some(members.into_iter().filter_map(|(name, value)| Some((name.0, text(value)?))).collect())
}

/// A list of what `read` reads. An item of another type is left out.
pub(super) fn list<'a, T>(value: &'a RawValue, read: impl FnMut(&'a RawValue) -> Option<T>) -> Option<Vec<T>> {
    let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
    Some(items.into_iter().filter_map(read).collect())
}
