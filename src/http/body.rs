//! Reads a request's body: within a number of bytes, a time, and the budget of its class. Does not know what the body means.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, EXPECT, HeaderMap};
use tokio::time::timeout;

use crate::http::budget::Share;
use crate::http::edge::Edge;
use crate::http::headers::media_type;
use crate::http::large::LargeBytes;
use crate::http::limits::{DISCARDED_BYTES, LARGE_BYTES};
use crate::http::refusal::Refusal;
use crate::http::trace::Trace;

/// A whole body, counted against its budget until it is dropped.
#[derive(Debug)]
pub(crate) struct HeldBody {
    pub(crate) bytes: Bytes,
    pub(crate) share: Share,
}

impl AsRef<[u8]> for HeldBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Refuses a `Content-Type` other than JSON. It may be missing.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    const JSON: &str = "application/json";
    let Some(content_type) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let is_json = content_type == JSON || media_type(content_type).eq_ignore_ascii_case(JSON); // the first check is quick
    if is_json { Ok(()) } else { Err(Refusal::ContentType) }
}

/// Reads the body of a request for a token, or to the relay, of at most `limit` bytes.
pub(crate) fn read_of_client(
    edge: &Edge,
    trace: &Trace,
    request: &mut Request<Incoming>,
    limit: usize,
) -> impl Future<Output = Result<HeldBody, Refusal>> {
    read(request.body_mut(), limit, edge.limits.body, Share::of(&edge.tokens.budget, trace.client))
}

/// Reads all of `body`. Refuses it as soon as it is known to be larger than `limit`, if possible before any of it is read.
pub(crate) fn read(
    body: &mut Incoming,
    limit: usize,
    within: Duration,
    share: Share,
) -> impl Future<Output = Result<HeldBody, Refusal>> {
    // Not an `async fn`: its future would hold the arguments twice.
    let mut reading = Reading { body, limit, share, collected: Collected::default() };
    async move {
        reading.check_announced_length()?;
        // Most bodies arrive with their head, and need no timer.
        match poll_fn(|cx| Poll::Ready(reading.poll(cx))).await {
            Poll::Ready(read) => read?,
            // Boxed, because it is rare.
            Poll::Pending => Box::pin(timeout(within, poll_fn(|cx| reading.poll(cx)))).await.or(Err(Refusal::BodyTooLate))??,
        }
        Ok(reading.into_body())
    }
}

/// Whether the whole body of `request` has arrived. The rest of a small one is discarded. This sends no `100 Continue`.
pub(crate) fn settle(request: &mut Request<Incoming>, is_refused: bool) -> bool {
    if request.body().is_end_stream() {
        return true;
    }
    if is_refused && request.headers().contains_key(EXPECT) {
        return false;
    }
    let mut left = DISCARDED_BYTES;
    let mut context = Context::from_waker(Waker::noop());
    let mut body = Pin::new(request.body_mut());
    loop {
        match body.as_mut().poll_frame(&mut context) {
            Poll::Ready(None) => return true,
            Poll::Ready(Some(Ok(frame))) => match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => return false,
            },
            Poll::Ready(Some(Err(_))) | Poll::Pending => return false,
        }
    }
}

/// A body that is being read.
struct Reading<'a> {
    body: &'a mut Incoming,
    limit: usize,
    share: Share,
    collected: Collected,
}

/// What has been read of a body.
enum Collected {
    /// One piece, as most bodies are, or nothing. It is kept without a copy.
    One(Bytes),
    Pieces(BytesMut),
    Large(LargeBytes),
}

impl Default for Collected {
    fn default() -> Self {
        Self::One(Bytes::new())
    }
}

impl Reading<'_> {
    fn check_announced_length(&self) -> Result<(), Refusal> {
        let least = usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX);
        if least > self.limit { Err(Refusal::BodyTooLarge(self.limit)) } else { Ok(()) }
    }

    /// Reads as much as has arrived.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        loop {
            match Pin::new(&mut *self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(piece) = frame.into_data() {
                        self.add(piece)?;
                    }
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Refusal::BodyBroken)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    self.share.wait();
                    return Poll::Pending;
                }
            }
        }
    }

    fn add(&mut self, piece: Bytes) -> Result<(), Refusal> {
        self.share.grow(piece.len())?;
        if self.share.bytes > self.limit {
            return Err(Refusal::BodyTooLarge(self.limit));
        }
        if self.share.bytes == piece.len() {
            self.collected = Collected::One(piece);
            return Ok(());
        }
        let mut pieces = match std::mem::take(&mut self.collected) {
            Collected::One(first) => BytesMut::from(first),
            Collected::Pieces(pieces) => pieces,
            Collected::Large(large) => return self.keep(large, &[&piece]),
        };
        if self.share.bytes > LARGE_BYTES {
            // As much as is announced, or allowed.
            let rest = self.body.size_hint().upper().and_then(|rest| usize::try_from(rest).ok());
            let most = rest.map_or(self.limit, |rest| rest.saturating_add(self.share.bytes).min(self.limit));
            return self.keep(LargeBytes::with_capacity(most).or(Err(Refusal::Overloaded))?, &[&pieces, &piece]);
        }
        pieces.extend_from_slice(&piece);
        self.collected = Collected::Pieces(pieces);
        Ok(())
    }

    /// Keeps `large` with `pieces` added to it.
    fn keep(&mut self, mut large: LargeBytes, pieces: &[&[u8]]) -> Result<(), Refusal> {
        pieces.iter().try_for_each(|piece| large.extend(piece)).or(Err(Refusal::Overloaded))?;
        self.collected = Collected::Large(large);
        Ok(())
    }

    fn into_body(self) -> HeldBody {
        let bytes = match self.collected {
            Collected::One(bytes) => bytes,
            Collected::Pieces(pieces) => pieces.freeze(),
            Collected::Large(large) => Bytes::from_owner(large),
        };
        HeldBody { bytes, share: self.share }
    }
}
