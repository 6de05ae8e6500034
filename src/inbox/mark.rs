//! Holds the mark: a cursor that moves with the clock, which readers at the end of the inbox continue from. Does not know the stores.
//!
//! A reader that gets no events has to move on too. Otherwise retention passes its last cursor, and the reader is told of a gap
//! although it missed nothing. The cursor of the newest entry would do, but it would reveal to the reader of one room when something
//! happens in others. The clock reveals nothing.
//!
//! No reader that continues from the mark misses an entry, because:
//!
//! 1. After a store has [advanced](crate::inbox::store::Store::advance) to the mark, all entries that it commits have later cursors.
//!    The store itself guarantees this, so neither a clock that is set back, nor a slow commit, a restart, or another roomkey on the
//!    same Redis can break it. All entries up to the mark were therefore committed before.
//! 2. A reader takes the mark before it reads. If the read comes to the end, it has seen all entries up to the mark.
//! 3. The tail in memory may be older than the mark. Therefore `changed` is notified after the store has advanced and before the
//!    mark is published here: a reader that knows the mark finds the tail stale, and reads the store.

use std::sync::Mutex;
use std::sync::atomic::{
    AtomicBool, AtomicI64,
    Ordering::{AcqRel, Acquire, Release},
};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::worker::lock;

/// Between two moves. Each is a small synced write, so the mark moves only while somebody reads.
const STEP: Duration = Duration::from_secs(10);

/// When a move of the mark is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// At the next step: a reader at the end will need a later mark.
    Later,
    /// At once: a reader begins at the end, and waits to learn where that is.
    Now,
}

#[derive(Debug)]
pub(crate) struct Mark {
    /// 0 if there is none yet.
    cursor: AtomicI64,
    is_requested: AtomicBool,
    is_urgent: AtomicBool,
    /// When it was moved last, and when the last move to [the end](Move::Now) began.
    moved_at: Mutex<(Option<Instant>, Option<Instant>)>,
    step: Duration,
}

impl Mark {
    /// No mark yet. It moves often enough that it never gets as old as `age`, the age at which entries are deleted.
    pub(crate) fn new(age: Duration) -> Self {
        Self {
            cursor: AtomicI64::new(0),
            is_requested: AtomicBool::new(true),
            is_urgent: AtomicBool::new(false),
            moved_at: Mutex::default(),
            step: STEP.min(age.checked_div(8).unwrap_or_default()),
        }
    }

    pub(crate) fn current(&self) -> Option<Cursor> {
        Some(self.cursor.load(Acquire)).filter(|cursor| *cursor > 0).map(Cursor::from_number)
    }

    /// Whether it has moved within the last step.
    pub(crate) fn is_fresh(&self) -> bool {
        lock(&self.moved_at).0.is_some_and(|at| at.elapsed() < self.step)
    }

    /// Whether it is after all entries that existed at `time`.
    pub(crate) fn is_at_end_of(&self, time: Instant) -> bool {
        lock(&self.moved_at).1.is_some_and(|at| at >= time)
    }

    pub(crate) fn request(&self, requested: Move) {
        let flag = if requested == Move::Now { &self.is_urgent } else { &self.is_requested };
        flag.store(true, Release);
    }

    /// The move that is due now, if any. The request is done with.
    pub(crate) fn take_request(&self) -> Option<Move> {
        if self.is_urgent.swap(false, AcqRel) {
            return Some(Move::Now);
        }
        (!self.is_fresh() && self.is_requested.swap(false, AcqRel)).then_some(Move::Later)
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
        // The next millisecond is after all entries of this one, and does not reveal whether there are any.
        let now = now.saturating_add(if requested == Move::Now { Duration::from_millis(1) } else { Duration::ZERO });
        // The mark never moves back, even if a Redis that took over has lost the last move.
        let to = self.current().map_or(Cursor::at(now), |before| before.max(Cursor::at(now)));
        let newest = advance(to).inspect_err(|_| self.request(Move::Later))?;
        // If the clock was set back, entries have later cursors than the present.
        let is_behind = newest > Cursor::at(now.saturating_add(self.step));
        changed.send_replace(()); // makes the tail stale before anybody knows the mark; see the third point above
        let to = if is_behind || requested == Move::Now { newest } else { to };
        self.cursor.fetch_max(to.number(), AcqRel);
        let mut moved_at = lock(&self.moved_at);
        *moved_at = (Some(Instant::now()), if requested == Move::Now { Some(begin) } else { moved_at.1 });
        drop(moved_at);
        changed.send_replace(()); // announces the mark
        Ok(())
    }
}
