//! Compares the names of fields: protobuf's JSON has two casings of each. Does not know what the fields mean.

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

#[cfg(test)]
mod tests {
    use super::*;

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
