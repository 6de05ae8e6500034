//! Parses the query and `Last-Event-ID`. Does not know what the client may read.

use std::fmt;
use std::time::Duration;

use hyper::header::HeaderMap;

use crate::http::field_error::FieldError;
use crate::http::limits::{LONGEST_WAIT, QUERY_EVENTS};
use crate::http::query::Parameters;
use crate::http::refusal::Refusal;
use crate::inbox::Cursor;

/// The parameters that a query may have.
const PARAMETERS: &[&str] = &["after", "lastEventId", "limit", "wait", "room", EVENT, "named", "access_token"];
/// The only parameter that may be repeated.
const EVENT: &str = "event";
/// The value of `after` for new events only.
const LATEST: &str = "latest";

pub(super) struct Query<'a> {
    parameters: Parameters<'a>,
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
    /// Parses the part of a target after `?`.
    pub(super) fn parse(query: &'a str) -> Result<Self, Refusal> {
        let mut events = Vec::new();
        let parameters = Parameters::parse_all(query, PARAMETERS, |name, value| {
            if name != EVENT {
                return Ok(Some(value));
            }
            if events.len() >= QUERY_EVENTS {
                return Err(Refusal::Field(EVENT, FieldError::TooMany(QUERY_EVENTS)));
            }
            events.push(value.into_owned());
            Ok(None)
        })?;
        Ok(Self { parameters, events })
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.parameters.value(name)
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
        self.parameters.limit()
    }

    pub(super) fn wait(&self) -> Result<Duration, Refusal> {
        Ok(Duration::from_secs(self.parameters.number("wait")?.unwrap_or(0)).min(LONGEST_WAIT))
    }

    /// Whether the events of a stream have names.
    pub(super) fn is_named(&self) -> Result<bool, Refusal> {
        self.value("named").map_or(Ok(true), str::parse).or(Err(Refusal::Field("named", FieldError::NotABoolean)))
    }
}
