//! Owns the knowledge of what a connection is doing: its byte stream and its requests report here, and the connection reads off
//! whether anything has moved. Keeps no time, and does not act.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use crate::http::boundaries::Boundaries;
use crate::http::content::Stream;
use crate::http::limits::{CONNECTION_BUFFER_BYTES, WRITE_PROGRESS_BYTES};

/// What a connection is doing. One task turns all of it, so that plain loads and stores do.
#[derive(Debug)]
pub(crate) struct Pulse {
    phase: AtomicU8,
    /// Counts the beats: each time that something moved.
    beats: AtomicU32,
    /// Whether the reader's side of the stream is full, and what it has taken since the last beat, in bytes.
    is_blocked: AtomicU8,
    taken: AtomicUsize,
    /// What the connection is to send, once the head before it is out.
    handed: Mutex<Option<Handed>>,
}

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const ANSWERING: u8 = 2;
const ANSWERED: u8 = 3;
const ANSWERED_LAST: u8 = 4;
const OVER: u8 = 5;
const HANDING_OVER: u8 = 6;
const HANDED_OVER: u8 = 7;

/// The body of an answer, which the connection sends.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) body: Stream,
    /// Whether the connection ends with it.
    pub(crate) is_last: bool,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// A request, of which nothing has come.
    Idle,
    /// The rest of a request's head.
    Head,
    /// Its reader, who does not take the answer.
    Reader,
    /// Us.
    Answer,
    /// Nothing more: the last answer is out, to a request whose body was not read to its end.
    Nothing,
    /// To be sent the rest of an answer without hyper: [`Pulse::take_over`].
    Chunks,
}

impl Pulse {
    /// Of a connection that nothing was read from yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            phase: AtomicU8::new(IDLE),
            beats: AtomicU32::new(0),
            is_blocked: AtomicU8::new(0),
            taken: AtomicUsize::new(0),
            handed: Mutex::new(None),
        })
    }

    /// What the connection waits for, and the beat at which that began.
    pub(crate) fn waiting(&self) -> (Waiting, u32) {
        let waiting = match self.phase.load(Relaxed) {
            _ if self.is_blocked.load(Relaxed) != 0 => Waiting::Reader,
            IDLE => Waiting::Idle,
            HEAD => Waiting::Head,
            OVER => Waiting::Nothing,
            HANDED_OVER => Waiting::Chunks,
            _ => Waiting::Answer,
        };
        (waiting, self.beats.load(Relaxed))
    }

    /// A request's head is complete; it is under way until what this returns is dropped.
    pub(crate) fn answering(self: &Arc<Self>) -> InFlight {
        self.enter(ANSWERING);
        InFlight { pulse: Arc::clone(self), is_last: false }
    }

    /// What comes after the head that is out.
    pub(crate) fn take_over(&self) -> Option<Handed> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether no request is under way: all answers are out, and what comes next is a head. The first bytes of that may have come with
    /// the request before.
    pub(crate) fn is_in_head(&self) -> bool {
        matches!(self.phase.load(Relaxed), IDLE | HEAD)
    }

    fn enter(&self, phase: u8) {
        self.phase.store(phase, Relaxed);
        self.beat();
    }

    fn beat(&self) {
        self.beats.store(self.beats.load(Relaxed).wrapping_add(1), Relaxed);
    }

    fn has_read(&self) {
        if self.phase.load(Relaxed) == IDLE {
            self.enter(HEAD);
        }
    }

    fn has_written(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => self.is_blocked.store(1, Relaxed),
            Poll::Ready(Ok(bytes)) if self.is_blocked.load(Relaxed) != 0 => {
                let taken = self.taken.load(Relaxed).saturating_add(*bytes);
                let is_progress = taken >= WRITE_PROGRESS_BYTES;
                self.taken.store(if is_progress { 0 } else { taken }, Relaxed);
                if is_progress {
                    self.beat();
                }
            }
            Poll::Ready(_) => {}
        }
    }

    /// hyper has nothing more to write.
    fn has_flushed(&self) {
        self.is_blocked.store(0, Relaxed);
        self.taken.store(0, Relaxed);
        match self.phase.load(Relaxed) {
            ANSWERED => self.enter(IDLE),
            ANSWERED_LAST => self.enter(OVER),
            HANDING_OVER => self.enter(HANDED_OVER),
            _ => {}
        }
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct InFlight {
    pulse: Arc<Pulse>,
    is_last: bool,
}

impl InFlight {
    /// The request's body was not read to its end, so that nothing after it can be told from it: the connection ends with this
    /// answer.
    pub(crate) fn ends_connection(&mut self) {
        self.is_last = true;
    }

    /// Has the connection send `stream` once all that hyper has to write is out, which has to be the head of an answer in chunks.
    pub(crate) fn hand_over(&self, stream: Stream) {
        let handed = Handed { body: stream, is_last: self.is_last };
        *self.pulse.handed.lock().unwrap_or_else(PoisonError::into_inner) = Some(handed);
        self.pulse.enter(HANDING_OVER);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.pulse.enter(if self.is_last { ANSWERED_LAST } else { ANSWERED });
    }
}

/// A connection's byte stream, which reports to its pulse.
#[derive(Debug)]
pub(crate) struct PulsedStream {
    /// What was read before and comes first.
    pub(crate) before: Bytes,
    pub(crate) stream: TokioIo<TcpStream>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) boundaries: Boundaries,
}

impl PulsedStream {
    /// Lets hyper have what may be seen of `bytes`. The others wait: a read after these fails.
    fn pass_on(&mut self, bytes: &[u8], buf: &mut ReadBufCursor<'_>) -> io::Result<()> {
        let seen = self.boundaries.follow(bytes);
        if let Some((seen, unseen)) = bytes.split_at_checked(seen) {
            buf.put_slice(seen);
            if !unseen.is_empty() {
                self.before = [unseen, &self.before].concat().into();
            }
        }
        if seen == 0 && !bytes.is_empty() { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) }
    }

    fn poll_some(&mut self, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        if self.boundaries.is_ambiguous() {
            Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
        } else if !self.before.is_empty() {
            let taken = self.before.split_to(self.before.len().min(room));
            Poll::Ready(self.pass_on(&taken, &mut buf))
        } else {
            let mut scratch = [MaybeUninit::uninit(); CONNECTION_BUFFER_BYTES];
            let mut read = ReadBuf::uninit(scratch.get_mut(..room.min(CONNECTION_BUFFER_BYTES)).unwrap_or_default());
            ready!(Pin::new(self.stream.inner_mut()).poll_read(cx, &mut read))?;
            Poll::Ready(self.pass_on(read.filled(), &mut buf))
        }
    }
}

impl Read for PulsedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let read = self.poll_some(cx, buf);
        if read.is_ready() {
            self.pulse.has_read();
        }
        read
    }
}

impl Write for PulsedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // No request is under way, so that this is hyper's refusal of a head: its connection says more.
        if self.pulse.is_in_head() {
            return Poll::Ready(Ok(bytes.len()));
        }
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
        self.pulse.has_flushed();
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // left to the connection, which closes so that the answer can be read
    }
}
