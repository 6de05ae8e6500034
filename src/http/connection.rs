//! A connection's life: silent until its first byte, served by hyper, silent again after an answer, and closed so that the client
//! can read the last answer. A silent connection has no buffers.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::http::boundaries::Boundaries;
use crate::http::content::Content;
use crate::http::conversation::{Conversation, Handover, WaitingFor};
use crate::http::edge::Edge;
use crate::http::limits::{BUFFER_GRACE, CONNECTION_BUFFER_BYTES, LAST_CALL, LINGER_BYTES};
use crate::http::observed::ObservedStream;
use crate::http::proxy_protocol;
use crate::http::refusal::Refusal;
use crate::http::reply::Reply;
use crate::http::router;
use crate::http::routes::{Listener, Peer};
use crate::http::slow_followers;
use crate::http::stop::Stop;

const NO_HTTP: Refusal = Refusal::Framing("this is not an HTTP/1.1 request");
const AMBIGUOUS: Refusal = Refusal::Framing("a request must not have both Content-Length and Transfer-Encoding");

/// How a conversation ended.
enum Ended {
    /// It waits for the next request. What was read beyond the last one comes with it.
    Idle(Bytes),
    /// The last answer is written.
    Over,
    /// What came is not a request, or came too late. This is the answer.
    Refused(Box<Reply>),
    /// The head of an answer is written, and the connection sends the rest. What was read beyond the request comes with it.
    Handover(Handover, Bytes),
    /// The connection broke, or the client did not read.
    Broken,
}

/// Serves `stream` until it is closed.
pub(crate) async fn serve(mut stream: TcpStream, edge: &Edge, mut peer: Peer) {
    let mut before = Bytes::new();
    if let (Some(protocol), Listener::Public) = (&edge.proxy_protocol, peer.listener) {
        match Box::pin(proxy_protocol::read_header(&mut stream, edge.limits.head, &edge.stop)).await {
            Ok(Some(start)) => {
                peer.client = start.client.map_or(peer.client, |client| client.to_canonical());
                before = start.rest;
            }
            Ok(None) => return,
            Err(error) => {
                edge.count_cut("proxy_header");
                return protocol.warn(peer.client, error);
            }
        }
    }
    let mut pace = Pace::default();
    loop {
        if before.is_empty() && !first_byte(&stream, edge.limits.idle, &edge.stop).await {
            return;
        }
        // On the heap, so that the task of a silent connection stays small. So is what sends a stream.
        before = match Box::pin(converse(&mut stream, before, edge, peer, pace.is_busy())).await {
            Ended::Idle(rest) => rest,
            Ended::Handover(handover, rest) => {
                let is_last = handover.is_last;
                match Box::pin(slow_followers::send_or_cut(&mut stream, handover, edge.limits.write)).await {
                    Ok(()) if is_last => return linger(stream, edge.limits.linger).await,
                    Ok(()) => rest,
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => return edge.count_cut("reader"),
                    Err(_) => return,
                }
            }
            Ended::Over => return linger(stream, edge.limits.linger).await,
            Ended::Refused(reply) => return refuse(stream, *reply, edge.limits.linger).await,
            Ended::Broken => return,
        };
        pace.rests();
    }
}

/// How quickly requests follow each other. A busy connection keeps its buffers for a while, because allocating them costs time.
#[derive(Default)]
struct Pace {
    rested_at: Option<Instant>,
    quick_returns: u8,
}

impl Pace {
    fn rests(&mut self) {
        self.rested_at = Some(Instant::now());
    }

    /// Whether the connection came back soon several times in a row, now that it is back.
    fn is_busy(&mut self) -> bool {
        let is_quick = self.rested_at.is_some_and(|at| at.elapsed() < BUFFER_GRACE);
        self.quick_returns = if is_quick { self.quick_returns.saturating_add(1) } else { 0 };
        self.quick_returns > 2
    }
}

/// Waits for something to read, without a buffer. `false` if the client is too late or hangs up, or the server stops.
async fn first_byte(stream: &TcpStream, within: Duration, stop: &Stop) -> bool {
    let mut byte = [0];
    tokio::select! {
        biased; // a request that is there when the server stops is answered
        peeked = timeout(within, stream.peek(&mut byte)) => matches!(peeked, Ok(Ok(1..))),
        () = async { stop.connections_end().await; sleep(LAST_CALL).await } => false,
    }
}

