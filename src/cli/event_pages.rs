//! Owns the reading of a running roomkey's inbox: a page at a time, over one connection for as long as it lasts, each with a token
//! of its own. Pages rather than a stream, for they tell when an event came. Does not know how events are shown.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{DATE, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::cli::client::{self, Connection, ExchangeError, PATIENCE, Target};
use crate::clock::UnixTime;
use crate::inbox::Cursor;
use crate::json::{self, Members};
use crate::livekit::access_token::{AccessToken, AccessTokenError};
use crate::livekit::grants::VideoGrants;
use crate::livekit::key::ApiKey;

/// How long the server may wait for an event: what it waits at most.
pub(super) const WAIT: Duration = Duration::from_secs(30);
/// For all of a page.
const PAGE_PATIENCE: Duration = Duration::from_secs(300);
/// How long a token holds, which is for one page.
const TOKEN_TTL: Duration = Duration::from_secs(60);
/// Events in a page, as many as the server gives at most.
const MOST_EVENTS: usize = 1000;
/// Of a page; one that has more is asked for in smaller ones. A webhook has 8 MiB at most.
const MAX_PAGE_BYTES: usize = 64 * 1024 * 1024;

/// A reader's place in the inbox of a server.
#[derive(Debug)]
pub(super) struct Pages {
    target: Target,
    key: ApiKey,
    /// The events that are wanted, as a query says it.
    filter: String,
    start: Start,
    /// How many events are asked for.
    limit: usize,
    /// What comes later than this came after the reading began, by the server's clock.
    begin: Option<Cursor>,
    /// To the server, where it was not seen to end.
    connection: Option<Connection>,
}

/// Where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Before all that is kept.
    Oldest,
    /// Behind all that is there when the server is asked. That page is empty, so that none waits without its cursor being known.
    Latest,
    After(Cursor),
}

/// Some events, each as `{"cursor","receivedAt","event"}`.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) events: Vec<Box<RawValue>>,
    /// Whether there was nothing more when the reading began.
    pub(super) is_end: bool,
}

impl Pages {
    pub(super) fn new(target: Target, key: ApiKey, room: Option<&str>, events: &[String], start: Start) -> Self {
        let mut filter = form_urlencoded::Serializer::new(String::new());
        filter.extend_pairs(room.map(|room| ("room", room)));
        filter.extend_pairs(events.iter().map(|event| ("event", event)));
        Self { target, key, filter: filter.finish(), start, limit: MOST_EVENTS, begin: None, connection: None }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn key(&self) -> &ApiKey {
        &self.key
    }

    /// Asks with another key from now on.
    pub(super) fn set_key(&mut self, key: ApiKey) {
        self.key = key;
    }

    /// The next events; where there are none, those that come within `wait`. After an error it goes on from the same place.
    pub(super) async fn next(&mut self, wait: Duration) -> Result<Page, PageError> {
        loop {
            match self.ask(wait).await {
                Err(PageError::TooLong) if self.limit > 1 => self.limit /= 2,
                Err(error) => return Err(error),
                Ok((events, next)) => {
                    // Slowly, for what was too long may be so again.
                    self.limit = self.limit.saturating_add(self.limit / 8).saturating_add(1).min(MOST_EVENTS);
                    let before = std::mem::replace(&mut self.start, Start::After(next));
                    // An empty page of a server that stops may have passed over events that are not wanted, and not over all.
                    let is_last = events.is_empty() && before == Start::After(next);
                    let is_later = self.begin.is_some_and(|begin| next >= begin);
                    return Ok(Page { events, is_end: is_last || is_later });
                }
            }
        }
    }

    async fn ask(&mut self, wait: Duration) -> Result<(Vec<Box<RawValue>>, Cursor), PageError> {
        #[derive(Deserialize)]
        struct Answer {
            events: Vec<Box<RawValue>>,
            next: String,
        }

        let (connection, response) =
            timeout(PATIENCE, self.send(wait)).await.map_err(|_| ExchangeError::TimedOut(PATIENCE))??;
        let (status, retry_after) = (response.status(), client::retry_after(response.headers()));
        if status != StatusCode::OK {
            let text = timeout(PATIENCE, client::text(response.into_body())).await.unwrap_or_default();
            return Err(PageError::Refused { status, retry_after, text });
        }
        let begin = date(response.headers());
        let page = whole(response.into_body(), wait.saturating_add(PATIENCE));
        let page = timeout(PAGE_PATIENCE, page).await.map_err(|_| ExchangeError::TimedOut(PAGE_PATIENCE))??;
        self.connection = Some(connection);
        let Answer { events, next } = json::from_utf8(&page).or(Err(PageError::NotAPage))?;
        let next = next.parse().or(Err(PageError::NotAPage))?;
        if !events.is_empty() && matches!(self.start, Start::After(after) if next <= after) {
            return Err(PageError::NotAPage); // it would be the same one again
        }
        // A date has no parts of a second.
        self.begin = self.begin.or_else(|| begin.map(|date| Cursor::at(date.saturating_add(Duration::from_secs(1)))));
        Ok((events, next))
    }

    async fn send(&mut self, wait: Duration) -> Result<(Connection, Response<Incoming>), PageError> {
        let path = self.path(wait);
        let claims = AccessToken::new().with_grants(VideoGrants { room_list: true, ..VideoGrants::default() });
        let token = claims.with_ttl(TOKEN_TTL).to_jwt(&self.key, UnixTime::now()).map_err(PageError::Token)?;
        let authorization =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| ExchangeError::Request(error.into()))?;
        let request = || self.target.request(Method::GET, &path, &authorization);
        if let Some(mut connection) = self.connection.take()
            && let Ok(response) = connection.send(request(), Bytes::new()).await
        {
            return Ok((connection, response));
        }
        // There was none, or the server had closed it, as it may between two requests.
        let mut connection = self.target.connect().await?;
        let response = connection.send(request(), Bytes::new()).await?;
        Ok((connection, response))
    }

