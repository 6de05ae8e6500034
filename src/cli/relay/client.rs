//! A client of the relay of a running roomkey. Each request has a token and a connection of its own. Does not know what the answer is
//! for.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::cli::Failure;
use crate::cli::remote::{self, PATIENCE};
use crate::client::{ExchangeError, Target};
use crate::json;
use crate::livekit::access_token::AccessTokenError;
use crate::livekit::grants::VideoGrants;
use crate::livekit::key::ApiKey;

/// The longest answer that is read. A page of 1000 owed events has less.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct RelayClient {
    pub(super) target: Target,
    pub(super) key: ApiKey,
    /// What the tokens allow.
    pub(super) grants: VideoGrants,
    pub(super) runtime: Runtime,
}

/// The answer of `/relay`.
#[derive(Debug, Deserialize)]
pub(super) struct StatusPage {
    pub(super) targets: Vec<Box<RawValue>>,
}

/// The answer of `/relay/{target}/owed`.
#[derive(Debug, Deserialize)]
pub(super) struct OwedPage {
    pub(super) owed: Vec<Box<RawValue>>,
    pub(super) next: String,
}

/// Why there is no answer. The text follows the name of the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum RequestError {
    #[error("no token can be made: {0}")]
    Token(#[from] AccessTokenError),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// Any answer except 200.
    #[error("{status}{}", remote::explanation(text))]
    Refused { status: StatusCode, text: Bytes },
    /// Something else in a 200, such as a proxy's page.
    #[error("the answer does not come from a relay: another server may be there")]
    NotTheRelay,
}

impl RelayClient {
    /// Sends `body` to `path` below the server's base path.
    pub(super) fn request<T: DeserializeOwned>(&self, method: Method, path: &str, body: String) -> Result<T, Failure> {
        let answer = self.runtime.block_on(self.exchange(method, path, body.into()));
        let answer = answer.and_then(|answer| json::from_utf8::<Box<RawValue>>(&answer).or(Err(RequestError::NotTheRelay)));
        let answer = answer.and_then(|answer| serde_json::from_str(answer.get()).or(Err(RequestError::NotTheRelay)));
        answer.map_err(|error| self.failure(&error))
    }

    pub(super) fn failure(&self, error: &RequestError) -> Failure {
        let advice = match error {
            RequestError::Refused { status: StatusCode::UNAUTHORIZED, .. } => remote::advice_on(&self.key),
            _ => String::new(),
        };
        Failure::refused(format_args!("{}: {error}{advice}", self.target))
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, RequestError> {
        let authorization = remote::authorization(&self.key, self.grants.clone())?;
        let path = format!("{}{path}", self.target.path().trim_end_matches('/'));
        let request = self.target.request(method, &path).header(AUTHORIZATION, authorization);
        let request = request.header(CONTENT_TYPE, "application/json");
        let exchange = async {
            let response = self.target.connect().await?.send(request, body).await?;
            let (status, body) = (response.status(), response.into_body());
            if status != StatusCode::OK {
                return Err(RequestError::Refused { status, text: remote::text(body).await });
            }
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|error| match error.downcast() {
                Ok(error) => ExchangeError::Exchange(*error),
                Err(_) => ExchangeError::TooLong { limit: MAX_ANSWER_BYTES },
            })?;
            Ok(body.to_bytes())
        };
        timeout(PATIENCE, exchange).await.map_err(|_| ExchangeError::TimedOut(PATIENCE))?
    }
}
