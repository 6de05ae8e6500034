//! Puts the events of a target into lanes: the events of a lane are sent one after the other, the lanes take turns. Does not know why
//! a lane waits.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::clock::UnixTime;
use crate::inbox::Cursor;
use crate::relay::dispatcher::plan::{LONGEST_WAIT, is_due};

/// What is sent in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Lane {
    /// The events of a room, or those without a room.
    Room(Arc<str>),
    /// An event of a target that wants no order.
    Event(Cursor),
}

impl Lane {
    /// The lane of an event in `room`.
    pub(super) fn of(is_ordered: bool, event: Cursor, room: &Arc<str>) -> Self {
        if is_ordered { Self::Room(Arc::clone(room)) } else { Self::Event(event) }
    }
}

/// The lanes that have something to send, or send it.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    queues: HashMap<Lane, Queue>,
    /// By their turns.
    ready: BTreeMap<u64, Lane>,
    waiting: BTreeSet<(UnixTime, Lane)>,
    turn: u64,
}

#[derive(Debug)]
struct Queue {
    /// In order. The first one stays here while it is sent.
    events: VecDeque<Cursor>,
    /// Events that were set aside and are due.
    late: VecDeque<Cursor>,
    /// Whether the last one sent was late. Then it is the turn of the first one in order.
    was_late: bool,
    /// Until when the first event in order waits.
    until: Option<UnixTime>,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    None,
    Ready(u64),
    Waiting(UnixTime),
    Busy,
}

impl Lanes {
    /// Adds an event at the end of its lane.
    pub(super) fn push(&mut self, lane: &Lane, event: Cursor) {
        self.queue(lane).events.push_back(event);
    }

    /// Puts an event back to the front of its lane, which has to be placed again.
    pub(super) fn push_front(&mut self, lane: &Lane, event: Cursor) {
        self.queue(lane).events.push_front(event);
    }

    /// Adds an event that was set aside and is due now.
    pub(super) fn push_late(&mut self, lane: &Lane, event: Cursor) {
        let queue = self.queue(lane);
        queue.late.push_back(event);
        let until = queue.until;
        self.place(lane, until);
    }

    /// Removes an event, which is late or in order. The lane has to be placed again, unless it is sending.
    pub(super) fn remove(&mut self, lane: &Lane, event: Cursor, is_late: bool) {
        let Some(queue) = self.queues.get_mut(lane) else { return };
        let events = if is_late { &mut queue.late } else { &mut queue.events };
        if events.front() == Some(&event) {
            events.pop_front();
        } else if let Some(at) = events.iter().position(|each| *each == event) {
            events.remove(at);
        }
    }

    /// The first event of a lane in order.
    pub(super) fn head(&self, lane: &Lane) -> Option<Cursor> {
        self.queues.get(lane)?.events.front().copied()
    }

    pub(super) fn is_busy(&self, lane: &Lane) -> bool {
        self.queues.get(lane).is_some_and(|queue| matches!(queue.place, Place::Busy))
    }

    /// Whether no other lane has something to send in order.
    pub(super) fn is_only(&self, lane: &Lane) -> bool {
        self.queues.iter().all(|(each, queue)| each == lane || queue.events.is_empty())
    }

    /// The lanes, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Lane> {
        self.queues.keys()
    }

    /// The lane whose turn it is `now`.
    pub(super) fn turn(&mut self, now: UnixTime) -> Option<Lane> {
        while let Some((_, lane)) = self.due(now) {
            self.place(&lane, None);
        }
        Some(self.ready.first_key_value()?.1.clone())
    }

    /// The lane whose turn it is, even if it has to wait.
    pub(super) fn turn_at_once(&mut self, now: UnixTime) -> Option<Lane> {
        self.turn(now).or_else(|| Some(self.waiting.first()?.1.clone()))
    }

    fn due(&self, now: UnixTime) -> Option<(UnixTime, Lane)> {
        let ends = [self.waiting.first(), self.waiting.last()];
        ends.into_iter().flatten().find(|(at, _)| is_due(*at, now, LONGEST_WAIT)).cloned()
    }

    /// When the first lane that waits is ready.
    pub(super) fn waits_until(&self) -> Option<UnixTime> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// The event that `lane` sends from now on. Late events and those in order take turns; a `forced` lane sends the first in order,
    /// even if it has to wait.
    pub(super) fn begin(&mut self, lane: &Lane, now: UnixTime, forced: bool) -> Option<Cursor> {
        self.leave(lane);
        let queue = self.queues.get_mut(lane)?;
        queue.place = Place::Busy;
        let waits = queue.until.is_some_and(|at| !is_due(at, now, LONGEST_WAIT));
        let has_turn = !queue.events.is_empty() && (forced || !waits && (queue.was_late || queue.late.is_empty()));
        queue.was_late = !has_turn;
        if has_turn { queue.events.front().copied() } else { queue.late.pop_front() }
    }

    /// Notes that a lane has sent what it was sending. It has to be placed again.
    pub(super) fn end(&mut self, lane: &Lane) {
        if let Some(queue) = self.queues.get_mut(lane) {
            queue.place = Place::None;
        }
    }

    /// Gives a lane its place, unless it is sending: it is ready, or waits until its first event in order can be sent.
    pub(super) fn place(&mut self, lane: &Lane, until: Option<UnixTime>) {
        self.leave(lane);
        let Some(queue) = self.queues.get_mut(lane) else { return };
        queue.until = until;
        if matches!(queue.place, Place::Busy) {
            return;
        }
        if queue.events.is_empty() && queue.late.is_empty() {
            self.queues.remove(lane);
        } else if let Some(at) = until.filter(|_| queue.late.is_empty()) {
            queue.place = Place::Waiting(at);
            self.waiting.insert((at, lane.clone()));
        } else {
            queue.place = Place::Ready(self.turn);
            self.ready.insert(self.turn, lane.clone());
            self.turn = self.turn.wrapping_add(1);
        }
    }

    fn leave(&mut self, lane: &Lane) {
        match self.queues.get(lane).map(|queue| queue.place) {
            Some(Place::Ready(turn)) => drop(self.ready.remove(&turn)),
            Some(Place::Waiting(at)) => drop(self.waiting.remove(&(at, lane.clone()))),
            Some(Place::None | Place::Busy) | None => {}
        }
    }

    /// The queue of a lane, which is ready if it is new.
    fn queue(&mut self, lane: &Lane) -> &mut Queue {
        self.queues.entry(lane.clone()).or_insert_with(|| {
            let turn = self.turn;
            self.turn = turn.wrapping_add(1);
            self.ready.insert(turn, lane.clone());
            let (events, late) = (VecDeque::new(), VecDeque::new());
            Queue { events, late, was_late: false, until: None, place: Place::Ready(turn) }
        })
    }
}
