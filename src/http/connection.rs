//! Owns one connection's life: silent until its first byte, then spoken with by hyper, silent again after an answer, and at
//! last closed in a way that lets its client read what it was told. A silent connection has no buffers.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, trace};

use crate::http::limits::{HYPER_HEAD_BYTES, LINGER_BYTES};
use crate::http::pulse::{Patience, Pulse, PulsedStream};
use crate::http::reply::Refusal;
use crate::http::{Edge, router};

/// Tells connections that the server stops.
pub(crate) type Stopping = watch::Receiver<bool>;

/// How a conversation went.
enum Outcome {
    /// It rests; what was read beyond the last request comes with it.
    Quiet(TcpStream, Bytes),
    /// It is over, and the stream is still whole.
    Over(TcpStream),
    /// Its client tried our patience.
    Overdue(TcpStream, Patience),
    /// The stream is broken.
    Broken,
}

/// Serves `stream` until it is closed.
pub(crate) async fn serve(mut stream: TcpStream, edge: Arc<Edge>, mut stopping: Stopping) {
    let mut before = Bytes::new();
    loop {
        if before.is_empty() && !first_byte(&stream, edge.limits.idle, &mut stopping).await {
            return;
        }
        // On the heap, so that the task of a silent connection stays small.
        match Box::pin(converse(stream, before, &edge, &mut stopping)).await {
            Outcome::Quiet(quiet, rest) => (stream, before) = (quiet, rest),
            Outcome::Over(stream) => return linger(stream, edge.limits.linger).await,
            Outcome::Overdue(stream, Patience::Head) => {
                return refuse(stream, &edge, &Refusal::HeadTooLate, edge.limits.linger).await;
            }
            Outcome::Overdue(..) | Outcome::Broken => return,
        }
    }
}

/// Waits for something to read, without a buffer; `false` where it does not come in time or the server stops.
async fn first_byte(stream: &TcpStream, within: Duration, stopping: &mut Stopping) -> bool {
    tokio::select! {
        biased;
        readable = timeout(within, stream.readable()) => matches!(readable, Ok(Ok(()))),
        _ = stopping.wait_for(|stopping| *stopping) => false,
    }
}

/// Lets hyper answer requests until the connection rests or ends.
async fn converse(stream: TcpStream, before: Bytes, edge: &Arc<Edge>, stopping: &mut Stopping) -> Outcome {
    let pulse = Pulse::new();
    let io = PulsedStream { before, stream: TokioIo::new(stream), pulse: Arc::clone(&pulse) };
    let service = service_fn(|request| {
        let answer = router::answer(Arc::clone(edge), Arc::clone(&pulse), request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .half_close(true)
        .max_buf_size(HYPER_HEAD_BYTES)
        .serve_connection(io, service);

    let mut stop = pin!(stopping.wait_for(|stopping| *stopping));
    let mut stopped = false;
    let mut alarm = pin!(sleep(edge.limits.head));
    let end = poll_fn(|cx| {
        loop {
            if let Poll::Ready(end) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(Ok(end));
            }
            if !stopped && stop.as_mut().poll(cx).is_ready() {
                stopped = true;
                Pin::new(&mut connection).graceful_shutdown();
                continue;
            }
            // One alarm a connection. It may ring early, for deadlines move; then it is set again.
            match pulse.deadline(&edge.limits) {
                Some((deadline, patience)) if deadline <= Instant::now() => return Poll::Ready(Err(patience)),
                Some((deadline, _)) if deadline < alarm.deadline() || alarm.is_elapsed() => alarm.as_mut().reset(deadline),
                None if alarm.is_elapsed() => return Poll::Pending,
                _ => {}
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;

    let parts = connection.into_parts();
    let stream = parts.io.stream.into_inner();
    match end {
        Ok(Ok(())) => Outcome::Over(stream),
        Ok(Err(error)) => {
            debug!(%error, "connection ended");
            if error.is_parse() { Outcome::Over(stream) } else { Outcome::Broken }
        }
        Err(Patience::Idle) => Outcome::Quiet(stream, parts.read_buf),
        Err(patience) => {
            trace!(?patience, "connection overdue");
            Outcome::Overdue(stream, patience)
        }
    }
}

/// Answers without hyper, on a connection whose request was not read to its end, and closes it.
pub(crate) async fn refuse(mut stream: TcpStream, edge: &Edge, refusal: &Refusal, within: Duration) {
    let mut reply = refusal.reply();
    edge.cors.admit(None, reply.headers_mut());
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let mut answer = format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", reply.status(), reply.body().len()).into_bytes();
    for (name, value) in reply.headers() {
        answer.extend_from_slice(name.as_ref());
        answer.extend_from_slice(b": ");
        answer.extend_from_slice(value.as_bytes());
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(reply.body());
    if let Ok(Ok(())) = timeout(within, stream.write_all(&answer)).await {
        linger(stream, within).await;
    }
}

/// Closes `stream` so that its client can read what it was sent: were it closed over unread bytes, the client would lose both
/// (RFC 9112, section 9.6).
async fn linger(mut stream: TcpStream, within: Duration) {
    let drain = async {
        stream.shutdown().await?;
        let mut left = LINGER_BYTES;
        let mut sink = Box::new([0; 4096]);
        while left > 0 {
            match stream.read(&mut sink[..]).await? {
                0 => break,
                bytes => left = left.saturating_sub(bytes),
            }
        }
        io::Result::Ok(())
    };
    let _ = timeout(within, drain).await; // closed now in any case
}
