//! Owns the names of fields: those that a derived reader takes, asked from the reader itself, so that they are told once, and the
//! two casings of protobuf's JSON. Does not know what they mean.

use serde::Deserialize;
use serde::de::value::Error;
use serde::de::{Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// The field names of the struct `T` in JSON.
pub(crate) fn field_names<T: Deserialize<'static>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    let _ = T::deserialize(Asked(&mut names)); // cannot succeed: there is nothing to read
    names
}

/// Whether `name` is the field `camel`, in lowerCamelCase or in `snake_case`: protobuf's JSON is read in both.
pub(crate) fn is_field(name: &str, camel: &str) -> bool {
    let underscore = |byte: u8| byte.is_ascii_uppercase().then_some(b'_');
    name == camel
        || camel.bytes().flat_map(|byte| underscore(byte).into_iter().chain([byte.to_ascii_lowercase()])).eq(name.bytes())
}

/// Whether the last word of `name`, in either casing, is `word`.
pub(crate) fn ends_in(name: &str, word: &str) -> bool {
    let Some(at) = name.len().checked_sub(word.len()) else { return false };
    let (before, last) = name.as_bytes().split_at(at);
    last.eq_ignore_ascii_case(word.as_bytes())
        && (matches!(before.last(), None | Some(b'_')) || last.first().is_some_and(u8::is_ascii_uppercase))
}

/// Notes which fields it is asked for.
struct Asked<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("there is nothing to read"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::livekit::grants::{SIPGrants, VideoGrants};

    #[test]
    fn names_are_those_of_json() {
        assert_eq!(field_names::<SIPGrants>(), ["admin", "call"]);
        assert!(field_names::<VideoGrants>().contains(&"canPublishSources"));
        assert!(field_names::<String>().is_empty());
    }

    #[test]
    fn a_field_has_two_casings() {
        for name in ["assumeRoleExternalId", "assume_role_external_id"] {
            assert!(is_field(name, "assumeRoleExternalId"), "{name}");
        }
        for name in ["assumeroleexternalid", "AssumeRoleExternalId", "assume_roleExternalId", "assumeRoleExternalIds", ""] {
            assert!(!is_field(name, "assumeRoleExternalId"), "{name}");
        }
    }

    #[test]
    fn a_word_begins_with_a_capital_or_after_an_underscore() {
        for name in ["url", "websocketUrl", "custom_base_url", "baseURL"] {
            assert!(ends_in(name, "url"), "{name}");
        }
        for name in ["curl", "urls", "urlName", "", "rl", "\u{e9}rl"] {
            assert!(!ends_in(name, "url"), "{name}");
        }
    }
}
