//! The HTTP/1.1 client of the commands and the callers: sends a request and waits for the answer, without following redirects. Does
//! not know what they contain, nor who asks.

mod connection;
mod dial;
mod tls;

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::header::{CACHE_CONTROL, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, StatusCode, Uri};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::clock::UnixTime;
pub(crate) use connection::ClientConnection;
pub(crate) use tls::{Trust, TrustError};

const AGENT: &str = concat!("roomkey/", env!("CARGO_PKG_VERSION"));

/// The URL of a server, http or https.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    uri: Uri,
    host: String,
    port: u16,
    /// Set for https.
    trust: Option<Trust>,
}

/// The bounds of an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExchangeLimits {
    /// Time to connect, with the name's resolution and the handshake of TLS.
    pub(crate) connect: Duration,
    /// Time from the beginning to the answer's last byte.
    pub(crate) total: Duration,
    /// Bytes of the answer's body.
    pub(crate) answer_bytes: usize,
}

impl Target {
    /// The server at `url`, which trusts the system's authorities if it is https.
    pub(crate) fn parse(url: &str) -> Result<Self, TargetError> {
        let uri: Uri = url.parse().or(Err(TargetError::NotHttp))?;
        let trust = match uri.scheme_str() {
            Some("http") => None,
            Some("https") => Some(Trust::default()),
            _ => return Err(TargetError::NotHttp),
        };
        let authority = uri.authority().ok_or(TargetError::NotHttp)?;
        if authority.as_str().contains('@') {
            return Err(TargetError::Credentials);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str() != authority.host() => return Err(TargetError::NotHttp),
            None if trust.is_some() => 443,
            None => 80,
        };
        if host.is_empty() { Err(TargetError::NotHttp) } else { Ok(Self { uri, host, port, trust }) }
    }

    /// The same server, which must prove itself by `trust` if it is https.
    pub(crate) fn trusting(mut self, trust: &Trust) -> Self {
        self.trust = self.trust.map(|_| trust.clone());
        self
    }

    pub(crate) fn path(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }

    pub(crate) fn has_query(&self) -> bool {
        self.uri.query().is_some()
    }

    /// A POST to this URL, to which headers and a body are added.
    pub(crate) fn post(&self) -> Request<()> {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.path_and_query().cloned().map(Uri::from).unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(authority).unwrap_or_else(|_| HeaderValue::from_static("")));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        request
    }

    /// Builds a request for `path`, which may have a query.
    pub(crate) fn request(&self, method: Method, path: &str) -> Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.uri.authority().map_or("", |authority| authority.as_str()))
            .header(USER_AGENT, AGENT)
    }

    pub(crate) async fn connect(&self) -> Result<ClientConnection, ExchangeError> {
        self.connect_after(&[]).await
    }

    /// As [`connect`](Self::connect), but sends `preface` before everything else, even before TLS.
    pub(crate) async fn connect_after(&self, preface: &[u8]) -> Result<ClientConnection, ExchangeError> {
        let mut stream = dial::dial(&self.host, self.port).await.map_err(ExchangeError::Connect)?;
        stream.write_all(preface).await.map_err(ExchangeError::Connect)?;
        let Some(trust) = &self.trust else { return ClientConnection::begin(stream).await };
        ClientConnection::begin(trust.connect(&self.host, stream).await.map_err(ExchangeError::Connect)?).await
    }

    /// Sends `request` over a connection of its own. The body of the answer is read only if it is a 200: of all others, the status says
    /// enough.
    pub(crate) async fn exchange(&self, request: Builder, limits: ExchangeLimits) -> Result<Response<Bytes>, ExchangeError> {
        let exchange = async {
            let late = |_| ExchangeError::Connect(io::ErrorKind::TimedOut.into());
            let mut connection = timeout(limits.connect, self.connect()).await.map_err(late)??;
            let (head, body) = connection.send(request, Bytes::new()).await?.into_parts();
            if head.status != StatusCode::OK {
                return Ok(Response::from_parts(head, Bytes::new()));
            }
            let body = Limited::new(body, limits.answer_bytes).collect().await.map_err(|error| match error.downcast() {
                Ok(error) => ExchangeError::Exchange(*error),
                Err(_) => ExchangeError::TooLong { limit: limits.answer_bytes },
            })?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        timeout(limits.total, exchange).await.map_err(|_| ExchangeError::TimedOut(limits.total))?
    }
}

/// Only host and port, because a path or a query may contain a secret.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// How long `Retry-After` asks to wait, in seconds or until a date (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: UnixTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => Some(Duration::MAX),
        Err(_) => httpdate::parse_http_date(value).ok().map(|date| UnixTime::from(date).since(now)),
    }
}

/// How long an answer with these `headers` may be kept (RFC 9111, section 5.2.2), if they say so.
pub(crate) fn freshness(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let lifetime = |directive: &str| {
        let directive = directive.trim().to_ascii_lowercase();
        match directive.split_once('=') {
            Some(("max-age", seconds)) => Some(Duration::from_secs(seconds.trim_matches('"').parse().unwrap_or(0))),
            None if directive == "no-store" || directive == "no-cache" => Some(Duration::ZERO),
            _ => None,
        }
    };
    values.flat_map(|value| value.split(',')).filter_map(lifetime).min()
}

/// Why a URL is not a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TargetError {
    #[error("it is not an address such as https://app.example.com/path")]
    NotHttp,
    #[error("it must not have a user or a password in it")]
    Credentials,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ExchangeError {
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    #[error("no answer: {0}")]
    Exchange(#[source] hyper::Error),
    #[error("the request cannot be written: {0}")]
    Request(#[source] hyper::http::Error),
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("the answer has more than {limit} bytes")]
    TooLong { limit: usize },
}
