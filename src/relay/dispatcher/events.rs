//! Keeps the events that a target has not taken, as far as they are read, and counts them. What is owed is stored; this notes what is
//! to be stored next. Does not know when events are sent.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use crate::clock::UnixTime;
use crate::inbox::target::{OwedCounts, OwedEvent, OwedState};
use crate::inbox::{Cursor, Entry};

/// Expired events that are kept in the list. Older ones leave it.
const EXPIRED: usize = 10_000;

/// An event that the target has not taken.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) room: Arc<str>,
    /// What is sent; `None` if it is to be read from the inbox, or is being sent.
    pub(super) entry: Option<Box<Entry>>,
    pub(super) is_replay: bool,
    /// What the target owes of it; `None` before it fails or the cursor passes it.
    pub(super) row: Option<Row>,
}

/// What the target owes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) state: OwedState,
    pub(super) attempts: u32,
    pub(super) first: Option<UnixTime>,
    pub(super) next: Option<UnixTime>,
    pub(super) status: Option<u16>,
    pub(super) error: String,
}

impl Row {
    /// The row of an event that was not tried yet.
    pub(super) fn fresh() -> Self {
        Self { state: OwedState::Held, attempts: 0, first: None, next: None, status: None, error: String::new() }
    }
}

/// The number and the size of some events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Amount {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// The events that a target has not taken.
#[derive(Debug, Default)]
pub(super) struct Events {
    events: BTreeMap<Cursor, Event>,
    counts: OwedCounts,
    expired: BTreeSet<Cursor>,
    /// Those without a row: new ones, and those of replays.
    unowed: [Amount; 2],
    /// Rows in the store.
    stored: BTreeSet<Cursor>,
    /// Events whose row is not stored as it is.
    unstored: BTreeSet<Cursor>,
}

impl Events {
    pub(super) fn get(&self, cursor: Cursor) -> Option<&Event> {
        self.events.get(&cursor)
    }

    pub(super) fn row(&self, cursor: Cursor) -> Option<&Row> {
        self.events.get(&cursor)?.row.as_ref()
    }

    /// The first event after `after`, up to `until`.
    pub(super) fn first(&self, after: Cursor, until: Cursor) -> Option<Cursor> {
        if after >= until {
            return None;
        }
        self.events.range((Excluded(after), Included(until))).next().map(|(cursor, _)| *cursor)
    }

    /// The events whose rows have a state that `has` accepts.
    pub(super) fn owed(&self, has: impl Fn(OwedState) -> bool) -> Vec<Cursor> {
        let rows = self.events.iter().filter_map(|(cursor, event)| Some((*cursor, event.row.as_ref()?.state)));
        rows.filter(|(_, state)| has(*state)).map(|(cursor, _)| cursor).collect()
    }

    /// The events up to `until` that have not expired.
    pub(super) fn unexpired(&self, until: Cursor) -> Vec<Cursor> {
        self.events.range(..=until).map(|(cursor, _)| *cursor).filter(|cursor| !self.expired.contains(cursor)).collect()
    }

    pub(super) fn first_unexpired(&self) -> Option<Cursor> {
        self.events.keys().find(|cursor| !self.expired.contains(cursor)).copied()
    }

    pub(super) fn counts(&self) -> OwedCounts {
        self.counts
    }

    /// Those without a row: of replays, or new ones.
    pub(super) fn unowed(&self, is_replay: bool) -> Amount {
        self.unowed.get(usize::from(is_replay)).copied().unwrap_or_default()
    }

    pub(super) fn insert(&mut self, cursor: Cursor, event: Event) {
        self.remove(cursor);
        self.count(cursor, &event, true);
        self.events.insert(cursor, event);
    }

    /// An event that is stored as owed.
    pub(super) fn load(&mut self, owed: OwedEvent) -> Cursor {
        let OwedEvent { cursor, room, state, attempts, first, next, status, error, is_replay } = owed;
        let row = Row { state, attempts, first, next, status, error };
        self.insert(cursor, Event { room: room.into(), entry: None, is_replay, row: Some(row) });
        self.stored.insert(cursor);
        self.unstored.remove(&cursor);
        cursor
    }

