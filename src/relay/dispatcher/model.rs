//! Holds the dispatcher against a model, over random events, failures, restarts and requests.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use crate::clock::UnixTime;
use crate::inbox::target::{OwedCounts, OwedEvent, OwedState, Replay, TargetState};
use crate::inbox::{Cursor, Entry, PageLimit};
use crate::relay::dispatcher::plan::{Limits, Plan};
use crate::relay::dispatcher::{Dispatcher, Start};
use crate::relay::failure::{Failure, FailureKind};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 86400;
/// A window that one room fills soon.
const FEW: usize = 4;

/// What has to hold, whatever the dispatcher does. Events are numbered from 1.
#[derive(Debug, Default)]
struct Model {
    /// The room of each event.
    rooms: Vec<u8>,
    taken: BTreeSet<u64>,
    /// Those that were taken since the start.
    uncommitted: BTreeSet<u64>,
    /// Those that were taken and committed as such.
    committed: BTreeSet<u64>,
    in_flight: BTreeSet<u64>,
    /// Those that wait for nothing in their room: late, dead, expired, or skipped by a person.
    given_up: BTreeSet<u64>,
    /// Those that a person skipped, and those of them that were committed as such.
    skipped: [BTreeSet<u64>; 2],
}

impl Model {
    fn room(&self, event: u64) -> u8 {
        self.rooms[event as usize - 1]
    }

    fn started(&mut self, event: u64, start: &Start, concurrency: usize) {
        let room = self.room(event);
        assert!(self.in_flight.iter().all(|each| self.room(*each) != room), "two events of a room are in flight");
        assert!(self.in_flight.insert(event) && self.in_flight.len() <= concurrency);
        assert!(start.is_replay || !self.committed.contains(&event), "{event} is sent twice");
        let is_ready = |earlier: u64| self.taken.contains(&earlier) || self.given_up.contains(&earlier);
        let mut earlier = (1..event).filter(|each| self.room(*each) == room);
        assert!(start.is_late || start.is_replay || earlier.all(is_ready), "{event} is sent too early");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Append {
        room: u8,
        is_poison: bool,
    },
    Begin(usize),
    /// The event in flight at this place ends.
    End(usize),
    EndAll,
    /// The next one that ends fails.
    Glitch(FailureKind, Option<u64>),
    Down(FailureKind),
    Up,
    Wait(u64),
    Commit {
        is_applied: bool,
        is_reported: bool,
    },
    Restart {
        is_delivered: bool,
    },
    Pause(bool),
    Retry(OwedState),
    RetryOne(usize),
    Skip(usize),
    Replay(usize, usize),
    Prune(usize),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let kind =
        prop_oneof![Just(FailureKind::Connect), Just(FailureKind::Exchange), Just(FailureKind::Busy), Just(FailureKind::Answer)];
    let any = 0_usize..40;
    prop_oneof![
        10 => (0_u8..4, prop::bool::weighted(0.15)).prop_map(|(room, is_poison)| Step::Append { room, is_poison }),
        10 => (1_usize..6).prop_map(Step::Begin),
        10 => any.clone().prop_map(Step::End),
        3 => Just(Step::EndAll),
        2 => (kind.clone(), prop::option::of(0_u64..=3600)).prop_map(|(kind, after)| Step::Glitch(kind, after)),
        1 => kind.prop_map(Step::Down),
        2 => Just(Step::Up),
        4 => prop_oneof![0_u64..10, 10_u64..400, 400_u64..4000, 4000_u64..DAY].prop_map(Step::Wait),
        4 => (prop::bool::weighted(0.8), prop::bool::weighted(0.8))
            .prop_map(|(is_applied, is_reported)| Step::Commit { is_applied, is_reported: is_applied && is_reported }),
        1 => prop::bool::ANY.prop_map(|is_delivered| Step::Restart { is_delivered }),
        1 => prop::bool::weighted(0.3).prop_map(Step::Pause),
        1 => prop_oneof![Just(OwedState::Held), Just(OwedState::Aside), Just(OwedState::Dead)].prop_map(Step::Retry),
        1 => any.clone().prop_map(Step::RetryOne),
        1 => any.clone().prop_map(Step::Skip),
        1 => (any.clone(), any.clone()).prop_map(|(after, count)| Step::Replay(after, count)),
        1 => any.prop_map(Step::Prune),
        1 => Just(Step::Sweep),
    ]
}

fn cursor(event: u64) -> Cursor {
    Cursor::from_number(event as i64 * 10)
}

fn event(cursor: Cursor) -> u64 {
    cursor.number() as u64 / 10
}

/// An inbox, a store and a target, around the dispatcher.
struct World {
    plan: Plan,
    now: UnixTime,
    dispatcher: Dispatcher,
    stored: (TargetState, BTreeMap<Cursor, OwedEvent>),
    /// Whether each event is poison.
    poison: Vec<bool>,
    /// The last one that was deleted.
    pruned: u64,
    down: Option<FailureKind>,
    glitch: Option<(FailureKind, Option<u64>)>,
    /// How poison fails.
    poison_kind: FailureKind,
    model: Model,
}

impl World {
    fn new(plan: Plan) -> Self {
        let cursor = Cursor::from_number(0);
        let (owed, last_error) = (OwedCounts::default(), String::new());
        let state = TargetState { cursor, is_paused: false, is_down: false, last_error, owed, replays: Vec::new() };
        let now = UnixTime::from_secs(1_800_000_000);
        let dispatcher = Dispatcher::new(plan, state.clone(), Vec::new(), now, 7);
        let (stored, model) = ((state, BTreeMap::new()), Model::default());
        Self {
            plan,
            now,
            dispatcher,
            stored,
            poison: Vec::new(),
            pruned: 0,
            down: None,
            glitch: None,
            poison_kind: FailureKind::Answer,
            model,
        }
    }

