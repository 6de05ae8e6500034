//! Sends a stream after hyper has written the head, and cuts a client that reads too slowly. Does not know what the stream says.

use std::future::{pending, poll_fn};
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::http::content::{End, Stream};
use crate::http::conversation::Handover;
use crate::http::limits::{PERMISSION_GRACE, write_step};

/// Sends the stream until it ends, or until the client of an endless one hangs up. Holds only the piece that is being sent.
///
/// # Errors
/// `TimedOut` if the client reads a piece too slowly, or takes too long for it after its permission to read has ended.
pub(crate) async fn send_or_cut(stream: &mut TcpStream, handover: Handover, patience: Duration) -> io::Result<()> {
    let Handover { stream: mut content, is_chunked, .. } = handover;
    let sent = send_pieces(stream, &mut content, is_chunked, patience).await;
    if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        content.end = End::Slow;
    }
    drop(content);
    sent?;
    if is_chunked { write(stream, &b"0\r\n\r\n"[..], patience).await } else { Ok(()) }
}

async fn send_pieces(stream: &mut TcpStream, content: &mut Stream, is_chunked: bool, patience: Duration) -> io::Result<()> {
    let mut may_hang_up = content.is_endless;
    loop {
        let piece = tokio::select! {
            biased;
            piece = poll_fn(|cx| content.poll_piece(cx)) => piece,
            () = hung_up(stream, &mut may_hang_up) => None,
        };
        let Some(piece) = piece else { return Ok(()) };
        if piece.is_empty() {
            continue;
        }
        let length = piece.len();
        // RFC 9112, section 7.1.
        let (size, end) = if is_chunked { (format!("{length:x}\r\n"), "\r\n") } else { Default::default() };
        tokio::select! {
            biased;
            written = write(stream, Bytes::from(size).chain(piece).chain(end.as_bytes()), patience) => written?,
            () = async { poll_fn(|cx| content.poll_permission(cx)).await; sleep(PERMISSION_GRACE).await } => {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        if let Some(access) = &mut content.access {
            access.add(length);
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
