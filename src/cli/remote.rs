//! What the commands that talk to a server share: their URL, `--ca-file`, the runtime, their tokens, and how long they wait. Does not
//! know what they send.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::runtime::{self, Runtime};

use crate::cli::{Failure, input};
use crate::client::{Target, TargetError, Trust};
use crate::clock::UnixTime;
use crate::json::Members;
use crate::livekit::access_token::{AccessToken, AccessTokenError};
use crate::livekit::grants::VideoGrants;
use crate::livekit::key::ApiKey;

/// The time limit for one try, from connecting to the head of the answer (livekit/protocol `webhook/resource_url_notifier.go`).
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a token is valid, which is for one request.
const TOKEN_TTL: Duration = Duration::from_secs(60);
/// The longest body of an answer that is shown to people.
const MAX_TEXT_BYTES: usize = 4096;

/// The runtime for a command that uses the network.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.map_err(|error| Failure::wrong(format_args!("cannot open sockets: {error}")))
}

/// Parses the URL of a webhook endpoint. The error continues a sentence that begins with the flag's name.
pub(super) fn webhook_url(url: &str) -> Result<Target, &'static str> {
    target(url, "must be an address such as http://localhost:6080/webhook")
}

/// Parses a URL to which paths are added. The error continues a sentence that begins with the flag's name.
pub(super) fn base_url(url: &str) -> Result<Target, &'static str> {
    let target = target(url, "must be an address such as http://localhost:6080")?;
    if target.has_query() { Err("must not have a query in it") } else { Ok(target) }
}

fn target(url: &str, expected: &'static str) -> Result<Target, &'static str> {
    Target::parse(url).map_err(|error| match error {
        TargetError::NotHttp => expected,
        TargetError::Credentials => "must not have a user or a password in it",
    })
}

#[derive(Debug, clap::Args)]
pub(super) struct TlsFlags {
    /// A PEM file with the certificates of the authorities to trust over https [default: those of the system, or in SSL_CERT_FILE]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<String>,
}

impl TlsFlags {
    /// `target`, with the authorities that the flags name.
    pub(super) fn applied_to(&self, target: Target) -> Result<Target, Failure> {
        let Some(path) = &self.ca_file else { return Ok(target) };
        let trust = Trust::only(&input::read(path)?);
        let trust = trust.map_err(|error| Failure::wrong(format_args!("--ca-file: {path} {error}")))?;
        Ok(target.trusting(&trust))
    }
}

/// The value of `Authorization` for one request: a token that `key` signs.
pub(super) fn authorization(key: &ApiKey, grants: VideoGrants) -> Result<String, AccessTokenError> {
    let token = AccessToken::new().with_grants(grants).with_ttl(TOKEN_TTL).to_jwt(key, UnixTime::now())?;
    Ok(format!("Bearer {token}"))
}

/// What helps if the server refuses a token of `key`.
pub(super) fn advice_on(key: &ApiKey) -> String {
    format!(": is {:?} one of its keys, with the same secret?", key.name())
}

/// The `errorMessage` in the `body` of an answer, after a colon; empty if there is none.
pub(super) fn explanation(body: &Bytes) -> String {
    let message = Members::parse(body).ok().and_then(|object| object.text("errorMessage"));
    message.map(|message| format!(": {}", message.escape_debug())).unwrap_or_default()
}

/// The content of `body`, to show to people; empty if it is too long or incomplete.
pub(super) async fn text(body: Incoming) -> Bytes {
    Limited::new(body, MAX_TEXT_BYTES).collect().await.map(|body| body.to_bytes()).unwrap_or_default()
}
