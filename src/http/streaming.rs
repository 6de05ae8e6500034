//! Sends an answer that is produced over time, on a connection on which hyper has written the head. Holds only the piece that is
//! being sent. Does not know what it says.

use std::future::{pending, poll_fn};
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::http::content::{End, Stream};
use crate::http::conversation::Handover;
use crate::http::limits::{RIGHT_GRACE, write_step};

/// Sends the stream until it ends, or until the client of an endless one hangs up.
///
/// # Errors
/// `TimedOut` if the client reads too slowly, or does not finish the current piece soon after its right to the stream ends. Otherwise
/// the connection's own error.
pub(crate) async fn send(stream: &mut TcpStream, handover: Handover, patience: Duration) -> io::Result<()> {
    let Handover { stream: mut body, is_chunked, .. } = handover;
    let sent = send_pieces(stream, &mut body, is_chunked, patience).await;
    if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        body.set_end(End::Slow);
    }
    drop(body);
    sent?;
    if is_chunked { write(stream, &b"0\r\n\r\n"[..], patience).await } else { Ok(()) }
}

async fn send_pieces(stream: &mut TcpStream, body: &mut Stream, is_chunked: bool, patience: Duration) -> io::Result<()> {
    let mut may_hang_up = body.is_endless;
    loop {
        let piece = tokio::select! {
            biased;
            piece = poll_fn(|cx| body.poll_frame(cx)) => piece,
            () = hung_up(stream, &mut may_hang_up) => None,
        };
        let Some(Ok(piece)) = piece else { return Ok(()) };
        let Ok(bytes) = piece.into_data() else { continue };
        if bytes.is_empty() {
            continue;
        }
        // RFC 9112, section 7.1.
        let (size, end) = if is_chunked { (format!("{:x}\r\n", bytes.len()), "\r\n") } else { Default::default() };
        tokio::select! {
            biased;
            written = write(stream, Bytes::from(size).chain(bytes).chain(end.as_bytes()), patience) => written?,
            () = async { poll_fn(|cx| body.poll_right(cx)).await; sleep(RIGHT_GRACE).await } => {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

/// Completes when the client hangs up, unless it sends something first.
async fn hung_up(stream: &TcpStream, may_hang_up: &mut bool) {
    if !*may_hang_up || matches!(stream.peek(&mut [0]).await, Ok(1..)) {
        *may_hang_up = false;
        pending().await
    }
}

/// Writes all of `bytes`, as long as the client takes enough of them in each `patience`.
async fn write(stream: &mut TcpStream, mut bytes: impl Buf, patience: Duration) -> io::Result<()> {
    let step = write_step(bytes.remaining());
    while bytes.has_remaining() {
        let progress = async {
            let mut taken = 0_usize;
            while bytes.has_remaining() && taken < step {
                taken = taken.saturating_add(stream.write_buf(&mut bytes).await?);
            }
            io::Result::Ok(())
        };
        timeout(patience, progress).await??;
    }
    Ok(())
}
