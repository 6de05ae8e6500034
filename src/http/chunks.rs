//! Owns the sending of an answer that comes over time, chunk by chunk (RFC 9112, section 7.1), on a connection that hyper has
//! written the head to and let go of. Holds nothing but the piece that is being sent.

use std::future::{pending, poll_fn};
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::http::content::{End, Stream};
use crate::http::limits::{RIGHT_GRACE, WRITE_PROGRESS_BYTES, WRITE_STEPS};

/// Sends what `body` gives until it ends, or the reader of one that does not hangs up, and then the last chunk.
///
/// # Errors
/// Where the connection breaks; `TimedOut` where its reader takes too little in a time of `patience`, or is not done with what is
/// being sent soon after the right to it has ended.
pub(crate) async fn send(stream: &mut TcpStream, mut body: Stream, patience: Duration) -> io::Result<()> {
    let sent = send_pieces(stream, &mut body, patience).await;
    if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        body.ends(End::Slow);
    }
    drop(body);
    sent?;
    write(stream, &b"0\r\n\r\n"[..], patience).await
}

async fn send_pieces(stream: &mut TcpStream, body: &mut Stream, patience: Duration) -> io::Result<()> {
    let mut listens = body.is_endless;
    loop {
        let piece = tokio::select! {
            biased;
            piece = poll_fn(|cx| body.poll_frame(cx)) => piece,
            () = hung_up(stream, &mut listens) => None,
        };
        let Some(Ok(piece)) = piece else { return Ok(()) };
        let Ok(bytes) = piece.into_data() else { continue };
        if !bytes.is_empty() {
            let size = Bytes::from(format!("{:x}\r\n", bytes.len()));
            tokio::select! {
                biased;
                written = write(stream, size.chain(bytes).chain(&b"\r\n"[..]), patience) => written?,
                () = async { poll_fn(|cx| body.poll_over(cx)).await; sleep(RIGHT_GRACE).await } => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
}

/// Done when the client hangs up, as long as it `listens` for that. A client that talks on instead has to wait.
async fn hung_up(stream: &TcpStream, listens: &mut bool) {
    let mut byte = [0];
    if !*listens || matches!(stream.peek(&mut byte).await, Ok(1..)) {
        *listens = false;
        pending().await
    }
}

/// Writes all of `bytes`, as long as the reader takes some of them in each `patience`; of many bytes more, so that no piece, and the
/// memory that it takes, is held for longer than [`WRITE_STEPS`] times as long.
async fn write(stream: &mut TcpStream, mut bytes: impl Buf, patience: Duration) -> io::Result<()> {
    let least = WRITE_PROGRESS_BYTES.max(bytes.remaining() / WRITE_STEPS);
    while bytes.has_remaining() {
        let progress = async {
            let mut taken = 0_usize;
            while bytes.has_remaining() && taken < least {
                taken = taken.saturating_add(stream.write_buf(&mut bytes).await?);
            }
            io::Result::Ok(())
        };
        timeout(patience, progress).await??;
    }
    Ok(())
}