    fn path(&self, wait: Duration) -> String {
        let mut query = form_urlencoded::Serializer::new(self.filter.clone());
        let (limit, wait) = if self.start == Start::Latest { (0, 0) } else { (self.limit, wait.as_secs()) };
        query.append_pair("limit", &limit.to_string()).append_pair("wait", &wait.to_string());
        match self.start {
            Start::Oldest => {}
            Start::Latest => drop(query.append_pair("after", "latest")),
            Start::After(after) => drop(query.append_pair("after", &after.to_string())),
        }
        format!("{}/events?{}", self.target.path().trim_end_matches('/'), query.finish())
    }
}

/// When the server answered, by its clock.
fn date(headers: &HeaderMap) -> Option<UnixTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok().map(UnixTime::from)
}

/// All of `body`, each part of which must come within `patience`.
async fn whole(mut body: Incoming, patience: Duration) -> Result<Vec<u8>, PageError> {
    let mut whole = Vec::new();
    while let Some(frame) = timeout(patience, body.frame()).await.map_err(|_| ExchangeError::TimedOut(patience))? {
        let frame = frame.map_err(ExchangeError::Exchange)?;
        let bytes = frame.data_ref().map(|bytes| &**bytes).unwrap_or_default();
        if whole.len().saturating_add(bytes.len()) > MAX_PAGE_BYTES {
            return Err(PageError::TooLong);
        }
        whole.extend_from_slice(bytes);
    }
    Ok(whole)
}

/// Why there is no page.
#[derive(Debug)]
#[non_exhaustive]
pub(super) enum PageError {
    /// No token can be made.
    Token(AccessTokenError),
    /// No answer.
    Exchange(ExchangeError),
    /// Another answer than 200.
    Refused { status: StatusCode, retry_after: Option<Duration>, text: Bytes },
    /// Something else in a 200, such as a proxy's page.
    NotAPage,
    /// One event is larger than all that can be.
    TooLong,
}

impl PageError {
    /// Whether another try may give a page.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Token(_) | Self::TooLong => false,
            Self::Exchange(_) | Self::NotAPage => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(status)
            }
        }
    }

    pub(super) fn status(&self) -> Option<StatusCode> {
        if let Self::Refused { status, .. } = self { Some(*status) } else { None }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        if let Self::Refused { retry_after, .. } = self { *retry_after } else { None }
    }
}

impl From<ExchangeError> for PageError {
    fn from(error: ExchangeError) -> Self {
        Self::Exchange(error)
    }
}

/// Continues a sentence that says who gives it.
impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(error) => write!(f, "nothing, for no token can be made: {error}"),
            Self::Exchange(error) => error.fmt(f),
            Self::Refused { status, text, .. } => {
                let said = Members::parse(text).ok().and_then(|object| object.text("errorMessage"));
                write!(f, "{status}")?;
                said.map_or(Ok(()), |said| write!(f, ": {}", said.escape_debug()))
            }
            Self::NotAPage => f.write_str("no page of events: another server may be there"),
            Self::TooLong => write!(f, "an event of more than {MAX_PAGE_BYTES} bytes"),
        }
    }
}

impl std::error::Error for PageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Token(error) => Some(error),
            Self::Exchange(error) => error.source(),
            _ => None,
        }
    }
}
