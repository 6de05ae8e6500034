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

use std::sync::atomic::{
    AtomicBool, AtomicI64,
    Ordering::{AcqRel, Acquire, Release},
};
use std::time::Duration;

use crate::inbox::cursor::Cursor;

/// Between two moves. Each is a small synced write, so that it moves only while somebody reads.
const STEP: Duration = Duration::from_secs(10);

/// The mark, for all readers.
#[derive(Debug)]
pub(crate) struct Mark {
    /// 0 where there is none yet.
    cursor: AtomicI64,
    is_wanted: AtomicBool,
}

impl Mark {
    /// None yet, and one is wanted.
    pub(crate) fn new() -> Self {
        Self { cursor: AtomicI64::new(0), is_wanted: AtomicBool::new(true) }
    }

    pub(crate) fn current(&self) -> Option<Cursor> {
        Some(self.cursor.load(Acquire)).filter(|cursor| *cursor > 0).map(Cursor::from_number)
    }

    /// A reader is at the end, and needs a later one.
    pub(crate) fn want(&self) {
        self.is_wanted.store(true, Release);
    }

    /// Whether a reader has asked since the last time.
    pub(crate) fn take_wish(&self) -> bool {
        self.is_wanted.swap(false, AcqRel)
    }

    /// See the third point above.
    pub(crate) fn publish(&self, cursor: Cursor) {
        self.cursor.fetch_max(cursor.number(), AcqRel);
    }
}

/// Between two moves, where entries are kept for `age`: often enough that no mark that is in use becomes that old.
pub(crate) fn step(age: Duration) -> Duration {
    STEP.min(age.checked_div(8).unwrap_or_default())
}
