//! Parses a query whose parameters are known. Does not know what they mean.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::http::field_error::FieldError;
use crate::http::limits::{PAGE_ENTRIES, PARAMETER_CHARS, QUERY_BYTES};
use crate::http::refusal::Refusal;

/// Ignored. Scripts add it so that no cache answers.
const CACHE_BUSTER: &str = "_";

/// The parameters of a query, each at most once, by name.
#[derive(Debug, Default)]
pub(crate) struct Parameters<'a>(BTreeMap<&'static str, Cow<'a, str>>);

impl<'a> Parameters<'a> {
    /// Parses the part of a target after `?`. An unknown parameter is refused, because a misspelt filter would have no effect.
    pub(crate) fn parse(query: &'a str, known: &'static [&'static str]) -> Result<Self, Refusal> {
        Self::parse_all(query, known, |_, value| Ok(Some(value)))
    }

    /// The same. `keep` may take a value for itself, so that its parameter can be repeated.
    pub(crate) fn parse_all(
        query: &'a str,
        known: &'static [&'static str],
        mut keep: impl FnMut(&'static str, Cow<'a, str>) -> Result<Option<Cow<'a, str>>, Refusal>,
    ) -> Result<Self, Refusal> {
        if query.len() > QUERY_BYTES {
            return Err(Refusal::QueryTooLong);
        }
        let mut parsed = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != CACHE_BUSTER) {
            let name = known.iter().copied().find(|known| *known == name).ok_or_else(|| unknown("query", &name, known))?;
            if let Some(value) = keep(name, value)?
                && parsed.0.insert(name, value).is_some()
            {
                return Err(Refusal::Field(name, FieldError::Twice));
            }
        }
        Ok(parsed)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// The entries on a page.
    pub(crate) fn limit(&self) -> Result<usize, Refusal> {
        let (usual, most) = PAGE_ENTRIES;
        Ok(self.number("limit")?.map_or(usual, |limit| limit.try_into().unwrap_or(most).min(most)))
    }

    /// A whole number of any length. One that is too large becomes the largest.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.value(name) else { return Ok(None) };
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::Field(name, FieldError::NotANumber));
        }
        Ok(Some(text.parse().unwrap_or(u64::MAX)))
    }
}

/// A part of a request, its query or its body, has a `name` that is not among the `known` ones. Escapes and shortens the name,
/// because it may be anything, even a misplaced token.
pub(crate) fn unknown(part: &'static str, name: &str, known: &'static [&'static str]) -> Refusal {
    Refusal::UnknownName { part, name: name.chars().take(PARAMETER_CHARS).flat_map(char::escape_debug).collect(), known }
}
