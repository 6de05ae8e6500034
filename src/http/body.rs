//! Reads a request's body: within a number of bytes, a time, and the budget of its class. Does not know what the body means.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::Request;
use hyper::body::{Body, Frame, Incoming};
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
pub(crate) async fn read_of_client(
    edge: &Edge,
    trace: &Trace,
    request: &mut Request<Incoming>,
    limit: usize,
) -> Result<HeldBody, Refusal> {
    read(request.body_mut(), limit, edge.limits.body, Share::of(&edge.tokens.budget, trace.client)).await
}

/// Reads all of `body`. Refuses it as soon as it is known to be larger than `limit`, if possible before any of it is read.
pub(crate) async fn read(body: &mut Incoming, limit: usize, within: Duration, share: Share) -> Result<HeldBody, Refusal> {
    let least = body.size_hint().lower();
    if usize::try_from(least).map_or(true, |least| least > limit) {
        return Err(Refusal::BodyTooLarge(limit));
    }
    let mut collected = pin!(collect(body, limit, share));
    // Most bodies arrive with their head, and need no timer.
    match poll_fn(|cx| Poll::Ready(collected.as_mut().poll(cx))).await {
        Poll::Ready(read) => read,
        Poll::Pending => Box::pin(timeout(within, collected)).await.unwrap_or(Err(Refusal::BodyTooLate)), // boxed, because it is rare
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

/// The next frame of `body`, for which `share` may have to wait.
async fn next_frame(body: &mut Incoming, share: &mut Share) -> Option<hyper::Result<Frame<Bytes>>> {
    poll_fn(|cx| {
        let frame = Pin::new(&mut *body).poll_frame(cx);
        if frame.is_pending() {
            share.wait();
        }
        frame
    })
    .await
}

async fn collect(body: &mut Incoming, limit: usize, mut share: Share) -> Result<HeldBody, Refusal> {
    // As much as is announced, or allowed.
    let most = body.size_hint().upper().and_then(|most| usize::try_from(most).ok()).map_or(limit, |most| most.min(limit));
    let mut whole = Bytes::new();
    let mut parts = BytesMut::new();
    let mut large = None;
    while let Some(frame) = next_frame(body, &mut share).await {
        let Ok(part) = frame.or(Err(Refusal::BodyBroken))?.into_data() else { continue };
        share.grow(part.len())?;
        if share.bytes > limit {
            return Err(Refusal::BodyTooLarge(limit));
        }
        // Most bodies come in one piece, which is kept without a copy.
        if share.bytes == part.len() {
            whole = part;
        } else if share.bytes <= LARGE_BYTES {
            parts.extend_from_slice(&std::mem::take(&mut whole));
            parts.extend_from_slice(&part);
        } else {
            let large = match &mut large {
                Some(large) => large,
                none => none.insert(LargeBytes::with_capacity(most).or(Err(Refusal::Overloaded))?),
            };
            for part in [&std::mem::take(&mut whole)[..], &std::mem::take(&mut parts), &part] {
                large.extend(part).or(Err(Refusal::Overloaded))?;
            }
        }
    }
    let bytes = match large {
        Some(large) => Bytes::from_owner(large),
        None if parts.is_empty() => whole,
        None => parts.freeze(),
    };
    Ok(HeldBody { bytes, share })
}
