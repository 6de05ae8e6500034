//! Decides which event is sent next and what its outcome means. It does no I/O and is told the time. The files beside it hold its
//! parts: what is committed is in `progress`, what people ask for and what retention deletes is in `changes`. Does not know how events
//! are read, sent and stored.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::clock::UnixTime;
use crate::inbox::target::{OwedEvent, OwedState, TargetState};
use crate::inbox::{Cursor, Entry};
use crate::relay::circuit::{Circuit, Failed};
use crate::relay::events::{Events, Row};
use crate::relay::failure::FailureKind;
use crate::relay::lanes::{Lane, Lanes};
use crate::relay::plan::{Fate, LONGEST_ASIDE, LONGEST_WAIT, Plan, is_due};
use crate::relay::progress::Progress;

/// Everything about one target that decides what is sent to it.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(super) plan: Plan,
    pub(super) circuit: Circuit,
    pub(super) lanes: Lanes,
    pub(super) events: Events,
    /// When each event is tried that was set aside and is not due.
    pub(super) aside: BTreeSet<(Option<UnixTime>, Cursor)>,
    pub(super) flights: HashMap<Cursor, Flight>,
    /// How many may be in flight; few after an outage.
    allowed: usize,
    /// Until when the target asked not to be sent anything.
    busy_until: Option<UnixTime>,
    pub(super) state: TargetState,
    /// The state that was committed last, unless that failed.
    pub(super) committed: Option<TargetState>,
    pub(super) progress: Progress,
    /// That of the first replay.
    pub(super) replaying: Option<Progress>,
    pub(super) expired: u64,
}

#[derive(Debug)]
pub(super) struct Flight {
    lane: Lane,
    generation: u64,
}