    fn append(&mut self, room: u8, is_poison: bool) {
        self.model.rooms.push(room);
        self.poison.push(is_poison);
    }

    fn last(&self) -> u64 {
        self.poison.len() as u64
    }

    fn read(&self, after: Cursor, mut limit: PageLimit) -> Vec<Entry> {
        let entry = |number: u64| {
            let room = if self.model.room(number) == 0 { String::new() } else { format!("room-{}", self.model.room(number)) };
            let (id, event, key, body) = (String::new(), String::new(), String::new(), Bytes::from_static(&[0; 100]));
            Entry { cursor: cursor(number), id, event, room, received: self.now, key, body }
        };
        (event(after) + 1..=self.last()).take_while(|_| limit.take(100)).map(entry).collect()
    }

    /// What the runner does before it sends.
    fn feed(&mut self) {
        while let Some(limit) = self.dispatcher.page_to_read() {
            let after = self.dispatcher.progress.read_to;
            if after < cursor(self.pruned) {
                self.dispatcher.skip_gap(cursor(self.pruned));
                continue;
            }
            let entries = self.read(after, limit);
            let Some(last) = entries.last().map(|entry| entry.cursor) else { break };
            self.dispatcher.take(entries, last);
        }
        while let Some((after, limit)) = self.dispatcher.ahead_to_read() {
            let entries = self.read(after, limit);
            let Some(next) = entries.last().map(|entry| entry.cursor) else { break };
            self.dispatcher.take_ahead(entries, next);
        }
        while let Some((replay, limit)) = self.dispatcher.replay_to_read() {
            if replay.after < cursor(self.pruned) {
                self.dispatcher.skip_replay_gap(cursor(self.pruned));
                continue;
            }
            let entries = self.read(replay.after, limit);
            let next = entries.last().map_or(replay.until, |entry| entry.cursor);
            self.dispatcher.take_replayed(entries, next);
        }
        self.note_given_up();
    }

    fn note_given_up(&mut self) {
        let is_given_up = |state| matches!(state, OwedState::Aside | OwedState::Dead | OwedState::Expired);
        let given_up = self.dispatcher.events.owed(is_given_up).into_iter().map(event);
        self.model.given_up.extend(given_up.chain(1..=self.pruned));
    }

    /// Whether an event began.
    fn begin(&mut self) -> bool {
        self.feed();
        let Some(start) = self.dispatcher.next(self.now) else { return false };
        let number = event(start.cursor);
        if start.entry.is_none() && number <= self.pruned {
            self.dispatcher.is_gone(start.cursor);
            self.note_given_up();
            return true;
        }
        self.model.started(number, &start, self.plan.concurrency);
        true
    }

    fn end(&mut self, place: usize) {
        let Some(number) = self.model.in_flight.iter().copied().nth(place % self.model.in_flight.len().max(1)) else { return };
        self.model.in_flight.remove(&number);
        let is_poison = self.poison[number as usize - 1];
        let glitch = if self.down.is_none() { self.glitch.take() } else { None };
        let failure = self.down.map(|kind| (kind, None)).or(glitch).or(is_poison.then_some((self.poison_kind, None)));
        if let Some((kind, retry_after)) = failure {
            let retry_after = retry_after.map(Duration::from_secs);
            let failure = Failure { kind, status: None, error: format!("{kind:?}"), retry_after };
            self.dispatcher.failed(cursor(number), failure, self.now);
        } else {
            self.model.taken.insert(number);
            self.model.uncommitted.insert(number);
            self.dispatcher.succeeded(cursor(number));
        }
        self.note_given_up();
    }

