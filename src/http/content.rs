//! The content of an answer, known at once or produced over time. Does not know what it says or how it is sent.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::http::access_log::AccessEntry;
use crate::worker::lock;

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) enum Content {
    Whole(Bytes),
    Stream(Stream),
}

impl Content {
    /// Its length in bytes, as far as it is known.
    pub(crate) fn whole_length(&self) -> usize {
        if let Self::Whole(bytes) = self { bytes.len() } else { 0 }
    }
}

/// Content of unknown length that is produced while the client takes it.
pub(crate) struct Stream {
    /// `None` once it has produced everything.
    producer: Option<BoxFuture>,
    outlet: Outlet,
    /// Completes when the client's permission to read ends. `None` once it has.
    permission: Option<BoxFuture>,
    /// Whether it goes on until the client hangs up. If not, a client that closes only its own side still gets all of it.
    pub(crate) is_endless: bool,
    pub(crate) end: End,
    /// Called when the stream is dropped.
    pub(crate) on_end: Option<Box<dyn FnOnce(End) + Send>>,
    /// The line of its request in the access log.
    pub(crate) access: Option<Box<AccessEntry>>,
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client left. This is assumed unless another reason is known.
    Left,
    Slow,
    /// The client's permission to read ended.
    Forbidden,
    Done,
}

/// Where the producer of a stream puts its pieces. It holds one at a time.
#[derive(Clone, Default)]
pub(crate) struct Outlet(Arc<Mutex<Option<Bytes>>>);

impl Outlet {
    /// Waits until `piece` is taken. The stream, which takes it, then polls the producer again.
    pub(crate) async fn put(&self, piece: Bytes) {
        *self.piece() = Some(piece);
        poll_fn(|_| if self.piece().is_none() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn piece(&self) -> MutexGuard<'_, Option<Bytes>> {
        lock(&self.0)
    }
}

impl Stream {
    /// Streams what `produce` puts into the outlet. It is polled again when `permission` completes, and has to end then.
    pub(crate) fn new<F: Future<Output = ()> + Send + 'static>(
        permission: impl Future<Output = ()> + Send + 'static,
        is_endless: bool,
        produce: impl FnOnce(Outlet) -> F,
    ) -> Self {
        let outlet = Outlet::default();
        let producer: BoxFuture = Box::pin(produce(outlet.clone()));
        let permission: BoxFuture = Box::pin(permission);
        let permission = Some(permission);
        Self { producer: Some(producer), outlet, permission, is_endless, end: End::Left, on_end: None, access: None }
    }

    /// The next piece; `None` after the last.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut piece = self.poll_producer(cx);
        if piece.is_pending() && self.permission.is_some() && self.poll_permission(cx).is_ready() {
            piece = self.poll_producer(cx);
        }
        if let Poll::Ready(None) = piece {
            self.end = if self.poll_permission(cx).is_ready() { End::Forbidden } else { End::Done };
        }
        piece
    }

    fn poll_producer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.producer.as_mut().is_some_and(|producer| producer.as_mut().poll(cx).is_ready()) {
            self.producer = None;
        }
        let piece = self.outlet.piece().take();
        if piece.is_none() && self.producer.is_some() { Poll::Pending } else { Poll::Ready(piece) }
    }

    /// Ready when the client's permission to read has ended.
    pub(crate) fn poll_permission(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(permission) = &mut self.permission {
            ready!(permission.as_mut().poll(cx));
            self.permission = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(on_end) = self.on_end.take() {
            on_end(self.end);
        }
    }
}
