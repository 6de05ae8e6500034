//! Reads the inbox of a running roomkey, page by page, each with its own token and over one connection as long as that lasts. Pages
//! rather than a stream, because pages say when an event arrived. Does not know how events are shown.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, DATE, HeaderMap};
use hyper::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::cli::remote::{self, PATIENCE};
use crate::client::{ClientConnection, ExchangeError, Target, retry_after};
use crate::clock::UnixTime;
use crate::inbox::Cursor;
use crate::json;
use crate::livekit::access_token::AccessTokenError;
use crate::livekit::grants::VideoGrants;
use crate::livekit::key::ApiKey;

/// How long the server waits for an event: its maximum.
pub(super) const WAIT: Duration = Duration::from_secs(30);
const PAGE_PATIENCE: Duration = Duration::from_secs(300);
/// Events in a page: the server's maximum.
const MAX_EVENTS: usize = 1000;
/// The longest page that is read; a longer one is requested in parts. A webhook has at most 8 MiB.
const MAX_PAGE_BYTES: usize = 64 * 1024 * 1024;

/// A reader of a server's inbox, with its position.
#[derive(Debug)]
pub(super) struct PageReader {
    pub(super) target: Target,
    pub(super) key: ApiKey,
    filter: String,
    start: ReadFrom,
    limit: usize,
    /// Events after this cursor arrived after the reading began, by the server's clock.
    begin: Option<Cursor>,
    connection: Option<ClientConnection>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadFrom {
    /// Before the oldest event.
    Oldest,
    /// After the newest event. The first page is empty and returns at once, so that its cursor is known before any wait.
    Latest,
    After(Cursor),
}

/// Events, each as `{"cursor","receivedAt","event"}`.
#[derive(Debug)]
pub(super) struct EventPage {
    pub(super) events: Vec<Box<RawValue>>,
    /// Whether these were the last events when the reading began.
    pub(super) is_end: bool,
}

impl PageReader {
    pub(super) fn new(target: Target, key: ApiKey, room: Option<&str>, events: &[String], start: ReadFrom) -> Self {
        let mut filter = form_urlencoded::Serializer::new(String::new());
        filter.extend_pairs(room.map(|room| ("room", room)));
        filter.extend_pairs(events.iter().map(|event| ("event", event)));
        Self { target, key, filter: filter.finish(), start, limit: MAX_EVENTS, begin: None, connection: None }
    }

    /// Returns the next events. If there are none, waits up to `wait` for new ones. After an error it continues at the same position.
    pub(super) async fn next(&mut self, wait: Duration) -> Result<EventPage, PageError> {
        loop {
            match self.ask(wait).await {
                Err(PageError::TooLong) if self.limit > 1 => self.limit /= 2,
                result => return result,
            }
        }
    }

    async fn ask(&mut self, wait: Duration) -> Result<EventPage, PageError> {
        #[derive(Deserialize)]
        struct PageBody {
            events: Vec<Box<RawValue>>,
            next: String,
        }

        let (connection, response) = within(PATIENCE, self.send(wait)).await??;
        let (status, retry_after) = (response.status(), retry_after(response.headers(), UnixTime::now()));
        if status != StatusCode::OK {
            let text = timeout(PATIENCE, remote::text(response.into_body())).await.unwrap_or_default();
            return Err(PageError::Refused { status, retry_after, text });
        }
        let begin = date(response.headers());
        let page = within(PAGE_PATIENCE, read_all(response.into_body(), wait.saturating_add(PATIENCE))).await??;
        self.connection = Some(connection);
        let PageBody { events, next } = json::from_utf8(&page).or(Err(PageError::NotAPage))?;
        let next = next.parse().or(Err(PageError::NotAPage))?;
        if !events.is_empty() && matches!(self.start, ReadFrom::After(after) if next <= after) {
            return Err(PageError::NotAPage); // it would be the same page again
        }
        // A date has only whole seconds.
        self.begin = self.begin.or_else(|| begin.map(|date| Cursor::at(date.saturating_add(Duration::from_secs(1)))));
        // Slowly, because the next page may be too long again.
        self.limit = self.limit.saturating_add(self.limit / 8).saturating_add(1).min(MAX_EVENTS);
        let before = std::mem::replace(&mut self.start, ReadFrom::After(next));
        // A server that is stopping may return an empty page that has skipped only some of the unselected events.
        let is_last = events.is_empty() && before == ReadFrom::After(next);
        let is_later = self.begin.is_some_and(|begin| next >= begin);
        Ok(EventPage { events, is_end: is_last || is_later })
    }

