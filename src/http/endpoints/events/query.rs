//! Owns the reading of the query (<https://url.spec.whatwg.org/#application/x-www-form-urlencoded>) and of `Last-Event-ID`.

use std::borrow::Cow;
use std::time::Duration;

use hyper::header::HeaderMap;

use crate::http::limits::{LONGEST_WAIT, PAGE_ENTRIES, QUERY_BYTES, QUERY_EVENTS};
use crate::http::reply::{FieldError, Refusal};
use crate::inbox::Cursor;

/// What a reader asks for, decoded. What is unknown is left out.
#[derive(Default)]
pub(super) struct Query<'a> {
    after: Option<Cow<'a, str>>,
    limit: Option<Cow<'a, str>>,
    wait: Option<Cow<'a, str>>,
    pub(super) access_token: Option<Cow<'a, str>>,
    pub(super) room: Option<String>,
    pub(super) events: Vec<String>,
}

impl<'a> Query<'a> {
    /// Reads the part of a target behind its `?`.
    pub(super) fn parse(query: &'a str) -> Result<Self, Refusal> {
        if query.len() > QUERY_BYTES {
            return Err(Refusal::QueryTooLong);
        }
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let before = match &*name {
                "after" => (read.after.replace(value).is_some(), "after"),
                "limit" => (read.limit.replace(value).is_some(), "limit"),
                "wait" => (read.wait.replace(value).is_some(), "wait"),
                "access_token" => (read.access_token.replace(value).is_some(), "access_token"),
                "room" => (read.room.replace(value.into_owned()).is_some(), "room"),
                "event" if read.events.len() >= QUERY_EVENTS => {
                    return Err(Refusal::Field("event", FieldError::TooMany(QUERY_EVENTS)));
                }
                "event" => {
                    read.events.push(value.into_owned());
                    continue;
                }
                _ => continue,
            };
            if let (true, name) = before {
                return Err(Refusal::Field(name, FieldError::Twice));
            }
        }
        Ok(read)
    }

    /// Where to go on, and which field says so. `Last-Event-ID` beats the query, for an `EventSource` that comes back keeps its address.
    pub(super) fn after(&self, headers: &HeaderMap) -> Result<Option<(&'static str, Cursor)>, Refusal> {
        let (field, cursor) = match headers.get("last-event-id").filter(|value| !value.is_empty()) {
            Some(value) => ("Last-Event-ID", value.to_str().unwrap_or_default()),
            None => match &self.after {
                Some(after) => ("after", &**after),
                None => return Ok(None),
            },
        };
        cursor.parse().map(|cursor| Some((field, cursor))).or(Err(Refusal::Field(field, FieldError::NotACursor)))
    }

    /// How many events a page has at most.
    pub(super) fn limit(&self) -> Result<usize, Refusal> {
        let (usual, most) = PAGE_ENTRIES;
        match self.limit.as_deref().map(whole) {
            None => Ok(usual),
            Some(None | Some(0)) => Err(Refusal::Field("limit", FieldError::NotANumber)),
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
}

/// A whole number in digits, however many; the largest that there is for one beyond it.
fn whole(text: &str) -> Option<u64> {
    let is_whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_whole.then(|| text.parse().unwrap_or(u64::MAX))
}
