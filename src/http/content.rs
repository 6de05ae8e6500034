//! Owns what an answer says, known at once or coming over time, and its way to hyper. Does not know what it is.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::http::pulse::InFlight;

/// What comes over time, and how much is not known.
pub(crate) struct Stream(Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>>);

impl Stream {
    pub(crate) fn new(body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Self {
        Self(Box::pin(body))
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.as_mut().poll_frame(cx)
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
    /// What comes over time, and ends soon.
    Stream(Stream),
    /// What comes over time, perhaps for days. The connection does nothing else, and ends with it.
    Endless(Stream),
}

impl Content {
    /// All of it, where it is known at once.
    pub(crate) fn whole(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Stream(_) | Self::Endless(_) => &[],
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

    /// The same, but that what is endless is handed over to the connection as soon as hyper has written the head, which ends
    /// with `Transfer-Encoding: chunked`. hyper itself would hold two buffers of 8 KiB for as long as it lasts.
    pub(crate) fn handed_over(content: Content, in_flight: InFlight) -> Self {
        match content {
            Content::Endless(stream) => {
                in_flight.hand_over(stream);
                Self::new(Content::Endless(Stream::new(Nothing)), in_flight)
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
            Content::Stream(stream) | Content::Endless(stream) => stream.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Stream(_) | Content::Endless(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len().try_into().unwrap_or(u64::MAX)),
            Content::Stream(_) | Content::Endless(_) => SizeHint::new(),
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