    async fn send(&mut self, wait: Duration) -> Result<(ClientConnection, Response<Incoming>), PageError> {
        let path = self.path(wait);
        let grants = VideoGrants { room_list: true, ..VideoGrants::default() };
        let authorization = remote::authorization(&self.key, grants)?;
        let request = || self.target.request(Method::GET, &path).header(AUTHORIZATION, &authorization);
        if let Some(mut connection) = self.connection.take()
            && let Ok(response) = connection.send(request(), Bytes::new()).await
        {
            return Ok((connection, response));
        }
        // There was no connection, or the server closed it, as it may between two requests.
        let mut connection = self.target.connect().await?;
        let response = connection.send(request(), Bytes::new()).await?;
        Ok((connection, response))
    }

    fn path(&self, wait: Duration) -> String {
        let mut query = form_urlencoded::Serializer::new(self.filter.clone());
        let (limit, wait) = if self.start == ReadFrom::Latest { (0, 0) } else { (self.limit, wait.as_secs()) };
        query.append_pair("limit", &limit.to_string()).append_pair("wait", &wait.to_string());
        match self.start {
            ReadFrom::Oldest => {}
            ReadFrom::Latest => drop(query.append_pair("after", "latest")),
            ReadFrom::After(after) => drop(query.append_pair("after", &after.to_string())),
        }
        format!("{}/events?{}", self.target.path().trim_end_matches('/'), query.finish())
    }
}

/// When the server answered, by its own clock.
fn date(headers: &HeaderMap) -> Option<UnixTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok().map(UnixTime::from)
}

/// Reads all of `body`. Each part must arrive within `patience`.
async fn read_all(mut body: Incoming, patience: Duration) -> Result<Vec<u8>, PageError> {
    let mut whole = Vec::new();
    while let Some(frame) = within(patience, body.frame()).await? {
        let frame = frame.map_err(ExchangeError::Exchange)?;
        let bytes = frame.data_ref().map(|bytes| &**bytes).unwrap_or_default();
        if whole.len().saturating_add(bytes.len()) > MAX_PAGE_BYTES {
            return Err(PageError::TooLong);
        }
        whole.extend_from_slice(bytes);
    }
    Ok(whole)
}

async fn within<T>(patience: Duration, exchange: impl Future<Output = T>) -> Result<T, ExchangeError> {
    timeout(patience, exchange).await.map_err(|_| ExchangeError::TimedOut(patience))
}

/// Why there is no page. The text follows the name of the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum PageError {
    #[error("no token can be made: {0}")]
    Token(#[from] AccessTokenError),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// Any answer except 200.
    #[error("{status}{}", remote::explanation(text))]
    Refused { status: StatusCode, retry_after: Option<Duration>, text: Bytes },
    /// Something else in a 200, such as a proxy's page.
    #[error("the answer is not a page of events: another server may be there")]
    NotAPage,
    #[error("an event has more than {MAX_PAGE_BYTES} bytes")]
    TooLong,
}

impl PageError {
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Token(_) | Self::TooLong => false,
            Self::Exchange(_) | Self::NotAPage => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(status)
            }
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        if let Self::Refused { retry_after, .. } = self { *retry_after } else { None }
    }
}
