//! The access log: a line for each request, once hyper has its whole answer, or its stream has ended. Does not know how an answer is
//! sent, nor whether the client has read it.

use std::net::IpAddr;

use hyper::{Method, Request};
use tokio::time::Instant;
use tracing::info;

use crate::http::limits::LOGGED_PATH_CHARS;
use crate::http::trace::{InOnePiece, RequestId, Trace};

/// What nginx logs for a request that ends before there is an answer. No client is told.
const NO_ANSWER: u16 = 499;

/// The line of one request, which is written when this is dropped.
pub(crate) struct AccessEntry {
    begin: Instant,
    method: Method,
    path: String,
    client: IpAddr,
    request: RequestId,
    pub(crate) status: u16,
    /// Bytes of the answer's body that were sent.
    bytes: u64,
}

impl AccessEntry {
    /// Boxed, because most connections have none.
    pub(crate) fn new<B>(begin: Instant, request: &Request<B>, trace: &Trace) -> Box<Self> {
        Box::new(Self {
            begin,
            method: request.method().clone(),
            path: request.uri().path().chars().take(LOGGED_PATH_CHARS).collect(),
            client: trace.client,
            request: trace.request.clone(),
            status: NO_ANSWER,
            bytes: 0,
        })
    }

    pub(crate) fn add(&mut self, sent: usize) {
        self.bytes = self.bytes.saturating_add(sent.try_into().unwrap_or(u64::MAX));
    }
}

impl Drop for AccessEntry {
    fn drop(&mut self) {
        info!(
            method = %self.method,
            path = self.path,
            status = self.status,
            bytes = self.bytes,
            took = ?self.begin.elapsed(),
            client = %InOnePiece(self.client),
            request = %self.request,
            "access"
        );
    }
}