/// An event to send.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) cursor: Cursor,
    /// `None` if it has to be read from the inbox.
    pub(crate) entry: Option<Box<Entry>>,
    pub(crate) attempt: u32,
    pub(crate) is_late: bool,
    pub(crate) is_replay: bool,
}

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) status: Option<u16>,
    pub(crate) error: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Dispatcher {
    /// Goes on from what was committed last. `seed` is for the jitter of probes.
    pub(crate) fn new(plan: Plan, state: TargetState, owed: Vec<OwedEvent>, now: UnixTime, seed: u64) -> Self {
        let cursor = state.cursor;
        let mut dispatcher = Self {
            plan,
            circuit: Circuit::new(seed),
            lanes: Lanes::default(),
            events: Events::default(),
            aside: BTreeSet::new(),
            flights: HashMap::new(),
            allowed: plan.concurrency,
            busy_until: None,
            progress: Progress::at(cursor),
            replaying: None,
            committed: Some(state.clone()),
            state,
            expired: 0,
        };
        if dispatcher.state.is_down {
            drop(dispatcher.circuit.open(now));
            dispatcher.allowed = 1;
        }
        for event in owed.into_iter().filter(|event| event.cursor <= cursor) {
            let event = dispatcher.events.load(event);
            dispatcher.wait(event);
        }
        dispatcher
    }

    /// The next event to send now.
    pub(crate) fn next(&mut self, now: UnixTime) -> Option<Start> {
        self.busy_until = self.busy_until.filter(|until| !is_due(*until, now, LONGEST_WAIT));
        if self.state.is_paused || self.busy_until.is_some() {
            return None;
        }
        self.recall(now);
        let is_probe = self.circuit.is_open();
        let lane = if is_probe {
            if !self.circuit.begins_probe(now) {
                return None;
            }
            self.lanes.turn_at_once(now)
        } else if self.flights.len() < self.allowed {
            self.lanes.turn(now)
        } else {
            None
        };
        let start = lane.and_then(|lane| self.start(lane, now, is_probe));
        if start.is_none() {
            self.circuit.keep_probe();
        }
        start
    }

    fn start(&mut self, lane: Lane, now: UnixTime, is_probe: bool) -> Option<Start> {
        let cursor = self.lanes.begin(&lane, now, is_probe)?;
        let entry = self.events.take_entry(cursor);
        let event = self.events.get(cursor)?; // each event in a lane is there
        let (attempts, is_late) = event.row.as_ref().map_or((0, false), |row| (row.attempts, row.state == OwedState::Aside));
        let (attempt, is_replay) = (attempts.saturating_add(1), event.is_replay);
        self.flights.insert(cursor, Flight { lane, generation: self.circuit.generation() });
        Some(Start { cursor, entry, attempt, is_late, is_replay })
    }

    /// Sends nothing before this time.
    pub(super) fn hold_until(&mut self, until: UnixTime) {
        self.busy_until = self.busy_until.max(Some(until));
    }

    /// Whether the target is down.
    pub(crate) fn is_down(&self) -> bool {
        self.circuit.is_open()
    }

    /// The number of events that are being sent.
    pub(crate) fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// When there may be something to send without any event from outside.
    pub(crate) fn wakes_at(&self, now: UnixTime) -> Option<UnixTime> {
        let aside = self.aside.first().and_then(|(at, _)| *at);
        let times = [self.lanes.waits_until(), aside, self.circuit.probe_at(), self.busy_until];
        times.into_iter().flatten().filter(|at| *at > now).min()
    }

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
        let Some(flight) = self.flights.remove(&cursor) else { return };
        self.state.last_error.clone_from(&failure.error);
        if failure.kind == FailureKind::Busy {
            let wait = failure.retry_after.take().unwrap_or_default().min(LONGEST_WAIT);
            self.hold_until(now.saturating_add(wait));
        }
        let (is_current, was_open) = (flight.generation == self.circuit.generation(), self.circuit.is_open());
        let is_only = self.lanes.is_only(&flight.lane);
        let before = self.events.row(cursor).cloned();
        let counts = is_current && (!was_open || goes_on_counting(failure.kind, is_only));
        if is_current {
            self.circuit.probe_failed(now);
        }
        // Others succeeded since it failed before, so it is poison, and says nothing about the target.
        let was_poison = before.as_ref().is_some_and(|row| row.attempts > 0) && !self.circuit.doubts(cursor);
        let failed = Failed { event: cursor, lane: flight.lane.clone(), kind: failure.kind, before };
        let is_suspicious = counts && self.events.get(cursor).is_some() && !(was_poison && failure.kind == FailureKind::Answer);
        if counts {
            self.count(cursor, &flight.lane, failure, now);
        } else {
            self.wait_again(cursor);
        }
        self.release(&flight.lane);
        if is_suspicious && was_open {
            self.circuit.doubt(failed);
        } else if is_suspicious && self.circuit.failed(failed, is_only) {
            self.open(is_only, now);
        }
    }

    /// Counts the failure of an event, and decides what becomes of it.
    fn count(&mut self, cursor: Cursor, lane: &Lane, failure: Failure, now: UnixTime) {
        let Some(event) = self.events.get(cursor) else { return };
        let before = event.row.clone().unwrap_or_else(Row::fresh);
        let (attempts, first) = (before.attempts.saturating_add(1), before.first.unwrap_or(now));
        let earliest = failure.retry_after.map(|wait| now.saturating_add(wait.min(LONGEST_WAIT)));
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

    /// The target is down: what failed therefore did not fail.
    fn open(&mut self, is_only: bool, now: UnixTime) {
        self.allowed = 1;
        let failures: Vec<Failed> = self.circuit.open(now).collect();
        for failed in failures {
            if goes_on_counting(failed.kind, is_only) {
                self.circuit.doubt(failed);
            } else {
                self.undo(failed);
            }
        }
        self.events.forget_entries();
    }

    fn undo(&mut self, failed: Failed) {
        let Failed { event: cursor, lane, before, .. } = failed;
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

    /// Removes an event that needs no attempt any more.
    pub(super) fn settle(&mut self, cursor: Cursor) {
        let Some(event) = self.events.get(cursor) else { return };
        if cursor > self.state.cursor {
            self.progress.settle(cursor);
        } else if event.is_replay
            && let Some(replaying) = &mut self.replaying
        {
            replaying.settle(cursor);
        }
        self.leave(cursor);
        self.events.remove(cursor);
    }

    /// Takes an event out of what is to be sent.
    pub(super) fn leave(&mut self, cursor: Cursor) {
        let Some(lane) = self.lane(cursor) else { return };
        match self.events.row(cursor).map_or(OwedState::Held, |row| row.state) {
            OwedState::Held => self.lanes.remove(&lane, cursor, false),
            OwedState::Aside => self.leave_aside(cursor, &lane),
            OwedState::Dead | OwedState::Expired => return,
        }
        self.place(&lane);
    }

    /// Takes an event out of those that were set aside, due or not.
    fn leave_aside(&mut self, cursor: Cursor, lane: &Lane) {
        let Some(row) = self.events.row(cursor) else { return };
        if row.state == OwedState::Aside && !self.aside.remove(&(row.next, cursor)) {
            self.lanes.remove(lane, cursor, true);
        }
    }

    pub(super) fn lane(&self, cursor: Cursor) -> Option<Lane> {
        let event = self.events.get(cursor)?;
        Some(if self.plan.is_ordered { Lane::Room(event.room.clone()) } else { Lane::Event(cursor) })
    }

    /// Lets a new event wait for its turn.
    pub(super) fn wait(&mut self, cursor: Cursor) {
        let (state, next) = self.events.row(cursor).map_or((OwedState::Held, None), |row| (row.state, row.next));
        if state == OwedState::Held
            && let Some(lane) = self.lane(cursor)
        {
            self.lanes.push(&lane, cursor);
            if next.is_some() {
                self.place(&lane);
            }
        }
        self.wait_again(cursor);
    }

    /// Lets an event wait that was tried: in the front of its lane, where it still is, or aside.
    pub(super) fn wait_again(&mut self, cursor: Cursor) {
        if let Some(row) = self.events.row(cursor)
            && row.state == OwedState::Aside
        {
            self.aside.insert((row.next, cursor));
        }
    }

    /// Places a lane that has sent what it was sending.
    fn release(&mut self, lane: &Lane) {
        self.lanes.end(lane);
        self.place(lane);
    }

    /// Places a lane, unless it is sending.
    pub(super) fn place(&mut self, lane: &Lane) {
        let head = self.lanes.head(lane);
        self.lanes.place(lane, head.and_then(|head| self.events.row(head)?.next));
    }

    /// Events that were set aside and are due join their lanes.
    fn recall(&mut self, now: UnixTime) {
        let due = |(at, _): &&(Option<UnixTime>, Cursor)| at.is_none_or(|at| is_due(at, now, LONGEST_ASIDE));
        while let Some(first) = self.aside.first().filter(due).or(self.aside.last().filter(due)).copied() {
            self.aside.remove(&first);
            if let Some(lane) = self.lane(first.1) {
                self.lanes.push_late(&lane, first.1);
            }
        }
    }
}

/// Whether a failure counts even while the target is down. On the only lane, one poison event cannot be told from a target that is down
/// by what other lanes do.
fn goes_on_counting(kind: FailureKind, is_only: bool) -> bool {
    is_only && kind == FailureKind::Answer
}
