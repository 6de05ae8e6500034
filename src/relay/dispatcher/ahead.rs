//! Looks beyond the events in memory, if all of them wait for events that fail: events of other lanes show whether the target is down or
//! those events are poison. Does not know what follows.

use std::collections::{BTreeSet, HashSet};

use crate::inbox::{Cursor, Entry, PageLimit};
use crate::relay::dispatcher::Dispatcher;
use crate::relay::dispatcher::lanes::Lane;

/// A search for events of other lanes. What it finds in a lane is the first event of that lane that is not in memory.
#[derive(Debug)]
pub(super) struct Search {
    /// How far it has come.
    read_to: Cursor,
    /// The lanes of all events up to here.
    lanes: HashSet<Lane>,
    /// The events that it found.
    found: BTreeSet<Cursor>,
}

impl Dispatcher {
    /// Where the inbox is read next to find another lane, and how much of it; `None` if there is no need for one.
    pub(crate) fn ahead_to_read(&mut self) -> Option<(Cursor, PageLimit)> {
        let read_to = self.progress.read_to;
        self.search = self.search.take().filter(|search| search.read_to > read_to);
        if self.page_to_read().is_some() || !self.needs_another_lane() {
            return None;
        }
        let begin = || Search { read_to, lanes: self.lanes.all().cloned().collect(), found: BTreeSet::new() };
        Some((self.search.get_or_insert_with(begin).read_to, self.plan.limits.window))
    }

    /// The inbox was read up to `next` for this, and has these events there that the target wants.
    pub(crate) fn take_ahead(&mut self, entries: impl IntoIterator<Item = Entry>, next: Cursor) {
        let Some(search) = &mut self.search else { return };
        let (is_ordered, read_to, after) = (self.plan.is_ordered, self.progress.read_to, search.read_to);
        let mut entries = entries.into_iter().filter(|entry| entry.cursor > after);
        let found = entries.find(|entry| {
            let lane = Lane::of(is_ordered, entry.cursor, &entry.room.as_str().into());
            search.lanes.insert(lane) && entry.cursor > read_to // or it was read in its turn meanwhile
        });
        search.read_to = after.max(found.as_ref().map_or(next, |entry| entry.cursor));
        if let Some(entry) = found {
            search.found.insert(entry.cursor);
            self.insert(entry, false);
        }
    }

    /// Whether an event was found before it is read in its turn.
    pub(super) fn was_found(&self, event: Cursor) -> bool {
        self.search.as_ref().is_some_and(|search| search.found.contains(&event))
    }

    /// Whether what is in memory does not show enough: another lane for each failed probe, or one if each lane waits for a failed event.
    fn needs_another_lane(&self) -> bool {
        let found = self.search.as_ref().map_or(0, |search| search.found.len());
        if let Some(probes) = self.circuit.failed_probes() {
            return found <= probes && found < self.plan.limits.window.entries;
        }
        let has_failed = |head| self.events.row(head).is_some_and(|row| row.attempts > 0);
        found == 0 && self.lanes.all().filter_map(|lane| self.lanes.head(lane)).all(has_failed)
    }
}
