//! Moves a target's cursor, and its replays, over events that are settled, and over events that are owed from then on. Decides what is
//! read from the inbox next and what is committed. Does not know what is sent when.

use std::sync::Arc;

use crate::inbox::target::{OwedEvent, OwedState, Replay, TargetState};
use crate::inbox::{Cursor, Entry, PageLimit};
use crate::relay::dispatcher::Dispatcher;
use crate::relay::dispatcher::events::{Event, Row};

/// How far the inbox is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) read_to: Cursor,
    /// The last event that was settled.
    settled_to: Cursor,
}

/// What changed since the last commit.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    pub(crate) state: TargetState,
    pub(crate) owed: Vec<OwedEvent>,
    pub(crate) settled: Vec<Cursor>,
}

impl Progress {
    pub(super) fn at(cursor: Cursor) -> Self {
        Self { read_to: cursor, settled_to: cursor }
    }

    pub(super) fn settle(&mut self, cursor: Cursor) {
        self.settled_to = self.settled_to.max(cursor);
    }
}

impl Dispatcher {
    /// The state. Its cursor moves with the commits, and before a replay.
    pub(crate) fn state(&self) -> &TargetState {
        &self.state
    }

    /// How far the inbox is read.
    pub(crate) fn read_to(&self) -> Cursor {
        self.progress.read_to
    }

    /// How much of the inbox is read next; `None` if there is enough in memory.
    pub(crate) fn page_to_read(&self) -> Option<PageLimit> {
        self.free(self.plan.limits.window, false)
    }

    /// What is read next for a replay.
    pub(crate) fn replay_to_read(&mut self) -> Option<(Replay, PageLimit)> {
        let replay = *self.state.replays.first()?;
        let read_to = self.replaying.get_or_insert(Progress::at(replay.after)).read_to;
        let limit = self.free(self.plan.limits.replay_window, true)?;
        (read_to < replay.until).then_some((Replay { after: read_to, ..replay }, limit))
    }

    /// What is free of a window, if it is worth a read: a read of few events takes nearly as long as one of many.
    fn free(&self, window: PageLimit, is_replay: bool) -> Option<PageLimit> {
        let used = self.events.unowed(is_replay);
        let left = |of: usize, used: usize| of.checked_sub(used).filter(|left| *left > 0 && *left >= of / 4);
        Some(PageLimit { entries: left(window.entries, used.events)?, bytes: left(window.bytes, used.bytes)? })
    }

    /// The inbox was read up to `next`, and has these events there that the target wants.
    pub(crate) fn take(&mut self, entries: impl IntoIterator<Item = Entry>, next: Cursor) {
        for entry in entries {
            if entry.cursor > self.progress.read_to && !self.was_found(entry.cursor) {
                self.insert(entry, false);
            }
        }
        self.progress.read_to = self.progress.read_to.max(next);
    }

    /// The same for the first replay. Events that are still owed are tried again.
    pub(crate) fn take_replayed(&mut self, entries: impl IntoIterator<Item = Entry>, next: Cursor) {
        let Some((Some(replaying), replay)) = self.state.replays.first().map(|replay| (self.replaying, *replay)) else { return };
        for entry in entries {
            if entry.cursor <= replaying.read_to || entry.cursor > replay.until {
                continue;
            }
            if self.events.get(entry.cursor).is_some() {
                self.retry(entry.cursor);
            } else {
                self.insert(entry, true);
            }
        }
        let read_to = replaying.read_to.max(next).min(replay.until);
        self.replaying = self.replaying.map(|replaying| Progress { read_to, ..replaying });
    }

    pub(super) fn insert(&mut self, entry: Entry, is_replay: bool) {
        let (cursor, room) = (entry.cursor, Arc::from(entry.room.as_str()));
        let entry = (!self.circuit.is_open()).then(|| Box::new(entry));
        self.events.insert(cursor, Event { room, entry, is_replay, row: None });
        self.wait(cursor);
    }