    pub(super) fn remove(&mut self, cursor: Cursor) -> Option<Event> {
        let event = self.events.remove(&cursor)?;
        self.count(cursor, &event, false);
        if event.row.is_some() {
            self.unstored.insert(cursor);
        }
        Some(event)
    }

    pub(super) fn set_row(&mut self, cursor: Cursor, row: Option<Row>) {
        let Some(mut event) = self.remove(cursor) else { return };
        event.row = row;
        self.insert(cursor, event);
        self.unstored.insert(cursor);
        while self.expired.len() > EXPIRED {
            let Some(oldest) = self.expired.first().copied() else { return };
            self.remove(oldest);
        }
    }

    /// Takes what is sent out of memory, if it is there.
    pub(super) fn take_entry(&mut self, cursor: Cursor) -> Option<Box<Entry>> {
        let event = self.events.get_mut(&cursor)?;
        let entry = event.entry.take()?;
        let (is_replay, is_unowed) = (event.is_replay, event.row.is_none());
        if is_unowed && let Some(amount) = self.unowed.get_mut(usize::from(is_replay)) {
            amount.bytes = amount.bytes.saturating_sub(entry.body.len());
        }
        Some(entry)
    }

    /// Drops all bodies, which are read again when they are sent.
    pub(super) fn forget_entries(&mut self) {
        self.events.values_mut().for_each(|event| event.entry = None);
        self.unowed.iter_mut().for_each(|amount| amount.bytes = 0);
    }

    /// The rows up to `passed` that are to be stored, those of replays up to `replayed`, and the events whose rows are to be removed.
    pub(super) fn changes(&mut self, passed: Cursor, replayed: Option<Cursor>) -> (Vec<OwedEvent>, Vec<Cursor>) {
        let (mut owed, mut settled) = (Vec::new(), Vec::new());
        for cursor in std::mem::take(&mut self.unstored) {
            let event = self.events.get(&cursor);
            match event.and_then(|event| event.row.as_ref().map(|row| (event, row))) {
                Some((event, _)) if cursor > passed || event.is_replay && replayed.is_some_and(|to| cursor > to) => {
                    self.unstored.insert(cursor);
                }
                Some((event, row)) => {
                    owed.push(owed_event(cursor, event, row));
                    self.stored.insert(cursor);
                }
                None if self.stored.remove(&cursor) => settled.push(cursor),
                None => {}
            }
        }
        (owed, settled)
    }

    /// It is unknown whether these changes are stored, so they are stored again.
    pub(super) fn not_stored(&mut self, owed: &[OwedEvent], settled: &[Cursor]) {
        let cursors = owed.iter().map(|owed| owed.cursor).chain(settled.iter().copied());
        for cursor in cursors {
            self.unstored.insert(cursor);
            self.stored.insert(cursor);
        }
    }

    fn count(&mut self, cursor: Cursor, event: &Event, is_more: bool) {
        let Some(row) = &event.row else {
            let bytes = event.entry.as_ref().map_or(0, |entry| entry.body.len());
            if let Some(amount) = self.unowed.get_mut(usize::from(event.is_replay)) {
                let change = if is_more { usize::saturating_add } else { usize::saturating_sub };
                *amount = Amount { events: change(amount.events, 1), bytes: change(amount.bytes, bytes) };
            }
            return;
        };
        let count = match row.state {
            OwedState::Held => &mut self.counts.held,
            OwedState::Aside => &mut self.counts.aside,
            OwedState::Dead => &mut self.counts.dead,
            OwedState::Expired => {
                if is_more {
                    self.expired.insert(cursor)
                } else {
                    self.expired.remove(&cursor)
                };
                return;
            }
        };
        *count = if is_more { count.saturating_add(1) } else { count.saturating_sub(1) };
    }
}

fn owed_event(cursor: Cursor, event: &Event, row: &Row) -> OwedEvent {
    let Row { state, attempts, first, next, status, ref error } = *row;
    let (room, error) = (event.room.to_string(), error.clone());
    OwedEvent { cursor, room, state, attempts, first, next, status, error, is_replay: event.is_replay }
}
