//! The body that hyper sends after an answer's head. Does not know the connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::http::content::Content;
use crate::http::conversation::InFlight;
use crate::http::limits::ANSWER_PIECE_BYTES;

pub(crate) struct ReplyBody {
    /// `None` if hyper sends no body: the connection sends the stream, or it is the answer to a HEAD.
    bytes: Option<Bytes>,
    in_flight: Option<InFlight>,
}

impl ReplyBody {
    /// The request is in flight until hyper has taken all of `content`. A stream is handed over to the connection instead, because
    /// hyper's buffers would stay with it: an idle follower would take up to 66 KiB instead of 4 KiB.
    pub(crate) fn new(content: Content, in_flight: InFlight, is_head: bool, is_chunked: bool) -> Self {
        match content {
            Content::Whole(bytes) => Self { bytes: Some(bytes), in_flight: Some(in_flight) },
            Content::Stream(_) if is_head => Self { bytes: None, in_flight: Some(in_flight) },
            Content::Stream(stream) => {
                in_flight.hand_over(stream, is_chunked);
                Self { bytes: None, in_flight: None }
            }
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    /// Gives hyper a piece at a time, because hyper copies it, and the copy is counted nowhere.
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(bytes) = &mut self.bytes else { return Poll::Pending };
        let piece = bytes.split_to(bytes.len().min(ANSWER_PIECE_BYTES));
        if let Some(access) = self.in_flight.as_mut().and_then(|in_flight| in_flight.access.as_mut()) {
            access.add(piece.len());
        }
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
