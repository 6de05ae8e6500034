//! Connects to a host that may have several addresses, of which some may not answer (RFC 8305). Does not know what is sent.

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long one address is tried before the next is tried too (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// The addresses of a host that are tried.
const MAX_ADDRESSES: usize = 8;

/// A connection to the first of the host's addresses that answers.
pub(super) async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut addresses = lookup_host((host, port)).await?.take(MAX_ADDRESSES);
    let mut attempts = JoinSet::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    loop {
        if let Some(address) = addresses.next() {
            attempts.spawn(TcpStream::connect(address));
        } else if attempts.is_empty() {
            return Err(failure);
        }
        // When the time is up, the next address is tried beside this one.
        let Ok(Some(attempt)) = timeout(HEAD_START, attempts.join_next()).await else { continue };
        match attempt.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
}
