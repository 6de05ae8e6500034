//! Owns the names that a derived reader takes, asked from the reader itself, so that they are told once. Does not know what
//! they mean.

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
}
