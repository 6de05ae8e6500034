//! The state machine of a connection while hyper serves it. The byte stream and the requests report what happens, and the
//! connection asks what it waits for. Keeps no time and closes nothing.
//!
//! | Phase | Event | Next phase |
//! |---|---|---|
//! | `Idle` | a byte is read | `Head` |
//! | any | hyper passes on a request | `Answering` |
//! | `Answering` | hyper has taken the whole answer | `Writing`, or `WritingLast` if the connection ends with it |
//! | `Answering` | the answer is a stream, of which hyper sends the head only | `WritingLast` |
//! | `Writing` | hyper has written everything | `Idle` |
//! | `WritingLast` | hyper has written everything | `Written` |
//!
//! Any other event leaves the phase as it is. hyper asks to flush only when it has nothing left to write, and asks for it after each
//! write: this is the one thing about hyper that the table relies on.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use crate::http::access_log::AccessEntry;
use crate::http::content::Stream;
use crate::http::limits::{ANSWER_PIECE_BYTES, write_step};
use crate::worker::lock;

/// Bytes that a client has to read of what hyper writes, for it to count as a step.
const STEP: usize = write_step(ANSWER_PIECE_BYTES);
/// The client takes what is written.
const NOT_BLOCKED: usize = usize::MAX;

/// Only the connection's task uses it. The fields are atomic because that task may move to another thread, and a plain load or store
/// of each is enough: it costs nothing, unlike a lock.
pub(crate) struct Conversation {
    /// A [`Phase`].
    phase: AtomicU8,
    /// How often something has moved.
    steps: AtomicU32,
    /// While the client does not take what is written: the bytes that it has taken since the last step.
    blocked: AtomicUsize,
    /// What the connection has to send itself after hyper.
    handover: Mutex<Option<Handover>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    /// The endpoint is working, or hyper has not taken all of its answer.
    Answering,
    /// hyper has the whole answer, and may not have written it. Another request may follow.
    Writing,
    /// The same, for all that hyper has to write on this connection.
    WritingLast,
    /// hyper has written everything, and nothing is left for it to do.
    Written,
}

