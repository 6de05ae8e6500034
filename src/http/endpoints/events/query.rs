//! Owns the reading of the query (<https://url.spec.whatwg.org/#application/x-www-form-urlencoded>) and of `Last-Event-ID`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use hyper::header::HeaderMap;

use crate::http::limits::{LONGEST_WAIT, PAGE_ENTRIES, PARAMETER_CHARS, QUERY_BYTES, QUERY_EVENTS};
use crate::http::reply::{FieldError, Refusal};
use crate::inbox::Cursor;

/// The parameters that a query may have.
pub(crate) const PARAMETERS: [&str; 8] = ["after", "lastEventId", "limit", "wait", "room", "event", "named", "access_token"];
/// One more, which means nothing: scripts add it so that no cache answers.
const CACHE_BUSTER: &str = "_";
/// The place that a reader begins at to get only what comes.
const LATEST: &str = "latest";

/// What a reader asks for, decoded.
#[derive(Default)]
pub(super) struct Query<'a> {
    after: Option<Cow<'a, str>>,
    last_event_id: Option<Cow<'a, str>>,
    limit: Option<Cow<'a, str>>,
    wait: Option<Cow<'a, str>>,
    named: Option<Cow<'a, str>>,
    pub(super) access_token: Option<Cow<'a, str>>,
    pub(super) room: Option<Cow<'a, str>>,
    pub(super) events: Vec<String>,
}

/// Where a reader begins.
#[derive(Clone, Copy)]
pub(super) enum Start {
    /// Before everything that is kept.
    Oldest,
    /// Behind everything that is there now.
    Latest,
    /// Behind a cursor; the field says so.
    After(&'static str, Cursor),
}

impl Start {
    /// The cursor that the reader knows.
    pub(super) fn cursor(self) -> Option<Cursor> {
        if let Self::After(_, cursor) = self { Some(cursor) } else { None }
    }
}

/// As the log tells it.
impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oldest => f.write_str("the oldest"),
            Self::Latest => f.write_str("the latest"),
            Self::After(_, cursor) => cursor.fmt(f),
        }
    }
}

impl<'a> Query<'a> {
    /// Reads the part of a target behind its `?`. A parameter that is unknown is refused: a misspelt filter would filter nothing.
    pub(super) fn parse(query: &'a str) -> Result<Self, Refusal> {
        if query.len() > QUERY_BYTES {
            return Err(Refusal::QueryTooLong);
        }
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name == CACHE_BUSTER {
                continue;
            }
            let known = PARAMETERS.into_iter().find(|known| *known == name).ok_or_else(|| unknown(&name))?;
            let place = match known {
                "after" => &mut read.after,
                "lastEventId" => &mut read.last_event_id,
                "limit" => &mut read.limit,
                "wait" => &mut read.wait,
                "named" => &mut read.named,
                "access_token" => &mut read.access_token,
                "room" => &mut read.room,
                _ if read.events.len() >= QUERY_EVENTS => {
                    return Err(Refusal::Field("event", FieldError::TooMany(QUERY_EVENTS)));
                }
                _ => {
                    read.events.push(value.into_owned());
                    continue;
                }
            };
            if place.replace(value).is_some() {
                return Err(Refusal::Field(known, FieldError::Twice));
            }
        }
        Ok(read)
    }

    /// Where to begin. `Last-Event-ID` beats the query, because an `EventSource` that comes back keeps its address; `lastEventId` is
    /// that header of polyfills that cannot set it. Both are empty before the first event.
    pub(super) fn start(&self, headers: &HeaderMap) -> Result<Start, Refusal> {
        let header = headers.get("last-event-id").map(|value| ("Last-Event-ID", value.to_str().unwrap_or("?")));
        let queried = self.last_event_id.as_deref().map(|id| ("lastEventId", id));
        let last = [header, queried].into_iter().flatten().find(|(_, id)| !id.is_empty());
        let (field, cursor) = match (last, self.after.as_deref()) {
            (Some(last), _) => last,
            (None, Some(LATEST)) => return Ok(Start::Latest),
            (None, Some(after)) => ("after", after),
            (None, None) => return Ok(Start::Oldest),
        };
        cursor.parse().map(|cursor| Start::After(field, cursor)).or(Err(Refusal::Field(field, FieldError::NotACursor)))
    }

    /// How many events a page has at most.
    pub(super) fn limit(&self) -> Result<usize, Refusal> {
        let (usual, most) = PAGE_ENTRIES;
        match self.limit.as_deref().map(whole) {
            None => Ok(usual),
            Some(None) => Err(Refusal::Field("limit", FieldError::NotANumber)),
            Some(Some(limit)) => Ok(limit.try_into().unwrap_or(most).min(most)),
        }
    }

    /// How long a page waits for its first event.
    pub(super) fn wait(&self) -> Result<Duration, Refusal> {
        match self.wait.as_deref().map(whole) {
            None => Ok(Duration::ZERO),
            Some(None) => Err(Refusal::Field("wait", FieldError::NotANumber)),
            Some(Some(seconds)) => Ok(Duration::from_secs(seconds).min(LONGEST_WAIT)),
        }
    }

    /// Whether the events of a stream have names.
    pub(super) fn is_named(&self) -> Result<bool, Refusal> {
        match self.named.as_deref() {
            None | Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(Refusal::Field("named", FieldError::NotABoolean)),
        }
    }
}

/// The name is escaped and cut: it may be anything, perhaps a token that stands in the wrong place.
fn unknown(name: &str) -> Refusal {
    Refusal::UnknownParameter(name.chars().take(PARAMETER_CHARS).flat_map(char::escape_debug).collect())
}

/// A whole number in digits, however many; the largest that there is for one beyond it.
fn whole(text: &str) -> Option<u64> {
    let is_whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_whole.then(|| text.parse().unwrap_or(u64::MAX))
}
