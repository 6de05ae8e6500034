//! Decides whether the target is down, rather than one event poison. Does not know what is sent.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::UnixTime;
use crate::inbox::Cursor;
use crate::relay::dispatcher::events::Row;
use crate::relay::dispatcher::lanes::Lane;
use crate::relay::dispatcher::plan::is_due;
use crate::relay::failure::FailureKind;

/// Failures in a row after which the target is down.
const FAILURES: usize = 5;
/// The same if there was no connection.
const CONNECT_FAILURES: usize = 3;
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(300);
/// A probe's delay is longer or shorter by a fifth at most, in thousandths.
const JITTER: (u64, u64) = (800, 401);

/// Whether the target is up, and the failures that may say otherwise.
#[derive(Debug)]
pub(super) struct Circuit {
    outage: Option<Outage>,
    /// Since the last success, or the last outage.
    undecided: Vec<UndecidedFailure>,
    successes: u64,
    /// The number of successes before the last failure of each event, even if that failure was undone.
    last_failures: HashMap<Cursor, u64>,
    generation: u64,
    random: u64,
}

#[derive(Debug)]
struct Outage {
    delay: Duration,
    probe_at: UnixTime,
    is_probing: bool,
    failed_probes: usize,
}

/// A failure of which it is not known yet whether the target is down or the event is poison.
#[derive(Debug)]
pub(super) struct UndecidedFailure {
    pub(super) event: Cursor,
    pub(super) lane: Lane,
    pub(super) kind: FailureKind,
    /// The event's row before this failure.
    pub(super) before: Option<Row>,
}

impl Circuit {
    /// `seed` is for the jitter.
    pub(super) fn new(seed: u64) -> Self {
        let (undecided, last_failures) = (Vec::new(), HashMap::new());
        Self { outage: None, undecided, successes: 0, last_failures, generation: 0, random: seed | 1 }
    }

    /// Whether the target is down.
    pub(super) fn is_open(&self) -> bool {
        self.outage.is_some()
    }

    /// The number of outages. An attempt that began in an older generation says nothing about the target now.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn probe_at(&self) -> Option<UnixTime> {
        self.outage.as_ref().filter(|outage| !outage.is_probing).map(|outage| outage.probe_at)
    }

    /// How many probes have failed in this outage, if there is one.
    pub(super) fn failed_probes(&self) -> Option<usize> {
        self.outage.as_ref().map(|outage| outage.failed_probes)
    }

    /// Whether a probe is due. If so, it has begun.
    pub(super) fn begins_probe(&mut self, now: UnixTime) -> bool {
        let Some(outage) = &mut self.outage else { return false };
        let is_due = !outage.is_probing && is_due(outage.probe_at, now, LONGEST_DELAY.saturating_mul(2));
        outage.is_probing |= is_due;
        is_due
    }

    /// The probe was not sent, so the next event is the probe.
    pub(super) fn keep_probe(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.is_probing = false;
        }
    }

    pub(super) fn probe_failed(&mut self, now: UnixTime) {
        let Some(Outage { delay, failed_probes, .. }) = self.outage else { return };
        let (least, span) = JITTER;
        let thousandths = least.saturating_add(self.random().checked_rem(span).unwrap_or(0));
        let delay = delay.saturating_mul(2).min(LONGEST_DELAY);
        let with_jitter = delay.saturating_mul(u32::try_from(thousandths).unwrap_or(1000)).checked_div(1000).unwrap_or(delay);
        let (probe_at, failed_probes) = (now.saturating_add(with_jitter), failed_probes.saturating_add(1));
        self.outage = Some(Outage { delay, probe_at, is_probing: false, failed_probes });
    }

    pub(super) fn succeeded(&mut self) {
        self.undecided.clear();
        self.successes = self.successes.wrapping_add(1);
        self.outage = None;
    }

    /// Notes that an event failed. Returns whether others succeeded since its last failure: then the event is poison, and the failure
    /// says nothing about the target.
    pub(super) fn note_event_failure(&mut self, event: Cursor) -> bool {
        self.last_failures.insert(event, self.successes).is_some_and(|successes| successes != self.successes)
    }

    /// Forgets an event that is not sent any more.
    pub(super) fn forget(&mut self, event: Cursor) {
        self.last_failures.remove(&event);
    }

    /// Notes a failure while the circuit is closed. Returns whether it has to open now. `is_only`: no other lane has something to send.
    pub(super) fn failed(&mut self, failure: UndecidedFailure, is_only: bool) -> bool {
        let lane = failure.lane.clone();
        self.undecided.push(failure);
        let is_connect = |failure: &&UndecidedFailure| failure.kind == FailureKind::Connect;
        let is_unreachable = self.undecided.iter().rev().take_while(is_connect).count() >= CONNECT_FAILURES;
        let has_two_lanes = || self.undecided.iter().any(|failure| failure.lane != lane);
        is_unreachable || self.undecided.len() >= FAILURES && (is_only || has_two_lanes())
    }

    /// Opens the circuit, with the first probe after a second. Returns the failures, the newest first.
    pub(super) fn open(&mut self, now: UnixTime) -> impl Iterator<Item = UndecidedFailure> + use<> {
        self.generation = self.generation.saturating_add(1);
        self.outage =
            Some(Outage { delay: FIRST_DELAY, probe_at: now.saturating_add(FIRST_DELAY), is_probing: false, failed_probes: 0 });
        std::mem::take(&mut self.undecided).into_iter().rev()
    }

    /// Notes a failure while the circuit is open.
    pub(super) fn note_undecided(&mut self, failure: UndecidedFailure) {
        if !self.is_undecided(failure.event) {
            self.undecided.push(failure);
        }
    }

    /// Whether `event` has an undecided failure.
    pub(super) fn is_undecided(&self, event: Cursor) -> bool {
        self.undecided.iter().any(|failure| failure.event == event)
    }

    /// A xorshift generator: probes of many roomkeys should not meet, and nothing depends on more.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
