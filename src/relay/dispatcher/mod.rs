//! Decides which event is sent next. It does no I/O and is told the time. Its other methods are in the files beside this one: what an
//! outcome means (`outcomes`), what is committed (`progress`), what people ask for (`steered`), what retention deletes (`expiry`), and the
//! search for other rooms (`ahead`). Does not know how events are read, sent and stored.

mod ahead;
mod circuit;
mod events;
mod expiry;
mod lanes;
#[cfg(test)]
mod model;
mod outcomes;
mod plan;
mod progress;
mod steered;

use std::collections::{BTreeSet, HashMap};

use crate::clock::UnixTime;
use crate::inbox::target::{OwedEvent, OwedState, TargetState};
use crate::inbox::{Cursor, Entry};
use ahead::Search;
use circuit::Circuit;
use events::Events;
use lanes::{Lane, Lanes};
use plan::{LONGEST_ASIDE, LONGEST_WAIT, is_due};
pub(super) use plan::{Limits, Plan};
pub(super) use progress::Changes;
use progress::Progress;

/// Everything about one target that decides what is sent to it.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    plan: Plan,
    circuit: Circuit,
    lanes: Lanes,
    events: Events,
    /// The events that were set aside and are not due, with the time at which each is tried.
    aside: BTreeSet<(Option<UnixTime>, Cursor)>,
    flights: HashMap<Cursor, Flight>,
    /// How many may be in flight; few after an outage.
    allowed: usize,
    /// Until when the target asked not to be sent anything.
    busy_until: Option<UnixTime>,
    state: TargetState,
    /// The state that was committed last; `None` if that may have failed.
    committed: Option<TargetState>,
    progress: Progress,
    /// The progress of the first replay.
    replaying: Option<Progress>,
    /// The search for another lane, while there is one.
    search: Option<Search>,
    /// The number of events that expired and are not reported yet.
    expired: u64,
}

/// An attempt in flight.
#[derive(Debug)]
struct Flight {
    lane: Lane,
    /// The circuit's at its beginning.
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
            search: None,
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
    fn hold_until(&mut self, until: UnixTime) {
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

    /// Removes an event that needs no attempt any more.
    fn settle(&mut self, cursor: Cursor) {
        let Some(event) = self.events.get(cursor) else { return };
        if cursor > self.state.cursor {
            self.progress.settle(cursor);
        } else if event.is_replay
            && let Some(replaying) = &mut self.replaying
        {
            replaying.settle(cursor);
        }
        self.leave(cursor);
        self.circuit.forget(cursor);
        self.events.remove(cursor);
    }

    /// Takes an event out of what is to be sent.
    fn leave(&mut self, cursor: Cursor) {
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

    /// The lane of an event.
    fn lane(&self, cursor: Cursor) -> Option<Lane> {
        Some(Lane::of(self.plan.is_ordered, cursor, &self.events.get(cursor)?.room))
    }

    /// Lets a new event wait for its turn.
    fn wait(&mut self, cursor: Cursor) {
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

    /// Lets an event wait that was tried: aside, or else at the front of its lane, where it still is.
    fn wait_again(&mut self, cursor: Cursor) {
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
    fn place(&mut self, lane: &Lane) {
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
