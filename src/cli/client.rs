//! Owns one POST over HTTP/1.1, as a sender of webhooks makes it: bounded in time, and not following redirects. Does not know
//! what it carries.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For one try, from connecting to the answer's head (livekit/protocol `webhook/resource_url_notifier.go`).
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer's body that are read, for people to see.
const MAX_ANSWER_BYTES: usize = 4096;

/// Where to POST to: an address of HTTP without TLS.
#[derive(Clone, Debug)]
pub(super) struct Target {
    uri: Uri,
    host: String,
    port: u16,
}

impl Target {
    /// The target that `url` is; for a flag's value, so that the error continues a sentence that begins with its name.
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "must be an address such as http://localhost:6080/webhook";
        let uri: Uri = url.parse().or(Err(EXPECTED))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err("must be http://, for TLS is the reverse proxy's: name the address behind the proxy"),
            _ => return Err(EXPECTED),
        }
        let authority = uri.authority().ok_or(EXPECTED)?;
        if authority.as_str().contains('@') {
            return Err("must not have a user or a password in it");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(80);
        if host.is_empty() { Err(EXPECTED) } else { Ok(Self { host, port, uri }) }
    }

    /// POSTs `body`.
    pub(super) async fn post(&self, authorization: &HeaderValue, body: Bytes) -> Result<Answer, PostError> {
        let begin = Instant::now();
        timeout(PATIENCE, self.exchange(authorization, body, begin)).await.map_err(|_| PostError::TimedOut)?
    }

    async fn exchange(&self, authorization: &HeaderValue, body: Bytes, begin: Instant) -> Result<Answer, PostError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(PostError::Connect)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(PostError::Exchange)?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(self.request(authorization, body)?).await.map_err(PostError::Exchange)?;
        let took = begin.elapsed();
        let (head, body) = response.into_parts();
        // The body is for people to see; one that is too long or breaks off changes nothing.
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        connection.abort();
        Ok(Answer { status: head.status, took, retry_after: retry_after(&head.headers), body })
    }

    fn request(&self, authorization: &HeaderValue, body: Bytes) -> Result<Request<Full<Bytes>>, PostError> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, host)
            .header(USER_AGENT, concat!("roomkey/", env!("CARGO_PKG_VERSION")))
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/webhook+json")
            .body(Full::new(body))
            .map_err(PostError::Request)
    }
}

/// Host and port alone: a path or a query may hold a secret.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What a POST was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// From connecting to the answer's head.
    pub(super) took: Duration,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

/// The header in seconds; a date is not read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Why there is no answer.
#[derive(Debug)]
#[non_exhaustive]
pub(super) enum PostError {
    /// No connection.
    Connect(io::Error),
    /// A connection without an answer of HTTP.
    Exchange(hyper::Error),
    /// The request cannot be written.
    Request(hyper::http::Error),
    /// No answer within 10 s.
    TimedOut,
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "no connection: {error}"),
            Self::Exchange(error) => write!(f, "no answer: {error}"),
            Self::Request(error) => write!(f, "no request can be made: {error}"),
            Self::TimedOut => write!(f, "no answer within {} s", PATIENCE.as_secs()),
        }
    }
}

impl Error for PostError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Connect(error) => Some(error),
            Self::Exchange(error) => Some(error),
            Self::Request(error) => Some(error),
            Self::TimedOut => None,
        }
    }
}
