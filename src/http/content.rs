//! The content of an answer, known at once or produced over time, and how hyper takes it. Does not know what it says.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::http::budget::Share;
use crate::http::conversation::InFlight;
use crate::http::limits::ANSWER_PIECE_BYTES;

type Polled = Poll<Option<Result<Frame<Bytes>, Infallible>>>;

/// Content of unknown length that is produced over time.
pub(crate) struct Stream {
    body: Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>>,
    /// Completes when the client's right to the content ends. `None` once it has.
    right: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Whether it goes on until the client hangs up. If not, a client that closes only its own side still gets all of it.
    pub(crate) is_endless: bool,
    end: End,
    on_end: Option<Box<dyn FnOnce(End) + Send>>,
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client left. This is assumed unless another reason is known.
    Left,
    /// The client read too slowly.
    Slow,
    /// The client's right to it ended.
    Right,
    /// There is no more.
    Done,
}

impl Stream {
    /// Streams `body`, which is polled again when `right` completes, and is expected to end then.
    pub(crate) fn new(
        body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static,
        right: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self { body: Box::pin(body), right: Some(Box::pin(right)), is_endless: false, end: End::Left, on_end: None }
    }

    pub(crate) fn endless(mut self) -> Self {
        self.is_endless = true;
        self
    }

    /// Calls `on_end` when the stream is dropped.
    pub(crate) fn on_end(mut self, on_end: impl FnOnce(End) + Send + 'static) -> Self {
        self.on_end = Some(Box::new(on_end));
        self
    }

    pub(crate) fn set_end(&mut self, end: End) {
        self.end = end;
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let polled = match self.body.as_mut().poll_frame(cx) {
            Poll::Pending if self.right.is_some() && self.poll_right(cx).is_ready() => self.body.as_mut().poll_frame(cx),
            polled => polled,
        };
        if let Poll::Ready(None) = polled {
            self.end = if self.poll_right(cx).is_ready() { End::Right } else { End::Done };
        }
        polled
    }

    /// Ready when the client's right to it has ended.
    pub(crate) fn poll_right(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(right) = &mut self.right {
            ready!(right.as_mut().poll(cx));
            self.right = None;
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

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

/// What an answer says.
#[derive(Debug)]
pub(crate) enum Content {
    Whole(Bytes),
    /// The same, counted against a budget until it is written.
    Held {
        bytes: Bytes,
        _share: Share,
    },
    Stream(Stream),
}

impl Content {
    /// All of it, or nothing if it is a stream.
    pub(crate) fn whole(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) | Self::Held { bytes, .. } => bytes,
            Self::Stream(_) => &[],
        }
    }
}

/// The body that hyper sends after an answer's head.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    /// `None` if hyper sends no body: the connection sends the stream, or it is the answer to a HEAD.
    bytes: Option<Bytes>,
    _share: Option<Share>,
    _in_flight: Option<InFlight>,
}

impl ReplyBody {
    /// The request is in flight until hyper has taken all of `content`. A stream is handed over to the connection instead, because
    /// hyper's buffers would stay with it: an idle follower would take up to 66 KiB instead of 4 KiB.
    pub(crate) fn new(content: Content, in_flight: InFlight, is_head: bool, is_chunked: bool) -> Self {
        match content {
            Content::Whole(bytes) => Self { bytes: Some(bytes), _share: None, _in_flight: Some(in_flight) },
            Content::Held { bytes, _share } => Self { bytes: Some(bytes), _share: Some(_share), _in_flight: Some(in_flight) },
            Content::Stream(_) if is_head => Self { bytes: None, _share: None, _in_flight: Some(in_flight) },
            Content::Stream(stream) => {
                in_flight.hand_over(stream, is_chunked);
                Self { bytes: None, _share: None, _in_flight: None }
            }
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    /// Gives hyper a piece at a time, because hyper copies it, and the copy is counted nowhere.
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Polled {
        let Some(bytes) = &mut self.bytes else { return Poll::Pending };
        let piece = bytes.split_to(bytes.len().min(ANSWER_PIECE_BYTES));
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.as_ref().is_some_and(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.bytes.as_ref().map(|bytes| bytes.len().try_into().unwrap_or(u64::MAX));
        length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
