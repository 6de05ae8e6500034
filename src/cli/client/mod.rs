//! The HTTP/1.1 client of the commands: sends a request and waits for the answer, without following redirects. Does not know what
//! they contain.

mod tls;

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::task::JoinHandle;

use crate::cli::Failure;
use crate::clock::UnixTime;
pub(super) use tls::TlsFlags;

/// The time limit for one try, from connecting to the head of the answer (livekit/protocol `webhook/resource_url_notifier.go`).
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The longest body of an answer that is shown to people.
const MAX_TEXT_BYTES: usize = 4096;

/// The runtime for a command that uses the network.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.map_err(|error| Failure::wrong(format_args!("cannot open sockets: {error}")))
}

/// The URL of a server, http or https.
#[derive(Clone, Debug)]
pub(super) struct Target {
    uri: Uri,
    host: String,
    port: u16,
    /// Set for https. The configuration is read when it is first needed.
    tls: Option<OnceLock<Arc<ClientConfig>>>,
}

impl Target {
    /// Parses the value of a flag. The error continues a sentence that begins with the flag's name.
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        Self::read(url, "must be an address such as http://localhost:6080/webhook")
    }

    /// As [`parse`](Self::parse), for a URL to which paths are added.
    pub(super) fn parse_base(url: &str) -> Result<Self, &'static str> {
        let target = Self::read(url, "must be an address such as http://localhost:6080")?;
        if target.uri.query().is_none() { Ok(target) } else { Err("must not have a query in it") }
    }

    fn read(url: &str, expected: &'static str) -> Result<Self, &'static str> {
        let uri: Uri = url.parse().or(Err(expected))?;
        let tls = match uri.scheme_str() {
            Some("http") => None,
            Some("https") => Some(OnceLock::new()),
            _ => return Err(expected),
        };
        let authority = uri.authority().ok_or(expected)?;
        if authority.as_str().contains('@') {
            return Err("must not have a user or a password in it");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str() != authority.host() => return Err(expected),
            None if tls.is_some() => 443,
            None => 80,
        };
        if host.is_empty() { Err(expected) } else { Ok(Self { host, port, tls, uri }) }
    }

    /// The same target, with the authorities that `flags` trust.
    pub(super) fn trusting(mut self, flags: &TlsFlags) -> Result<Self, Failure> {
        if let (Some(config), Some(tls)) = (flags.config()?, &mut self.tls) {
            *tls = OnceLock::from(config);
        }
        Ok(self)
    }

    pub(super) fn path(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }

    /// Builds a request for `path`, which may have a query.
    pub(super) fn request(&self, method: Method, path: &str, authorization: &HeaderValue) -> Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.uri.authority().map_or("", |authority| authority.as_str()))
            .header(USER_AGENT, concat!("roomkey/", env!("CARGO_PKG_VERSION")))
            .header(AUTHORIZATION, authorization)
    }

    pub(super) async fn connect(&self) -> Result<ClientConnection, ExchangeError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(ExchangeError::Connect)?;
        let Some(config) = &self.tls else { return ClientConnection::begin(stream).await };
        let config = match config.get() {
            Some(config) => config,
            None => {
                let read = tls::system_config().map_err(ExchangeError::Connect)?;
                config.get_or_init(|| read)
            }
        };
        let stream = tls::connect(Arc::clone(config), &self.host, stream).await.map_err(ExchangeError::Connect)?;
        ClientConnection::begin(stream).await
    }
}

/// A connection for one request after the other. It is closed on drop.
#[derive(Debug)]
pub(super) struct ClientConnection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl ClientConnection {
    async fn begin(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self, ExchangeError> {
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(ExchangeError::Exchange)?;
        let driver = tokio::spawn(async move { drop(driver.await) }); // `sender` reports its end
        Ok(Self { sender, driver })
    }

    /// Sends `request` with `body`, and waits for the head of the answer.
    pub(super) async fn send(&mut self, request: Builder, body: Bytes) -> Result<Response<Incoming>, ExchangeError> {
        let request = request.body(Full::new(body)).map_err(ExchangeError::Request)?;
        self.sender.ready().await.map_err(ExchangeError::Exchange)?;
        self.sender.send_request(request).await.map_err(ExchangeError::Exchange)
    }
}

impl Drop for ClientConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Only host and port, because a path or a query may contain a secret.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The content of `body`, to show to people; empty if it is too long or incomplete.
pub(super) async fn text(body: Incoming) -> Bytes {
    Limited::new(body, MAX_TEXT_BYTES).collect().await.map(|body| body.to_bytes()).unwrap_or_default()
}

/// How long `Retry-After` asks to wait, in seconds or until a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok().map(|date| UnixTime::from(date).since(UnixTime::now())),
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum ExchangeError {
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    #[error("no answer: {0}")]
    Exchange(#[source] hyper::Error),
    #[error("the request cannot be written: {0}")]
    Request(#[source] hyper::http::Error),
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}
