//! Owns one connection's life: silent until its first byte, then spoken with by hyper, silent again after an answer, and at
//! last closed in a way that lets its client read what it was told. A silent connection has no buffers.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::http::boundaries::Boundaries;
use crate::http::chunks;
use crate::http::edge::Edge;
use crate::http::limits::{BUFFER_GRACE, CONNECTION_BUFFER_BYTES, LAST_CALL, LINGER_BYTES};
use crate::http::pulse::{Handed, Pulse, PulsedStream, Waiting};
use crate::http::refusal::Refusal;
use crate::http::reply::Reply;
use crate::http::router;
use crate::http::routes::Peer;
use crate::http::stop::Stop;

const NO_HTTP: Refusal = Refusal::Framing("this is not a request of HTTP/1.1");
const AMBIGUOUS: Refusal = Refusal::Framing("a request must not have both Content-Length and Transfer-Encoding");

/// How a conversation went.
enum Outcome {
    /// It rests; what was read beyond the last request comes with it.
    Quiet(TcpStream, Bytes),
    /// It is over, and the stream is still whole.
    Over(TcpStream),
    /// What it sent is no head of a request: what it is told.
    Refused(TcpStream, Box<Reply>),
    /// What it waited for did not come in time.
    Overdue(TcpStream, Waiting),
    /// The head of an answer is out, whose body comes over time; what was read beyond the request comes with it.
    Head(TcpStream, Bytes, Handed),
    /// The stream is broken.
    Broken,
}

/// Serves `stream` until it is closed.
pub(crate) async fn serve(mut stream: TcpStream, edge: &Edge, peer: Peer) {
    let mut before = Bytes::new();
    let mut pace = Pace::default();
    loop {
        if before.is_empty() && !first_byte(&stream, edge.limits.idle, &edge.stop).await {
            return;
        }
        // On the heap, so that the task of a silent connection stays small.
        match Box::pin(converse(stream, before, edge, peer, pace.is_busy())).await {
            Outcome::Quiet(quiet, rest) => (stream, before) = (quiet, rest),
            Outcome::Head(mut open, rest, Handed { body, is_last }) => {
                // On the heap for the same reason.
                match Box::pin(chunks::send(&mut open, body, edge.limits.write)).await {
                    Ok(()) if is_last => return linger(open, edge.limits.linger).await,
                    Ok(()) => (stream, before) = (open, rest),
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => return edge.count_cut("reader"),
                    Err(_) => return,
                }
            }
            Outcome::Over(stream) => return linger(stream, edge.limits.linger).await,
            Outcome::Refused(stream, reply) => return refuse(stream, *reply, edge.limits.linger).await,
            Outcome::Overdue(stream, Waiting::Head) => {
                edge.count_cut("head");
                let reply = router::refuse(edge, peer, b"", &Refusal::HeadTooLate);
                return refuse(stream, reply, edge.limits.linger).await;
            }
            Outcome::Overdue(..) => return edge.count_cut("reader"),
            Outcome::Broken => return,
        }
        pace.rests();
    }
}

/// How quickly requests follow each other. A busy connection keeps its buffers for a moment after each answer, for making them
/// anew costs time; one that is not gives them back at once.
#[derive(Default)]
struct Pace {
    rested_at: Option<Instant>,
    quick_returns: u8,
}

impl Pace {
    fn rests(&mut self) {
        self.rested_at = Some(Instant::now());
    }

    /// Whether the connection came back soon several times in a row, now that it has.
    fn is_busy(&mut self) -> bool {
        let is_quick = self.rested_at.is_some_and(|at| at.elapsed() < BUFFER_GRACE);
        self.quick_returns = if is_quick { self.quick_returns.saturating_add(1) } else { 0 };
        self.quick_returns > 2
    }
}

/// Waits for something to read, without a buffer; `false` where it does not come in time, or the client hangs up. While the server
/// stops, the time is short.
async fn first_byte(stream: &TcpStream, within: Duration, stop: &Stop) -> bool {
    let mut byte = [0];
    tokio::select! {
        biased; // a request that is there when the server stops is answered
        peeked = timeout(within, stream.peek(&mut byte)) => matches!(peeked, Ok(Ok(1..))),
        () = async { stop.wait().await; sleep(LAST_CALL).await } => false,
    }
}

