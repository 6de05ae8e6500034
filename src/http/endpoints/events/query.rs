//! Parses the query and `Last-Event-ID`. Does not know what the client may read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hyper::header::HeaderMap;

use crate::http::field_error::FieldError;
use crate::http::limits::{LONGEST_WAIT, PAGE_ENTRIES, PARAMETER_CHARS, QUERY_BYTES, QUERY_EVENTS};
use crate::http::refusal::Refusal;
use crate::inbox::Cursor;

/// The parameters that a query may have.
const PARAMETERS: &[&str] = &["after", "lastEventId", "limit", "wait", "room", EVENT, "named", "access_token"];
/// The only parameter that may be repeated.
const EVENT: &str = "event";
/// Ignored. Scripts add it so that no cache answers.
const CACHE_BUSTER: &str = "_";
/// The value of `after` for new events only.
const LATEST: &str = "latest";

#[derive(Default)]
pub(super) struct Query<'a> {
    /// The parameters that may appear once, by name.
    values: BTreeMap<&'static str, Cow<'a, str>>,
    pub(super) events: Vec<String>,
}

/// Where a reader begins.
#[derive(Clone, Copy)]
pub(super) enum Beginning {
    /// Before the oldest event.
    Oldest,
    /// After the newest event.
    Latest,
    /// After a cursor, which came in this field.
    After(&'static str, Cursor),
}

/// For the log.
impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oldest => f.write_str("the oldest"),
            Self::Latest => f.write_str("the latest"),
            Self::After(_, cursor) => cursor.fmt(f),
        }
    }
}

impl<'a> Query<'a> {
    /// Parses the part of a target after `?`. An unknown parameter is refused, because a misspelt filter would have no effect.
    pub(super) fn parse(query: &'a str) -> Result<Self, Refusal> {
        if query.len() > QUERY_BYTES {
            return Err(Refusal::QueryTooLong);
        }
        let mut parsed = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != CACHE_BUSTER) {
            let known = PARAMETERS.iter().copied().find(|known| *known == name).ok_or_else(|| unknown(&name))?;
            if known != EVENT {
                if parsed.values.insert(known, value).is_some() {
                    return Err(Refusal::Field(known, FieldError::Twice));
                }
            } else if parsed.events.len() < QUERY_EVENTS {
                parsed.events.push(value.into_owned());
            } else {
                return Err(Refusal::Field(EVENT, FieldError::TooMany(QUERY_EVENTS)));
            }
        }
        Ok(parsed)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| &**value)
    }

    /// Where to begin. `Last-Event-ID` takes precedence, because an `EventSource` that reconnects sends the same query again.
    /// `lastEventId` is that header from polyfills that cannot set it. Both are empty before the first event.
    pub(super) fn start(&self, headers: &HeaderMap) -> Result<Beginning, Refusal> {
        let header = headers.get("last-event-id").map(|value| ("Last-Event-ID", value.to_str().unwrap_or("?")));
        let queried = self.value("lastEventId").map(|id| ("lastEventId", id));
        let last = [header, queried].into_iter().flatten().find(|(_, id)| !id.is_empty());
        let (field, cursor) = match (last, self.value("after")) {
            (Some(last), _) => last,
            (None, Some(LATEST)) => return Ok(Beginning::Latest),
            (None, Some(after)) => ("after", after),
            (None, None) => return Ok(Beginning::Oldest),
        };
        cursor.parse().map(|cursor| Beginning::After(field, cursor)).or(Err(Refusal::Field(field, FieldError::NotACursor)))
    }

    pub(super) fn limit(&self) -> Result<usize, Refusal> {
        let (usual, most) = PAGE_ENTRIES;
        Ok(self.number("limit")?.map_or(usual, |limit| limit.try_into().unwrap_or(most).min(most)))
    }

    pub(super) fn wait(&self) -> Result<Duration, Refusal> {
        Ok(Duration::from_secs(self.number("wait")?.unwrap_or(0)).min(LONGEST_WAIT))
    }

    /// Whether the events of a stream have names.
    pub(super) fn is_named(&self) -> Result<bool, Refusal> {
        self.value("named").map_or(Ok(true), str::parse).or(Err(Refusal::Field("named", FieldError::NotABoolean)))
    }

    /// A whole number of any length. One that is too large becomes the largest.
    fn number(&self, name: &'static str) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.value(name) else { return Ok(None) };
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::Field(name, FieldError::NotANumber));
        }
        Ok(Some(text.parse().unwrap_or(u64::MAX)))
    }
}

/// Escapes and shortens the name, because it may be anything, even a misplaced token.
fn unknown(name: &str) -> Refusal {
    let name = name.chars().take(PARAMETER_CHARS).flat_map(char::escape_debug).collect();
    Refusal::UnknownParameter(name, PARAMETERS)
}
