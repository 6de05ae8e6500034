//! Reads the header of the PROXY protocol with which a connection has to begin if a load balancer of TCP connections is in front. Does
//! not know what the header looks like, nor what the connection is for.

use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use crate::http::limits::LAST_CALL;
use crate::http::once_a_minute::OnceAMinute;
use crate::http::proxy_header::{ProxyHeader, ProxyHeaderError, parse};
use crate::http::stop::Stop;

/// Bytes that are read at once. Most headers are shorter.
const READ_BYTES: usize = 256;
const HELP: &str = "let only the load balancer reach this port, and turn the PROXY protocol on in it, or leave --proxy-protocol (PROXY_PROTOCOL) out; probes that cannot send it can ask the listener of METRICS_BIND";

/// Stands for the requirement of a header. Warns about connections without one.
#[derive(Debug, Default)]
pub(crate) struct ProxyProtocol {
    warnings: OnceAMinute<1>,
}

/// A connection after its header.
pub(crate) struct ProxiedStart {
    /// `None` if the header does not name one.
    pub(crate) client: Option<IpAddr>,
    /// What came after the header.
    pub(crate) rest: Bytes,
}

impl ProxyProtocol {
    /// Warns about a connection of `peer` that is closed, once a minute, because anyone can cause it.
    pub(crate) fn warn(&self, peer: IpAddr, reason: ProxyHeaderError) {
        if self.warnings.is_first((), Instant::now()) {
            warn!(client = %peer, %reason, help = HELP, "a connection without a header of the PROXY protocol was closed");
        }
    }
}

/// Reads the header of `stream`. `None` if the client hangs up before it, or the server stops.
///
/// # Errors
/// If it is missing, wrong or late: the connection has to be closed.
pub(crate) async fn read_header(
    stream: &mut TcpStream,
    within: Duration,
    stop: &Stop,
) -> Result<Option<ProxiedStart>, ProxyHeaderError> {
    tokio::select! {
        biased; // a connection whose header is there when the server stops is served
        read = timeout(within, read(stream)) => read.unwrap_or(Err(ProxyHeaderError::TooLate)),
        () = async { stop.connections_end().await; sleep(LAST_CALL).await } => Ok(None),
    }
}

async fn read(stream: &mut TcpStream) -> Result<Option<ProxiedStart>, ProxyHeaderError> {
    let mut bytes = BytesMut::new();
    loop {
        bytes.reserve(READ_BYTES);
        let is_end = !matches!(stream.read_buf(&mut bytes).await, Ok(1..));
        match parse(&bytes)? {
            Some(ProxyHeader { client, length }) => {
                let rest = Bytes::copy_from_slice(bytes.get(length..).unwrap_or_default());
                return Ok(Some(ProxiedStart { client, rest }));
            }
            None if is_end && bytes.is_empty() => return Ok(None),
            None if is_end => return Err(ProxyHeaderError::Cut),
            None => {}
        }
    }
}