    fn commit(&mut self, is_applied: bool, is_reported: bool) {
        let Some(changes) = self.dispatcher.changes(false) else { return };
        if is_applied {
            assert!(changes.state.cursor >= self.stored.0.cursor);
            self.stored.0 = changes.state.clone();
            changes.settled.iter().for_each(|settled| drop(self.stored.1.remove(settled)));
            self.stored.1.extend(changes.owed.iter().map(|owed| (owed.cursor, owed.clone())));
            let owed = self.stored.1.values().filter(|owed| owed.state != OwedState::Expired).count() as u64;
            assert!(owed <= self.plan.limits.owed);
            // A target that owes too much stands still. What it takes then is sent again after a restart.
            let OwedCounts { held, aside, dead } = changes.state.owed;
            let is_full = held + aside + dead >= self.plan.limits.owed;
            // So is one that was looked for ahead, until the cursor is there.
            let read_to = self.dispatcher.read_to();
            let is_committed = |number: &&u64| {
                let cursor = cursor(**number);
                !is_full && cursor <= read_to || cursor <= self.stored.0.cursor
            };
            self.model.committed.extend(self.model.uncommitted.iter().filter(is_committed));
            let [skipped, committed] = &mut self.model.skipped;
            committed.extend(skipped.iter().filter(is_committed));
        }
        if !is_reported {
            self.dispatcher.not_committed(&changes);
        }
    }

    fn restart(&mut self, is_delivered: bool) {
        let in_flight = std::mem::take(&mut self.model.in_flight);
        if is_delivered && self.down.is_none() {
            self.model.taken.extend(in_flight.into_iter().filter(|number| !self.poison[*number as usize - 1]));
        }
        self.model.uncommitted.clear();
        let (state, owed) = self.stored.clone();
        // What was given up since the last commit is tried again, in order.
        let is_given_up = |owed: &&OwedEvent| owed.state != OwedState::Held;
        self.model.given_up = owed.values().filter(is_given_up).map(|owed| event(owed.cursor)).chain(1..=self.pruned).collect();
        let [skipped, committed] = &mut self.model.skipped;
        skipped.clone_from(committed);
        self.model.given_up.extend(skipped.iter());
        self.dispatcher = Dispatcher::new(self.plan, state, owed.into_values().collect(), self.now, 7);
    }

    fn step(&mut self, step: Step) {
        let now = self.now;
        let nth = |place: usize| cursor(place as u64 + 1);
        match step {
            Step::Append { room, is_poison } => {
                // Among few events, poison in many rooms cannot be told from a target that is down.
                let may_be_poison = room == 0 || self.plan.limits.window.entries > FEW;
                self.append(room, is_poison && may_be_poison);
            }
            Step::Begin(count) => drop((0..count).take_while(|_| self.begin()).count()),
            Step::End(place) => self.end(place),
            Step::EndAll => (0..self.model.in_flight.len()).for_each(|_| self.end(0)),
            Step::Glitch(kind, retry_after) => self.glitch = Some((kind, retry_after)),
            Step::Down(kind) => self.down = Some(kind),
            Step::Up => self.down = None,
            Step::Wait(seconds) => self.now = now.saturating_add(Duration::from_secs(seconds)),
            Step::Commit { is_applied, is_reported } => self.commit(is_applied, is_reported),
            Step::Restart { is_delivered } => self.restart(is_delivered),
            Step::Pause(is_paused) => self.dispatcher.pause(is_paused),
            Step::Retry(state) => self.dispatcher.retry_all(state),
            Step::RetryOne(place) => self.dispatcher.retry(nth(place)),
            Step::Skip(place) => {
                if self.dispatcher.events.get(nth(place)).is_some() {
                    self.model.given_up.insert(event(nth(place)));
                    self.model.skipped[0].insert(event(nth(place)));
                }
                self.dispatcher.skip(nth(place));
            }
            Step::Replay(after, count) => {
                let replay = Replay { after: nth(after).before(), until: nth(after + count) };
                assert!(self.dispatcher.replay(replay));
            }
            Step::Prune(count) => self.pruned = (self.pruned + count as u64 / 10).min(self.last()),
            Step::Sweep => self.dispatcher.forget(cursor(self.pruned)),
        }
    }

