//! Holds the mark: a cursor that moves with the clock, which readers at the end of the inbox continue from. Does not know the stores.
//!
//! A reader that gets no events has to move on too. Otherwise retention passes its last cursor, and the reader is told of a gap
//! although it missed nothing. The newest entry's cursor would reveal to the reader of one room when something happens in others.
//! The clock reveals nothing.
//!
//! No reader that continues from the mark misses an entry, because:
//!
//! 1. After a store has [advanced](crate::inbox::store::Store::advance) to the mark, all entries that it commits have later cursors,
//!    even if the clock is set back, a commit is slow, or another roomkey commits. So all entries up to the mark are committed.
//! 2. A reader takes the mark before it reads. If the read comes to the end, it has seen all entries up to the mark.
//! 3. `changed` is notified after the store has advanced and before the mark is published here. So a reader that knows the mark finds
//!    the tail in memory stale, and reads the store.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::worker::lock;

/// Between two moves. Each is a small synced write, so the mark moves only while somebody reads.
const STEP: Duration = Duration::from_secs(10);

/// When a move of the mark is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Move {
    /// At the next step: a reader at the end will need a later mark.
    Later,
    /// At once: a reader begins at the end, and waits to learn where that is.
    Now,
}

pub(crate) struct Mark {
    step: Duration,
    state: Mutex<MarkState>,
}

struct MarkState {
    cursor: Option<Cursor>,
    requested: Option<Move>,
    moved_at: Option<Instant>,
    /// When the last move to [the end](Move::Now) began.
    at_end_of: Option<Instant>,
}

impl Mark {
    /// No mark yet. It moves often enough that it never gets as old as `age`, the age at which entries are deleted.
    pub(crate) fn new(age: Duration) -> Self {
        let state = MarkState { cursor: None, requested: Some(Move::Later), moved_at: None, at_end_of: None };
        Self { step: STEP.min(age.checked_div(8).unwrap_or_default()), state: Mutex::new(state) }
    }

    pub(crate) fn current(&self) -> Option<Cursor> {
        lock(&self.state).cursor
    }

    /// Whether it has moved within the last step.
    pub(crate) fn is_fresh(&self) -> bool {
        lock(&self.state).moved_at.is_some_and(|at| at.elapsed() < self.step)
    }

    /// Whether it is after all entries that existed at `time`.
    pub(crate) fn is_at_end_of(&self, time: Instant) -> bool {
        lock(&self.state).at_end_of.is_some_and(|at| at >= time)
    }

    pub(crate) fn request(&self, requested: Move) {
        let mut state = lock(&self.state);
        state.requested = state.requested.max(Some(requested));
    }

    /// The move that is due now, if any. The request is done with.
    pub(crate) fn take_request(&self) -> Option<Move> {
        let is_fresh = self.is_fresh();
        lock(&self.state).requested.take_if(|requested| !is_fresh || *requested == Move::Now)
    }

    /// Moves to the present; for a reader that begins at the end, after all entries. `advance` is that of the store.
    pub(crate) fn advance<E>(
        &self,
        requested: Move,
        now: UnixTime,
        changed: &watch::Sender<()>,
        advance: impl FnOnce(Cursor) -> Result<Cursor, E>,
    ) -> Result<(), E> {
        let begin = Instant::now();
        let is_to_end = requested == Move::Now;
        // The next millisecond is after all entries of this one, and does not reveal whether there are any.
        let now = now.saturating_add(if is_to_end { Duration::from_millis(1) } else { Duration::ZERO });
        // The mark never moves back, even if a Redis that took over has lost the last move.
        let to = self.current().unwrap_or(Cursor::at(now)).max(Cursor::at(now));
        let newest = advance(to).inspect_err(|_| self.request(Move::Later))?;
        changed.send_replace(()); // makes the tail stale before anybody knows the mark; see the third point above
        let mut state = lock(&self.state);
        // If the clock was set back, entries have later cursors than the present.
        let is_behind = newest > Cursor::at(now.saturating_add(self.step));
        state.cursor = Some(if is_behind || is_to_end { newest } else { to });
        state.moved_at = Some(Instant::now());
        if is_to_end {
            state.at_end_of = Some(begin);
        }
        drop(state);
        changed.send_replace(()); // announces the mark
        Ok(())
    }
}