/// Lets hyper answer requests until the connection rests or ends.
async fn converse(stream: TcpStream, before: Bytes, edge: &Edge, peer: Peer, is_busy: bool) -> Outcome {
    let pulse = Pulse::new();
    let io = PulsedStream { before, stream: TokioIo::new(stream), pulse: Arc::clone(&pulse), boundaries: Boundaries::default() };
    let service = service_fn(|request| router::answer(edge, peer, pulse.answering(), request));
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .half_close(true)
        .max_buf_size(CONNECTION_BUFFER_BYTES)
        .writev(false) // most answers are small: copying them behind their heads costs less than a list of parts
        .serve_connection(io, service);

    let mut alarm = pin!(sleep(edge.limits.head));
    let mut alarmed_for = None;
    let end = poll_fn(|cx| {
        loop {
            if let Poll::Ready(end) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(Ok(end));
            }
            let waiting = pulse.waiting();
            let rings = alarm.is_elapsed();
            let patience = match waiting.0 {
                Waiting::Idle if !is_busy => return Poll::Ready(Err(Waiting::Idle)),
                // Not set anew for each request: what beats between two rings is not idle.
                Waiting::Idle if alarmed_for.is_some_and(|(waiting, _)| waiting == Waiting::Idle) && !rings => {
                    return Poll::Pending;
                }
                Waiting::Idle => BUFFER_GRACE,
                Waiting::Answer => return Poll::Pending,
                Waiting::Chunks => return Poll::Ready(Err(Waiting::Chunks)),
                Waiting::Nothing => return Poll::Ready(Ok(Ok(()))),
                Waiting::Head => edge.limits.head,
                Waiting::Reader => edge.limits.write,
            };
            if alarmed_for == Some(waiting) {
                return if rings { Poll::Ready(Err(waiting.0)) } else { Poll::Pending };
            }
            alarmed_for = Some(waiting);
            alarm.set(sleep(patience));
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;

    let parts = connection.into_parts();
    let is_ambiguous = parts.io.boundaries.is_ambiguous();
    // Copied, for even an empty part of a buffer keeps all of it.
    let rest = || Bytes::from([&*parts.read_buf, &*parts.io.before].concat());
    let refused = |refusal| Box::new(router::refuse(edge, peer, &parts.read_buf, &refusal));
    let stream = parts.io.stream.into_inner();
    match end {
        Ok(Ok(())) => Outcome::Over(stream),
        Ok(Err(error)) => {
            debug!(%error, "connection ended");
            match error.is_parse() {
                _ if is_ambiguous => Outcome::Refused(stream, refused(AMBIGUOUS)),
                true if pulse.is_in_head() => {
                    let refusal = if error.is_parse_too_large() { Refusal::HeadTooLarge } else { NO_HTTP };
                    Outcome::Refused(stream, refused(refusal))
                }
                true => Outcome::Over(stream),
                false => Outcome::Broken,
            }
        }
        Err(Waiting::Idle) => Outcome::Quiet(stream, rest()),
        Err(Waiting::Chunks) => match pulse.take_over() {
            Some(handed) => Outcome::Head(stream, rest(), handed),
            None => Outcome::Over(stream),
        },
        Err(waiting) => {
            debug!(?waiting, "connection cut: it took too long");
            Outcome::Overdue(stream, waiting)
        }
    }
}

/// Answers without hyper, on a connection whose request was not read to its end, and closes it.
pub(crate) async fn refuse(mut stream: TcpStream, reply: Reply, within: Duration) {
    let mut answer = format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", reply.status(), reply.body().whole().len()).into_bytes();
    for (name, value) in reply.headers() {
        answer.extend_from_slice(name.as_ref());
        answer.extend_from_slice(b": ");
        answer.extend_from_slice(value.as_bytes());
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(reply.body().whole());
    drop(reply);
    if let Ok(Ok(())) = timeout(within, stream.write_all(&answer)).await {
        linger(stream, within).await;
    }
}

/// Closes `stream` so that its client can read what it was sent: were it closed at once over unread bytes, the client could lose
/// both (RFC 9112, section 9.6). A client that goes on sending is read no further than [`LINGER_BYTES`], and has the time that is left.
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
