//! Owns the knowledge of what a connection is doing and since when: the byte stream and the requests report here, and the
//! connection reads off when its patience ends. Does not act on it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::http::limits::{BUFFER_GRACE, Limits, WRITE_PROGRESS_BYTES};

/// What a connection is doing. One task turns all of it, so that plain loads and stores do.
#[derive(Debug)]
pub(crate) struct Pulse {
    begin: Instant,
    phase: AtomicU8,
    /// When the phase began; milliseconds after `begin`, as all of these.
    since: AtomicU64,
    /// When the reader last took enough of what it was sent, plus one; 0 while nothing waits for it.
    blocked_since: AtomicU64,
    /// What it has taken since then, in bytes.
    taken: AtomicUsize,
}

/// Reading a request's head.
const HEAD: u8 = 0;
/// Answering a request.
const ANSWERING: u8 = 1;
/// The answer is made, and perhaps not written yet.
const ANSWERED: u8 = 2;
/// Waiting for another request.
const IDLE: u8 = 3;

/// How a connection tries its server's patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Its head does not come to an end.
    Head,
    /// Its reader does not take the answer.
    Write,
    /// It has nothing to say; not its fault.
    Idle,
}

impl Pulse {
    /// Of a connection that nothing was read from yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            begin: Instant::now(),
            phase: AtomicU8::new(IDLE),
            since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            taken: AtomicUsize::new(0),
        })
    }

    fn now(&self) -> u64 {
        self.begin.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
    }

    fn enter(&self, phase: u8) {
        self.since.store(self.now(), Relaxed);
        self.phase.store(phase, Relaxed);
    }

    /// A request's head is complete; it is under way until what this returns is dropped.
    pub(crate) fn answering(self: &Arc<Self>) -> InFlight {
        self.phase.store(ANSWERING, Relaxed);
        InFlight(Arc::clone(self))
    }

    fn has_read(&self) {
        if self.phase.load(Relaxed) == IDLE {
            self.enter(HEAD);
        }
    }

    fn has_written(&self, written: &Poll<io::Result<usize>>) {
        let blocked = self.blocked_since.load(Relaxed) != 0;
        match written {
            Poll::Pending if !blocked => self.begin_window(),
            Poll::Ready(Ok(bytes)) if blocked => {
                let taken = self.taken.load(Relaxed).saturating_add(*bytes);
                self.taken.store(taken, Relaxed);
                if taken >= WRITE_PROGRESS_BYTES {
                    self.begin_window();
                }
            }
            _ => {}
        }
    }

    fn begin_window(&self) {
        self.blocked_since.store(self.now().saturating_add(1), Relaxed);
        self.taken.store(0, Relaxed);
    }

    fn has_flushed(&self) {
        self.blocked_since.store(0, Relaxed);
        if self.phase.load(Relaxed) == ANSWERED {
            self.enter(IDLE);
        }
    }

    /// When which patience ends, if nothing happens.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<(Instant, Patience)> {
        let at = |since: u64, patience: Duration| self.begin.checked_add(Duration::from_millis(since))?.checked_add(patience);
        let blocked_since = self.blocked_since.load(Relaxed);
        if blocked_since != 0 {
            return Some((at(blocked_since, limits.write)?, Patience::Write));
        }
        match self.phase.load(Relaxed) {
            HEAD => Some((at(self.since.load(Relaxed), limits.head)?, Patience::Head)),
            IDLE => Some((at(self.since.load(Relaxed), BUFFER_GRACE)?, Patience::Idle)),
            _ => None,
        }
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Pulse>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.phase.store(ANSWERED, Relaxed);
    }
}

/// A connection's byte stream, which reports to its pulse.
#[derive(Debug)]
pub(crate) struct PulsedStream {
    /// What was read before and comes first.
    pub(crate) before: bytes::Bytes,
    pub(crate) stream: TokioIo<TcpStream>,
    pub(crate) pulse: Arc<Pulse>,
}

impl Read for PulsedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.before.is_empty() {
            let take = this.before.len().min(buf.remaining());
            buf.put_slice(&this.before.split_to(take));
            this.pulse.has_read();
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_ready() {
            this.pulse.has_read();
        }
        read
    }
}

impl Write for PulsedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.pulse.has_written(&written);
        written
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.pulse.has_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper calls this when its own buffer is empty: all that was answered is on its way.
        self.pulse.has_flushed();
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // left to the connection, which closes so that the answer can be read
    }
}
