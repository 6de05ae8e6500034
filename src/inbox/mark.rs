//! Owns the mark: a cursor that moves on by the clock, which a reader at the end of the inbox goes on from. Does not know the
//! stores.
//!
//! A reader that gets no event has to move on as well. Otherwise retention passes its last cursor, and the reader is told of a gap
//! where it missed nothing. The cursor of the newest entry would do, but it tells the reader of one room when something happens in
//! the others. The clock tells nothing.
//!
//! No reader that goes on from the mark misses an entry, because:
//!
//! 1. A store that was told to [advance](crate::inbox::store::Store::advance) to the mark gives every entry that it commits
//!    afterwards a later cursor. It keeps that promise itself, so neither a clock that is set back, nor a slow commit, a restart,
//!    or another roomkey on the same Redis can break it. All entries up to the mark were therefore committed before.
//! 2. A reader takes the mark before it reads. If the read comes to the end, it has seen all entries up to the mark.
//! 3. The tail in memory may be older than the mark. So `changed` is told after the store has advanced and before the mark is
//!    published here: a reader that knows the mark finds the tail outdated, and reads the store.

use std::sync::Mutex;
use std::sync::atomic::{
    AtomicBool, AtomicI64,
    Ordering::{AcqRel, Acquire, Release},
};
use std::time::{Duration, Instant};

use crate::inbox::cursor::Cursor;
use crate::inbox::lock;

/// Between two moves. Each is a small synced write, so that it moves only while somebody reads.
const STEP: Duration = Duration::from_secs(10);

/// How a move of the mark is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A reader at the end will need a later one.
    Later,
    /// A reader begins at the end, and waits to learn where that is.
    Now,
}

/// The mark, for all readers.
#[derive(Debug)]
pub(crate) struct Mark {
    /// 0 where there is none yet.
    cursor: AtomicI64,
    is_wanted: AtomicBool,
    is_urgent: AtomicBool,
    moved_at: Mutex<Option<Instant>>,
    /// When the last move began that was wanted [at once](Wish::Now).
    at_end: Mutex<Option<Instant>>,
    step: Duration,
}

impl Mark {
    /// None yet. Where entries are kept for `age`, it moves often enough not to become that old while it is in use.
    pub(crate) fn new(age: Duration) -> Self {
        let step = STEP.min(age.checked_div(8).unwrap_or_default());
        Self {
            cursor: AtomicI64::new(0),
            is_wanted: AtomicBool::new(true),
            is_urgent: AtomicBool::new(false),
            moved_at: Mutex::new(None),
            at_end: Mutex::new(None),
            step,
        }
    }

    pub(crate) fn current(&self) -> Option<Cursor> {
        Some(self.cursor.load(Acquire)).filter(|cursor| *cursor > 0).map(Cursor::from_number)
    }

    /// Between two moves.
    pub(crate) fn step(&self) -> Duration {
        self.step
    }

    /// Whether it is as late as it can be, but for a step.
    pub(crate) fn is_fresh(&self) -> bool {
        lock(&self.moved_at).is_some_and(|at| at.elapsed() < self.step)
    }

    /// Whether it is behind all entries that were there at `time`.
    pub(crate) fn is_at_end_of(&self, time: Instant) -> bool {
        lock(&self.at_end).is_some_and(|at| at >= time)
    }

    /// Has it moved, soon or at once.
    pub(crate) fn want(&self, wish: Wish) {
        let flag = if wish == Wish::Now { &self.is_urgent } else { &self.is_wanted };
        flag.store(true, Release);
    }

    /// Whether it is to be moved now, and why. It is then no longer wanted.
    pub(crate) fn take_wish(&self) -> Option<Wish> {
        if self.is_urgent.swap(false, AcqRel) {
            return Some(Wish::Now);
        }
        (!self.is_fresh() && self.is_wanted.swap(false, AcqRel)).then_some(Wish::Later)
    }

    /// Moves it, never back, as `wish` wanted at `begin` or before. See the third point above.
    pub(crate) fn publish(&self, cursor: Cursor, wish: Wish, begin: Instant) {
        self.cursor.fetch_max(cursor.number(), AcqRel);
        *lock(&self.moved_at) = Some(Instant::now());
        if wish == Wish::Now {
            *lock(&self.at_end) = Some(begin);
        }
    }
}
