//! What the outcome of an attempt means: the event is settled, waits and is tried again, is set aside, or is dead; and the target may be
//! down. Does not know what is sent next.

use crate::clock::UnixTime;
use crate::inbox::Cursor;
use crate::inbox::target::OwedState;
use crate::relay::dispatcher::circuit::UndecidedFailure;
use crate::relay::dispatcher::events::Row;
use crate::relay::dispatcher::lanes::Lane;
use crate::relay::dispatcher::plan::Fate;
use crate::relay::dispatcher::{Dispatcher, Flight};
use crate::relay::failure::{Failure, FailureKind};

impl Dispatcher {
    /// The target took the event.
    pub(crate) fn succeeded(&mut self, cursor: Cursor) {
        let Some(flight) = self.flights.remove(&cursor) else { return };
        self.circuit.succeeded();
        self.allowed = self.allowed.saturating_add(1).min(self.plan.concurrency);
        self.settle(cursor);
        self.release(&flight.lane);
    }

    /// The event was not sent, or its outcome does not matter. It is sent again as if it had never been tried.
    pub(crate) fn not_sent(&mut self, cursor: Cursor) {
        let Some(flight) = self.flights.remove(&cursor) else { return };
        self.circuit.keep_probe();
        self.wait_again(cursor);
        self.release(&flight.lane);
    }

    /// The attempt failed.
    pub(crate) fn failed(&mut self, cursor: Cursor, mut failure: Failure, now: UnixTime) {
        let Some(Flight { lane, generation }) = self.flights.remove(&cursor) else { return };
        let kind = failure.kind;
        self.state.last_error.clone_from(&failure.error);
        if kind == FailureKind::Busy {
            self.hold_until(now.saturating_add(failure.retry_after.take().unwrap_or_default()));
        }
        let (is_current, was_open) = (generation == self.circuit.generation(), self.circuit.is_open());
        let is_only = self.lanes.is_only(&lane);
        if is_current {
            self.circuit.probe_failed(now);
        }
        let is_poison = self.circuit.note_event_failure(cursor) && kind == FailureKind::Answer;
        let Some(event) = self.events.get(cursor).filter(|_| is_current && (!was_open || goes_on_counting(kind, is_only))) else {
            self.wait_again(cursor);
            return self.release(&lane);
        };
        let before = event.row.clone();
        self.count(cursor, &lane, failure, now);
        self.release(&lane);
        if is_poison {
            return;
        }
        let failure = UndecidedFailure { event: cursor, lane, kind, before };
        if was_open {
            self.circuit.note_undecided(failure);
        } else if self.circuit.failed(failure, is_only) {
            self.open(is_only, now);
        }
    }

    /// Counts the failure of an event, and decides what becomes of it.
    fn count(&mut self, cursor: Cursor, lane: &Lane, failure: Failure, now: UnixTime) {
        let Some(event) = self.events.get(cursor) else { return };
        let before = event.row.clone().unwrap_or_else(Row::fresh);
        let (attempts, first) = (before.attempts.saturating_add(1), before.first.unwrap_or(now));
        let earliest = failure.retry_after.map(|wait| now.saturating_add(wait));
        let (state, next) = match self.plan.fate(before.state == OwedState::Held, attempts, first, now) {
            Fate::Held(next) => (OwedState::Held, Some(next).max(earliest)),
            Fate::Aside(next) => (OwedState::Aside, Some(next).max(earliest)),
            Fate::Dead => (OwedState::Dead, None),
        };
        if before.state == OwedState::Held && state != OwedState::Held {
            self.lanes.remove(lane, cursor, false);
        }
        let (status, error) = (failure.status, failure.error);
        self.events.set_row(cursor, Some(Row { state, attempts, first: Some(first), next, status, error }));
        self.wait_again(cursor);
    }

    /// The target is down, which explains the undecided failures: they are undone.
    fn open(&mut self, is_only: bool, now: UnixTime) {
        self.allowed = 1;
        for failure in self.circuit.open(now) {
            if goes_on_counting(failure.kind, is_only) {
                self.circuit.note_undecided(failure);
            } else {
                self.undo(failure);
            }
        }
        self.events.forget_entries();
    }

    /// Puts an event back to where it was before its failure.
    fn undo(&mut self, failure: UndecidedFailure) {
        let UndecidedFailure { event: cursor, lane, before, .. } = failure;
        let Some(row) = self.events.row(cursor) else { return };
        if row.state == OwedState::Expired {
            return;
        }
        let was_in_order = before.as_ref().is_none_or(|row| row.state == OwedState::Held);
        let leaves_order = was_in_order && row.state != OwedState::Held;
        self.leave_aside(cursor, &lane);
        let before = if before.is_none() && self.is_passed(cursor) { Some(Row::fresh()) } else { before };
        if leaves_order && self.lanes.is_busy(&lane) {
            // A later event of its lane is being sent, so it stays late.
            self.events.set_row(cursor, Some(Row { state: OwedState::Aside, ..before.unwrap_or_else(Row::fresh) }));
        } else {
            self.events.set_row(cursor, before);
            if leaves_order {
                self.lanes.push_front(&lane, cursor);
            }
        }
        if !self.flights.contains_key(&cursor) {
            self.wait_again(cursor);
        }
        self.place(&lane);
    }
}

/// Whether a failure counts even while the target is down. If there is only one lane, no other lane shows whether the target is down or
/// the event is poison, and poison must not stop the lane for good.
fn goes_on_counting(kind: FailureKind, is_only: bool) -> bool {
    is_only && kind == FailureKind::Answer
}