    /// What is to be committed, if anything changed or `is_needed`. Only this moves the cursor.
    pub(crate) fn changes(&mut self, is_needed: bool) -> Option<Changes> {
        self.advance();
        self.advance_replay();
        self.state.is_down = self.circuit.is_open();
        self.state.owed = self.events.counts();
        let (owed, settled) = self.events.changes(self.state.cursor, self.state.replays.first().map(|replay| replay.after));
        let has_changed = !owed.is_empty() || !settled.is_empty() || self.committed.as_ref() != Some(&self.state);
        if !has_changed && !is_needed {
            return None;
        }
        self.committed = Some(self.state.clone());
        Some(Changes { state: self.state.clone(), owed, settled })
    }

    /// These changes are perhaps not committed, so the next ones contain them.
    pub(crate) fn not_committed(&mut self, changes: &Changes) {
        self.committed = None;
        self.events.not_stored(&changes.owed, &changes.settled);
    }

    /// Moves the cursor as far as it can be.
    pub(super) fn advance(&mut self) {
        while let Some(first) = self.events.first(self.state.cursor, self.progress.read_to) {
            if !self.pass(first, self.progress) {
                self.state.cursor = self.state.cursor.max(first.before());
                return;
            }
            self.state.cursor = first;
        }
        self.state.cursor = self.state.cursor.max(self.progress.read_to);
    }

    fn advance_replay(&mut self) {
        let Some((mut replay, progress)) = self.state.replays.first().copied().zip(self.replaying) else { return };
        while let Some(first) = self.events.first(replay.after, progress.read_to) {
            if !self.pass(first, progress) {
                break;
            }
            replay.after = first;
        }
        let first = self.events.first(replay.after, progress.read_to);
        replay.after = replay.after.max(first.map_or(progress.read_to, Cursor::before));
        if replay.after < replay.until {
            if let Some(first) = self.state.replays.first_mut() {
                *first = replay;
            }
        } else {
            self.state.replays.remove(0);
            self.replaying = None;
        }
    }

    /// Whether the cursor may pass an event, which is owed from then on: it may if something after the event is settled, or if its lane
    /// waits for an owed event that failed. A failure that may yet be undone, because the target is down, stops the cursor.
    fn pass(&mut self, event: Cursor, progress: Progress) -> bool {
        let is_overtaken = event < progress.settled_to;
        let owed = self.events.counts();
        let owed = owed.held.saturating_add(owed.aside).saturating_add(owed.dead);
        let most = self.plan.limits.owed;
        let may_pass = if let Some(row) = self.events.row(event) {
            let is_lasting = row.state != OwedState::Held || self.circuit.is_open() || !self.circuit.is_undecided(event);
            owed <= most && (is_overtaken || is_lasting)
        } else {
            owed < most && (is_overtaken || self.is_held_up(event))
        };
        if may_pass {
            self.events.take_entry(event);
            if self.events.row(event).is_none() {
                self.events.set_row(event, Some(Row::fresh()));
            }
        }
        may_pass
    }

    /// Whether an event's lane waits for an owed event that failed.
    fn is_held_up(&self, event: Cursor) -> bool {
        let head = self.lane(event).and_then(|lane| self.lanes.head(&lane));
        head.is_some_and(|head| {
            let has_failed = self.events.row(head).is_some_and(|row| row.attempts > 0);
            head != event && has_failed && self.is_passed(head) && !self.circuit.is_undecided(head)
        })
    }

    /// Whether the cursor has passed an event, and also the replay that it belongs to.
    pub(super) fn is_passed(&self, event: Cursor) -> bool {
        let replayed = self.state.replays.first().filter(|_| self.events.get(event).is_some_and(|event| event.is_replay));
        event <= self.state.cursor && replayed.is_none_or(|replay| event <= replay.after)
    }
}
