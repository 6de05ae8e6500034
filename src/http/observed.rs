//! The byte stream between hyper and the client. It reports to the [`Conversation`], and hides some bytes from either side.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::http::boundaries::Boundaries;
use crate::http::conversation::Conversation;
use crate::http::limits::CONNECTION_BUFFER_BYTES;

pub(crate) struct ObservedStream<'a> {
    pub(crate) stream: &'a mut TcpStream,
    /// What was read before and comes first.
    pub(crate) before: Bytes,
    pub(crate) conversation: Arc<Conversation>,
    pub(crate) boundaries: Boundaries,
}

impl ObservedStream<'_> {
    /// Gives hyper the part of `bytes` that it may see. The rest waits, and the next read fails.
    fn pass_on(&mut self, bytes: &[u8], buf: &mut ReadBufCursor<'_>) -> io::Result<()> {
        let seen = self.boundaries.follow(bytes);
        if let Some((seen, unseen)) = bytes.split_at_checked(seen) {
            buf.put_slice(seen);
            if !unseen.is_empty() {
                self.before = [unseen, &self.before].concat().into();
            }
        }
        if seen == 0 && !bytes.is_empty() { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) }
    }

    fn poll_some(&mut self, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        if self.boundaries.is_ambiguous() {
            Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
        } else if !self.before.is_empty() {
            let taken = self.before.split_to(self.before.len().min(room));
            Poll::Ready(self.pass_on(&taken, &mut buf))
        } else {
            let mut scratch = [MaybeUninit::uninit(); CONNECTION_BUFFER_BYTES];
            let mut read = ReadBuf::uninit(scratch.get_mut(..room.min(CONNECTION_BUFFER_BYTES)).unwrap_or_default());
            ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut read))?;
            Poll::Ready(self.pass_on(read.filled(), &mut buf))
        }
    }
}

impl Read for ObservedStream<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let read = self.poll_some(cx, buf);
        if read.is_ready() {
            self.conversation.has_read();
        }
        read
    }
}

impl Write for ObservedStream<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // hyper refuses a head with an empty answer. The connection sends a better one.
        if self.conversation.is_before_request() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut *self.stream).poll_write(cx, bytes);
        self.conversation.has_tried_to_write(&written);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.conversation.has_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // the connection closes itself, so that the client can read the answer
    }
}