/// The rest of an answer whose head is written.
pub(crate) struct Handover {
    pub(crate) stream: Stream,
    /// Whether each piece is a chunk. A client of HTTP/1.0 is sent the plain bytes, which end with the connection.
    pub(crate) is_chunked: bool,
    pub(crate) is_last: bool,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitingFor {
    Request,
    Head,
    /// The request's body, or the endpoint's answer to it. Both have deadlines of their own.
    Answer,
    /// The client, which does not take what is written.
    Reader,
    /// Nothing: hyper is done. See [`Conversation::handover`].
    Nothing,
}

impl Conversation {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            phase: AtomicU8::new(Phase::Idle as u8),
            steps: AtomicU32::new(0),
            blocked: AtomicUsize::new(NOT_BLOCKED),
            handover: Mutex::new(None),
        })
    }

    /// What the connection waits for, and the step since which it does.
    pub(crate) fn waiting_for(&self) -> (WaitingFor, u32) {
        let waiting_for = match self.phase() {
            _ if self.blocked.load(Relaxed) != NOT_BLOCKED => WaitingFor::Reader,
            Phase::Idle => WaitingFor::Request,
            Phase::Head => WaitingFor::Head,
            Phase::Answering | Phase::Writing | Phase::WritingLast => WaitingFor::Answer,
            Phase::Written => WaitingFor::Nothing,
        };
        (waiting_for, self.steps.load(Relaxed))
    }

    /// Whether no request is being answered. The first bytes of the next head may have come with the request before.
    pub(crate) fn is_before_request(&self) -> bool {
        matches!(self.phase(), Phase::Idle | Phase::Head)
    }

    /// hyper passes on a request. It is being answered until the result is dropped.
    pub(crate) fn begin_answer(self: &Arc<Self>) -> InFlight {
        self.enter(Phase::Answering);
        InFlight { conversation: Arc::clone(self), is_last: false, access: None }
    }

    /// What the connection has to send itself, now that hyper is done.
    pub(crate) fn handover(&self) -> Option<Handover> {
        lock(&self.handover).take()
    }

    pub(crate) fn has_read(&self) {
        if self.phase() == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// hyper tried to write. It goes on until nothing is left.
    pub(crate) fn has_tried_to_write(&self, written: &Poll<io::Result<usize>>) {
        match (written, self.blocked.load(Relaxed)) {
            (Poll::Pending, NOT_BLOCKED) => self.blocked.store(0, Relaxed),
            (Poll::Pending | Poll::Ready(Err(_)), _) | (_, NOT_BLOCKED) => {}
            (Poll::Ready(Ok(bytes)), taken) => {
                let taken = taken.saturating_add(*bytes);
                let is_progress = taken >= STEP;
                self.blocked.store(if is_progress { 0 } else { taken }, Relaxed);
                if is_progress {
                    self.step();
                }
            }
        }
    }

    /// hyper has written everything that it had.
    pub(crate) fn has_flushed(&self) {
        self.blocked.store(NOT_BLOCKED, Relaxed);
        match self.phase() {
            Phase::Writing => self.enter(Phase::Idle),
            Phase::WritingLast => self.enter(Phase::Written),
            Phase::Idle | Phase::Head | Phase::Answering | Phase::Written => {}
        }
    }

    fn has_answered(&self, next: Phase) {
        if self.phase() == Phase::Answering {
            self.enter(next);
        }
    }

    fn phase(&self) -> Phase {
        use Phase::*;
        let code = usize::from(self.phase.load(Relaxed));
        [Idle, Head, Answering, Writing, WritingLast].get(code).copied().unwrap_or(Written)
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
        self.step();
    }

    fn step(&self) {
        self.steps.store(self.steps.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

/// A request that is being answered.
pub(crate) struct InFlight {
    conversation: Arc<Conversation>,
    is_last: bool,
    /// Its line in the access log.
    pub(crate) access: Option<Box<AccessEntry>>,
}

impl InFlight {
    pub(crate) fn ends_connection(&mut self) {
        self.is_last = true;
    }

    /// Has the connection send `stream` once hyper has written the head.
    pub(crate) fn hand_over(mut self, mut stream: Stream, is_chunked: bool) {
        stream.access = self.access.take();
        let is_last = self.is_last || !is_chunked;
        *lock(&self.conversation.handover) = Some(Handover { stream, is_chunked, is_last });
        self.conversation.has_answered(Phase::WritingLast);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.conversation.has_answered(if self.is_last { Phase::WritingLast } else { Phase::Writing });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use std::future::pending;

    use super::*;

    fn assert_waits(conversation: &Conversation, expected: WaitingFor) {
        assert_eq!(conversation.waiting_for().0, expected);
    }

    #[test]
    fn requests_follow_each_other() {
        let conversation = Conversation::new();
        for _ in 0..2 {
            assert_waits(&conversation, WaitingFor::Request);
            conversation.has_flushed(); // hyper does so at any time
            conversation.has_read();
            assert!(conversation.is_before_request());
            assert_waits(&conversation, WaitingFor::Head);
            let in_flight = conversation.begin_answer();
            assert!(!conversation.is_before_request());
            conversation.has_read(); // of the body
            conversation.has_flushed(); // 100 Continue
            assert_waits(&conversation, WaitingFor::Answer);
            drop(in_flight);
            assert_waits(&conversation, WaitingFor::Answer);
            conversation.has_tried_to_write(&Poll::Ready(Ok(10)));
            assert_waits(&conversation, WaitingFor::Answer);
            conversation.has_flushed();
        }
        assert!(conversation.handover().is_none());
    }

    #[test]
    fn a_request_may_begin_before_the_answer_to_the_one_before_is_written() {
        let conversation = Conversation::new();
        drop(conversation.begin_answer());
        let second = conversation.begin_answer();
        conversation.has_flushed();
        assert_waits(&conversation, WaitingFor::Answer);
        drop(second);
        conversation.has_flushed();
        assert_waits(&conversation, WaitingFor::Request);
    }

    #[test]
    fn the_last_answer_leaves_nothing_to_wait_for() {
        let conversation = Conversation::new();
        let mut in_flight = conversation.begin_answer();
        in_flight.ends_connection();
        drop(in_flight);
        assert_waits(&conversation, WaitingFor::Answer);
        conversation.has_flushed();
        assert_waits(&conversation, WaitingFor::Nothing);
        assert!(conversation.handover().is_none());
    }

    #[test]
    fn a_stream_is_handed_over_once_its_head_is_written() {
        for (is_chunked, ends, is_last) in [(true, false, false), (true, true, true), (false, false, true)] {
            let conversation = Conversation::new();
            let mut in_flight = conversation.begin_answer();
            if ends {
                in_flight.ends_connection();
            }
            in_flight.hand_over(Stream::new(pending(), false, |_| async {}), is_chunked);
            assert_waits(&conversation, WaitingFor::Answer);
            conversation.has_tried_to_write(&Poll::Pending);
            assert_waits(&conversation, WaitingFor::Reader);
            conversation.has_tried_to_write(&Poll::Ready(Ok(100)));
            conversation.has_flushed();
            assert_waits(&conversation, WaitingFor::Nothing);
            let handover = conversation.handover().unwrap();
            assert_eq!((handover.is_chunked, handover.is_last), (is_chunked, is_last));
            assert!(conversation.handover().is_none());
        }
    }

    #[test]
    fn a_reader_makes_a_step_with_each_kilobyte() {
        let conversation = Conversation::new();
        let in_flight = conversation.begin_answer();
        conversation.has_tried_to_write(&Poll::Ready(Ok(5000)));
        assert_waits(&conversation, WaitingFor::Answer);
        conversation.has_tried_to_write(&Poll::Pending);
        let begin = conversation.waiting_for();
        assert_eq!(begin.0, WaitingFor::Reader);
        for (bytes, steps) in [(1023, 0), (1, 1), (1000, 1), (24, 2), (5000, 3)] {
            conversation.has_tried_to_write(&Poll::Ready(Ok(bytes)));
            conversation.has_tried_to_write(&Poll::Pending);
            assert_eq!(conversation.waiting_for(), (WaitingFor::Reader, begin.1 + steps), "{bytes}");
        }
        conversation.has_flushed();
        assert_waits(&conversation, WaitingFor::Answer);
        drop(in_flight);
    }
}