    /// Everything works again: in the end the target has taken everything, or it is known why not. While it waits, events of another room
    /// go on arriving, because two rooms with poison cannot be told from a target that is down.
    fn finish(&mut self) {
        (self.down, self.glitch) = (None, None);
        self.dispatcher.pause(false);
        for _ in 0..20_000 {
            while self.begin() {}
            let was_sending = !self.model.in_flight.is_empty();
            (0..self.model.in_flight.len()).for_each(|_| self.end(0));
            self.commit(true, true);
            if !was_sending {
                let Some(at) = self.dispatcher.wakes_at(self.now) else { break };
                self.now = at;
                self.append(9, false);
            }
        }
        let owed = self.dispatcher.state().owed;
        if owed.held + owed.aside + owed.dead >= self.plan.limits.owed {
            return; // the target stands still, as it should
        }
        assert_eq!(self.stored.0.cursor, cursor(self.last()).max(self.stored.0.cursor), "the cursor is not at the end");
        for number in 1..=self.last() {
            let owed = self.stored.1.get(&cursor(number)).map(|owed| owed.state);
            let is_listed = matches!(owed, Some(OwedState::Dead | OwedState::Expired));
            assert!(owed.is_none() || is_listed, "{number} stays {owed:?}");
            let is_explained = is_listed || number <= self.pruned || self.model.skipped[0].contains(&number);
            assert!(self.model.taken.contains(&number) || is_explained, "{number} is lost");
        }
        assert!(self.stored.0.replays.is_empty());
    }
}

fn plan(concurrency: usize, (hold, give_up_after): (u64, u64), limits: (u64, usize)) -> Plan {
    let window = PageLimit { entries: limits.1, bytes: 1 << 20 };
    let limits = Limits { owed: limits.0, window, replay_window: PageLimit { entries: 3, bytes: 1000 } };
    let [hold, give_up_after] = [hold, give_up_after].map(Duration::from_secs);
    Plan { is_ordered: true, concurrency, hold, give_up_after, limits }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn nothing_is_lost_sent_too_early_or_twice(
        steps in prop::collection::vec(step(), 1..200),
        concurrency in 1_usize..5,
        hold in prop_oneof![Just((0, 3 * DAY)), Just((15 * MINUTE, 3 * DAY)), Just((HOUR, HOUR))],
        limits in prop_oneof![Just((100_000, 1024)), Just((5, 300)), Just((100_000, FEW))],
    ) {
        let mut world = World::new(plan(concurrency, hold, limits));
        steps.into_iter().for_each(|step| world.step(step));
        world.finish();
    }
}

#[test]
fn poison_in_three_rooms_dies_while_others_go_on() {
    let mut world = World::new(plan(1, (15 * MINUTE, 3 * DAY), (100_000, 1024)));
    for (room, is_poison) in [(0, true), (0, true), (1, true), (0, false), (0, false), (2, true), (1, true)] {
        world.append(room, is_poison);
    }
    world.finish();
}

#[test]
fn poison_with_many_events_behind_it_holds_up_no_other_room() {
    for kind in [FailureKind::Answer, FailureKind::Exchange] {
        let mut world = World::new(plan(2, (15 * MINUTE, 3 * DAY), (100_000, FEW)));
        for (room, is_poison) in [(0, true), (1, true), (0, false), (1, false)] {
            (0..20).for_each(|number| world.append(room, is_poison && number == 0));
        }
        world.append(2, false);
        world.poison_kind = kind;
        let begin = world.now;
        while !world.model.taken.contains(&81) {
            while world.begin() {}
            (0..world.model.in_flight.len()).for_each(|_| world.end(0));
            world.commit(true, true);
            world.now =
                world.dispatcher.wakes_at(world.now).unwrap_or(world.now).max(world.now.saturating_add(Duration::from_secs(1)));
            assert!(world.now.since(begin) < Duration::from_secs(5 * MINUTE), "the other room waits");
        }
        world.finish();
    }
}

#[test]
fn poison_in_many_rooms_is_set_aside_while_few_others_succeed() {
    let mut world = World::new(plan(4, (15 * MINUTE, 3 * DAY), (100_000, 1024)));
    for room in 0..6 {
        world.append(room, true);
        world.append(room, false);
    }
    let begin = world.now;
    let are_behind_taken = |world: &World| (1..=6).all(|number| world.model.taken.contains(&(2 * number)));
    while !are_behind_taken(&world) {
        if world.last() * 30 < world.now.since(begin).as_secs() {
            world.append(9, false);
        }
        while world.begin() {}
        (0..world.model.in_flight.len()).for_each(|_| world.end(0));
        world.commit(true, true);
        world.now = world.now.saturating_add(Duration::from_secs(1));
        assert!(world.now.since(begin) < Duration::from_secs(HOUR), "they are never set aside");
    }
}

#[test]
fn an_outage_after_a_single_success_sets_nothing_aside() {
    let mut world = World::new(plan(4, (15 * MINUTE, 3 * DAY), (100_000, 1024)));
    (0..12).for_each(|number| world.append(number % 3, false));
    while world.begin() {}
    world.down = Some(FailureKind::Answer);
    world.end(0);
    world.end(0);
    world.down = None;
    world.end(0);
    world.down = Some(FailureKind::Answer);
    for _ in 0..DAY / 10 {
        while world.begin() {}
        (0..world.model.in_flight.len()).for_each(|_| world.end(0));
        world.now = world.now.saturating_add(Duration::from_secs(10));
    }
    assert!(world.dispatcher.is_down());
    assert_eq!(world.dispatcher.events.counts().aside, 0);
    world.finish();
}
