//! What follows if retention has deleted events before the target took them, or if they cannot be read. Does not know when they are
//! deleted.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::inbox::Cursor;
use crate::inbox::target::OwedState;
use crate::relay::dispatcher::Dispatcher;
use crate::relay::dispatcher::events::{Event, Row};

/// Between two attempts to read an event while the inbox fails.
const UNREADABLE_DELAY: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// The first event that is owed and may have been deleted.
    pub(crate) fn first_owed(&self) -> Option<Cursor> {
        self.events.first_unexpired()
    }

    /// The number of events that expired since the last call.
    pub(crate) fn take_expired(&mut self) -> u64 {
        std::mem::take(&mut self.expired)
    }

    /// An event cannot be read now, so nothing that is not in memory can be sent.
    pub(crate) fn not_read(&mut self, cursor: Cursor, now: UnixTime) {
        self.not_sent(cursor);
        self.hold_until(now.saturating_add(UNREADABLE_DELAY));
    }

    /// Retention has deleted an event that was to be sent.
    pub(crate) fn is_gone(&mut self, cursor: Cursor) {
        self.not_sent(cursor);
        self.expire(cursor);
    }

    /// Retention has deleted everything up to `oldest`. What is in memory is sent nevertheless.
    pub(crate) fn forget(&mut self, oldest: Cursor) {
        for cursor in self.events.unexpired(oldest) {
            let is_in_memory = self.events.get(cursor).is_some_and(|event| event.entry.is_some());
            if !is_in_memory && !self.flights.contains_key(&cursor) {
                self.expire(cursor);
            }
        }
    }

    /// Retention has deleted events before they were read, the last of them at `oldest`. They are listed as one event.
    pub(crate) fn skip_gap(&mut self, oldest: Cursor) {
        self.forget(oldest);
        if oldest > self.progress.read_to {
            self.progress.read_to = oldest;
            self.events.insert(oldest, Event { room: "".into(), entry: None, is_replay: false, row: None });
            self.expire(oldest);
        }
    }

    /// The same for a replay. Its events were taken before, so none is missing.
    pub(crate) fn skip_replay_gap(&mut self, oldest: Cursor) {
        self.take_replayed([], oldest);
    }

    /// Lists an event as expired; one of a replay is settled, because the target took it before.
    fn expire(&mut self, cursor: Cursor) {
        let Some(event) = self.events.get(cursor) else { return };
        if event.row.is_none() && event.is_replay {
            return self.settle(cursor);
        }
        let row = event.row.clone().unwrap_or_else(Row::fresh);
        self.leave(cursor);
        self.circuit.forget(cursor);
        self.events.set_row(cursor, Some(Row { state: OwedState::Expired, next: None, ..row }));
        self.expired = self.expired.saturating_add(1);
    }
}
