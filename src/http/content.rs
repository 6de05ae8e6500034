//! Owns what an answer says, known at once or coming over time, and its way to hyper. Does not know what it is.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::http::budget::Share;
use crate::http::limits::ANSWER_PIECE_BYTES;
use crate::http::pulse::InFlight;

/// What comes over time, and how much is not known.
pub(crate) struct Stream {
    body: Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>>,
    /// Done when the right to it ends; `None` once it has.
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Whether it goes on until its reader leaves. A reader that only finishes its own side waits for what ends.
    pub(crate) is_endless: bool,
    ending: Option<Ending>,
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its reader left, which is so as long as nothing else is known.
    Left,
    /// Its reader took too little.
    Slow,
    /// The right to it ended.
    Right,
    /// There is no more.
    Done,
}

/// Tells why a stream ended, when it does.
struct Ending {
    end: End,
    tell: Option<Box<dyn FnOnce(End) + Send>>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(self.end);
        }
    }
}

impl Stream {
    /// `body`, which is polled again when `over` is done, and then ends by itself.
    pub(crate) fn new(
        body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static,
        over: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self { body: Box::pin(body), over: Some(Box::pin(over)), is_endless: false, ending: None }
    }

    /// The same, but that it goes on until its reader leaves.
    pub(crate) fn endless(self) -> Self {
        Self { is_endless: true, ..self }
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let polled = match self.body.as_mut().poll_frame(cx) {
            Poll::Pending if self.over.is_some() && self.poll_over(cx).is_ready() => self.body.as_mut().poll_frame(cx),
            polled => polled,
        };
        if let Poll::Ready(None) = polled {
            let end = if self.poll_over(cx).is_ready() { End::Right } else { End::Done };
            self.ends(end);
        }
        polled
    }

    /// The same, but that `tell` hears of its end.
    pub(crate) fn telling(self, tell: impl FnOnce(End) + Send + 'static) -> Self {
        Self { ending: Some(Ending { end: End::Left, tell: Some(Box::new(tell)) }), ..self }
    }

    /// It ends, for this reason.
    pub(crate) fn ends(&mut self, end: End) {
        if let Some(ending) = &mut self.ending {
            ending.end = end;
        }
    }

    /// Ready when the right to it has ended.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(over) = &mut self.over {
            ready!(over.as_mut().poll(cx));
            self.over = None;
        }
        Poll::Ready(())
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
    /// All of it at once.
    Whole(Bytes),
    /// The same, and its share of a budget.
    Held { bytes: Bytes, _share: Share },
    /// What comes over time, perhaps for days.
    Stream(Stream),
}

impl Content {
    /// All of it, where it is known at once.
    pub(crate) fn whole(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) | Self::Held { bytes, .. } => bytes,
            Self::Stream(_) => &[],
        }
    }
}

/// An answer on its way out. While it lives, its request is under way.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    content: Content,
    _in_flight: InFlight,
}

impl ReplyBody {
    pub(crate) fn new(content: Content, in_flight: InFlight) -> Self {
        Self { content, _in_flight: in_flight }
    }

    /// The same, but that what comes over time is handed over to the connection as soon as hyper has written the head, which ends
    /// with `Transfer-Encoding: chunked`. hyper itself would hold two buffers of 8 KiB for as long as it lasts.
    pub(crate) fn handed_over(content: Content, in_flight: InFlight) -> Self {
        match content {
            Content::Stream(stream) => {
                in_flight.hand_over(stream);
                Self::new(Content::Stream(Stream::new(Nothing, pending())), in_flight)
            }
            content => Self::new(content, in_flight),
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.content {
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            // hyper copies what it is given: all at once would be held twice, and not counted.
            Content::Held { bytes, .. } => {
                let piece = bytes.split_to(bytes.len().min(ANSWER_PIECE_BYTES));
                Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
            }
            Content::Stream(stream) => stream.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) | Content::Held { bytes, .. } => bytes.is_empty(),
            Content::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) | Content::Held { bytes, .. } => {
                SizeHint::with_exact(bytes.len().try_into().unwrap_or(u64::MAX))
            }
            Content::Stream(_) => SizeHint::new(),
        }
    }
}

/// A body of which nothing comes, and that does not end.
struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}
