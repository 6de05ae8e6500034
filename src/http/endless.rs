//! Owns the sending of an answer that does not end soon, chunk by chunk (RFC 9112, section 7.1), on a connection that hyper has
//! written the head to and let go of. Holds nothing but the piece that is being sent.

use std::future::{pending, poll_fn};
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::content::Stream;
use crate::http::limits::WRITE_PROGRESS_BYTES;

/// Sends what `endless` gives until it ends, or its reader hangs up, and then the last chunk.
///
/// # Errors
/// Where the connection breaks; `TimedOut` where its reader takes too little in a time of `patience`.
pub(crate) async fn send(stream: &mut TcpStream, mut endless: Stream, patience: Duration) -> io::Result<()> {
    let mut is_talking = false;
    loop {
        let piece = tokio::select! {
            biased;
            piece = poll_fn(|cx| endless.poll_frame(cx)) => piece,
            () = hung_up(stream, &mut is_talking) => None,
        };
        let Some(Ok(piece)) = piece else { break };
        let Ok(bytes) = piece.into_data() else { continue };
        if !bytes.is_empty() {
            let head = Bytes::from(format!("{:x}\r\n", bytes.len()));
            write(stream, head.chain(bytes).chain(&b"\r\n"[..]), patience).await?;
        }
    }
    drop(endless);
    write(stream, &b"0\r\n\r\n"[..], patience).await
}

/// Done when the client hangs up. One that talks on instead is not listened to: `is_talking`.
async fn hung_up(stream: &TcpStream, is_talking: &mut bool) {
    let mut byte = [0];
    if *is_talking || matches!(stream.peek(&mut byte).await, Ok(1..)) {
        *is_talking = true;
        pending().await
    }
}

/// Writes all of `bytes`, as long as the reader takes some of them in each `patience`.
async fn write(stream: &mut TcpStream, mut bytes: impl Buf, patience: Duration) -> io::Result<()> {
    while bytes.has_remaining() {
        let progress = async {
            let mut taken = 0_usize;
            while bytes.has_remaining() && taken < WRITE_PROGRESS_BYTES {
                taken = taken.saturating_add(stream.write_buf(&mut bytes).await?);
            }
            io::Result::Ok(())
        };
        timeout(patience, progress).await??;
    }
    Ok(())
}
