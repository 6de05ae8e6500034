//! Makes the attempts to one target: sends a request over a connection that is kept, and reads what the answer's head says. Does not
//! know why an event is sent, nor what follows from its outcome.

mod connections;
pub(super) mod request;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::time::timeout;
use tracing::{Level, debug, enabled};

use crate::client::{self, ClientConnection, ExchangeError, retry_after};
use crate::clock::UnixTime;
use crate::relay::failure::{Failure, FailureKind, MAX_RETRY_AFTER};
use crate::relay::lease::Lease;
use crate::relay::settings::TargetSettings;
use connections::KeptConnections;
use request::{Attempt, RequestWriter};

/// How much of an answer's body is read so that the connection can be kept, and how long that may take.
const MAX_REST: usize = 16 * 1024;
const REST_PATIENCE: Duration = Duration::from_millis(100);
/// How much of a failure's body is logged.
const LOGGED_BYTES: usize = 1024;
/// The longest text of an error, in characters. It is kept for each event that is owed.
const MAX_ERROR: usize = 300;

/// Sends events to one target.
#[derive(Debug)]
pub(super) struct Sender {
    name: Arc<str>,
    endpoint: client::Target,
    requests: RequestWriter,
    timeout: Duration,
    kept: KeptConnections,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer is 2xx.
    Delivered,
    /// The answer is 410: the target does not want events any more.
    Gone,
    /// Nothing was sent, because another roomkey may hold the lease.
    Unsent,
    Failed(Failure),
}

impl Sender {
    pub(super) fn new(settings: &TargetSettings) -> Self {
        Self {
            name: Arc::clone(&settings.name),
            endpoint: settings.endpoint.clone(),
            requests: RequestWriter::new(settings),
            timeout: settings.options.timeout,
            kept: KeptConnections::new(settings.options.concurrency),
        }
    }

    /// Closes connections that are not needed, because each takes memory, here and at the target.
    pub(super) fn close_idle(&self) {
        self.kept.close_idle();
    }

    /// Sends the event of `attempt`, signed at `now`, if the lease is certain once there is a connection.
    pub(super) async fn send(&self, attempt: &Attempt, now: UnixTime, lease: &Lease) -> Outcome {
        let request = match self.requests.write(attempt, now) {
            Ok(request) => request,
            Err(error) => return Outcome::failed(FailureKind::Exchange, &error),
        };
        let mut is_connected = false;
        let exchange = timeout(self.timeout, self.exchange(request, lease, &mut is_connected)).await;
        let (connection, response) = match exchange {
            Ok(Ok(Some(answered))) => answered,
            Ok(Ok(None)) => return Outcome::Unsent,
            Ok(Err(error @ ExchangeError::Connect(_))) => return Outcome::failed(FailureKind::Connect, &error),
            Ok(Err(error)) => return Outcome::failed(FailureKind::Exchange, &error),
            Err(_) => {
                self.kept.close(); // a network that forgot one connection has forgotten them all
                let kind = if is_connected { FailureKind::Exchange } else { FailureKind::Connect };
                return Outcome::failed(kind, &ExchangeError::TimedOut(self.timeout));
            }
        };
        let outcome = Outcome::of(&response, now);
        let logs = outcome != Outcome::Delivered && enabled!(Level::DEBUG);
        let status = response.status().as_u16();
        let (rest, is_complete) = rest(response.into_body(), if logs { LOGGED_BYTES } else { 0 }).await;
        if logs {
            let body = String::from_utf8_lossy(&rest);
            debug!(target = &*self.name, cursor = %attempt.entry.cursor, status, body = &*body, "the target refused an event");
        }
        if is_complete {
            self.kept.put(connection);
        }
        outcome
    }

    /// The answer to `request`; `None` if the lease is not certain when it is to be sent. A target may close a kept connection at any
    /// time, which is no failure. If that shows only after the request was sent, it is sent once more.
    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        lease: &Lease,
        is_connected: &mut bool,
    ) -> Result<Option<(ClientConnection, Response<Incoming>)>, ExchangeError> {
        if let Some(mut connection) = self.kept.take() {
            *is_connected = true;
            let before = connection.received();
            if !lease.is_certain() {
                return Ok(None);
            }
            match connection.send_whole(request.clone()).await {
                Ok(response) => return Ok(Some((connection, response))),
                Err(error) if connection.received() != before => return Err(error),
                Err(_) => *is_connected = false,
            }
        }
        let mut connection = Box::pin(self.endpoint.connect()).await?; // boxed, because most attempts do not connect
        *is_connected = true;
        if !lease.is_certain() {
            return Ok(None);
        }
        let response = connection.send_whole(request).await?;
        Ok(Some((connection, response)))
    }
}

impl Outcome {
    fn of(response: &Response<Incoming>, now: UnixTime) -> Self {
        let status = response.status();
        let kind = match status {
            _ if status.is_success() => return Self::Delivered,
            StatusCode::GONE => return Self::Gone,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => FailureKind::Busy,
            _ => FailureKind::Answer,
        };
        let retry_after = retry_after(response.headers(), now).map(|wait| wait.min(MAX_RETRY_AFTER));
        Self::Failed(Failure { kind, status: Some(status.as_u16()), error: format!("the answer was {status}"), retry_after })
    }

    fn failed(kind: FailureKind, error: &dyn Error) -> Self {
        let mut text = error.to_string();
        // hyper's own text does not say what the system said.
        let causes = std::iter::successors(error.source(), |cause| (*cause).source());
        for cause in causes.map(ToString::to_string) {
            if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
        }
        Self::Failed(Failure { kind, status: None, error: text.chars().take(MAX_ERROR).collect(), retry_after: None })
    }
}

/// Reads `body` to its end, if that is near. Returns its first bytes, up to `wanted`, and whether this was the end.
async fn rest(mut body: Incoming, wanted: usize) -> (Vec<u8>, bool) {
    let (mut first, mut bytes) = (Vec::new(), 0_usize);
    let reading = async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            let chunk = frame.data_ref().map_or(&[][..], |chunk| chunk);
            first.extend(chunk.iter().take(wanted.saturating_sub(first.len())));
            bytes = bytes.saturating_add(chunk.len());
            if bytes > MAX_REST {
                return false;
            }
        }
        true
    };
    let is_complete = timeout(REST_PATIENCE, reading).await.unwrap_or(false);
    (first, is_complete)
}