/// Lets hyper answer requests until the connection is idle or ends.
async fn converse(stream: &mut TcpStream, before: Bytes, edge: &Edge, peer: Peer, is_busy: bool) -> Ended {
    let conversation = Conversation::new();
    let io = ObservedStream { stream, before, conversation: Arc::clone(&conversation), boundaries: Boundaries::default() };
    let service = service_fn(|request| router::answer(edge, peer, conversation.begin_answer(), request));
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .half_close(true)
        .max_buf_size(CONNECTION_BUFFER_BYTES)
        .writev(false) // most answers are small: copying them behind their heads costs less than a list of parts
        .serve_connection(io, service);
    let end = until_too_slow(&mut connection, &conversation, edge, is_busy).await;

    let parts = connection.into_parts();
    // Copied, because even an empty part of a buffer keeps all of it.
    let rest = || Bytes::from([&*parts.read_buf, &*parts.io.before].concat());
    let refused = |head: &[u8], refusal| Ended::Refused(Box::new(router::refuse(edge, peer, head, &refusal)));
    match end {
        Ok(Ok(())) => Ended::Over,
        Ok(Err(error)) => {
            debug!(%error, "connection ended");
            match error.is_parse() {
                _ if parts.io.boundaries.is_ambiguous() => refused(&parts.read_buf, AMBIGUOUS),
                true if !conversation.is_before_request() => Ended::Over,
                true if error.is_parse_too_large() => refused(&parts.read_buf, Refusal::HeadTooLarge),
                true => refused(&parts.read_buf, NO_HTTP),
                false => Ended::Broken,
            }
        }
        Err(WaitingFor::Request) => Ended::Idle(rest()),
        Err(WaitingFor::Nothing) => match conversation.handover() {
            Some(handover) => Ended::Handover(handover, rest()),
            None => Ended::Over,
        },
        Err(WaitingFor::Head) => {
            edge.count_cut("head");
            refused(b"", Refusal::HeadTooLate)
        }
        Err(_) => {
            edge.count_cut("reader");
            Ended::Broken
        }
    }
}

/// Polls hyper's `connection` until it ends, or `Err` of what it waits for: in vain, or because hyper is not needed for it.
async fn until_too_slow<C: Future + Unpin>(
    connection: &mut C,
    conversation: &Conversation,
    edge: &Edge,
    is_busy: bool,
) -> Result<C::Output, WaitingFor> {
    let mut alarm = pin!(sleep(edge.limits.head));
    let mut alarm_is_for = None;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(end) = Pin::new(&mut *connection).poll(cx) {
                return Poll::Ready(Ok(end));
            }
            let waiting = conversation.waiting_for();
            let rings = alarm.is_elapsed();
            let patience = match waiting.0 {
                WaitingFor::Answer => return Poll::Pending,
                WaitingFor::Request if is_busy => BUFFER_GRACE,
                WaitingFor::Request | WaitingFor::Nothing => return Poll::Ready(Err(waiting.0)),
                WaitingFor::Head => edge.limits.head,
                WaitingFor::Reader => edge.limits.write,
            };
            let is_set = match alarm_is_for {
                // Not set again for each request: the connection is idle if nothing moved between two alarms.
                Some((WaitingFor::Request, _)) if waiting.0 == WaitingFor::Request && !rings => true,
                alarm_is_for => alarm_is_for == Some(waiting),
            };
            if is_set {
                return if rings { Poll::Ready(Err(waiting.0)) } else { Poll::Pending };
            }
            alarm_is_for = Some(waiting);
            alarm.set(sleep(patience));
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Sends `reply` without hyper to a request that was not read to its end, and closes the connection.
pub(crate) async fn refuse(mut stream: TcpStream, reply: Reply, within: Duration) {
    let (head, content) = reply.into_parts();
    let body = if let Content::Whole(body) = content { body } else { Bytes::new() };
    let mut answer = format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", head.status, body.len()).into_bytes();
    for (name, value) in &head.headers {
        answer.extend_from_slice(name.as_ref());
        answer.extend_from_slice(b": ");
        answer.extend_from_slice(value.as_bytes());
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(&body);
    drop((head, body));
    if let Ok(Ok(())) = timeout(within, stream.write_all(&answer)).await {
        linger(stream, within).await;
    }
}

/// Closes `stream` after reading what the client still sends, at most [`LINGER_BYTES`]. Unread bytes would reset the connection,
/// and the client could lose the answer (RFC 9112, section 9.6).
async fn linger(mut stream: TcpStream, within: Duration) {
    let _ = timeout(within, async {
        stream.shutdown().await?;
        let mut left = LINGER_BYTES;
        let mut sink = Box::new([0; 4096]);
        while let read @ 1.. = stream.read(&mut sink[..]).await? {
            left = left.saturating_sub(read);
            if left == 0 {
                pending::<()>().await;
            }
        }
        io::Result::Ok(())
    })
    .await; // closed now in any case
}
