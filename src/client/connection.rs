//! One connection of the client, for one request after the other. Does not know where it leads, nor what is sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::http::request::Builder;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;

use crate::client::ExchangeError;

/// Bytes of an answer's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// A connection, which is closed on drop.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    /// The bytes that have arrived.
    received: Arc<AtomicU64>,
}

impl ClientConnection {
    pub(super) async fn begin(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self, ExchangeError> {
        let received = Arc::default();
        let stream = Counted { stream, received: Arc::clone(&received) };
        let mut http = http1::Builder::new();
        let (sender, driver) =
            http.max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(stream)).await.map_err(ExchangeError::Exchange)?;
        let driver = tokio::spawn(async move { drop(driver.await) }); // `sender` reports its end
        Ok(Self { sender, driver, received })
    }

    /// Sends `request` with `body`, and waits for the head of the answer.
    pub(crate) async fn send(&mut self, request: Builder, body: Bytes) -> Result<Response<Incoming>, ExchangeError> {
        self.send_whole(request.body(Full::new(body)).map_err(ExchangeError::Request)?).await
    }

    /// Sends `request`, and waits for the head of the answer.
    pub(crate) async fn send_whole(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ExchangeError> {
        self.sender.ready().await.map_err(ExchangeError::Exchange)?;
        self.sender.send_request(request).await.map_err(ExchangeError::Exchange)
    }

    /// The bytes that have arrived so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl Drop for ClientConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A stream that counts what arrives.
struct Counted<S> {
    stream: S,
    received: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        let bytes = buffer.filled().len().saturating_sub(before);
        self.received.fetch_add(bytes.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
