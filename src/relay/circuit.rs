//! Decides whether the target is down, rather than one event poison. Does not know what is sent.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::inbox::Cursor;
use crate::relay::events::Row;
use crate::relay::failure::FailureKind;
use crate::relay::lanes::Lane;
use crate::relay::plan::is_due;

/// Failures in a row after which the target is down.
const FAILURES: usize = 5;
/// The same if there was no connection.
const CONNECT_FAILURES: usize = 3;
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(300);
/// A probe's delay is longer or shorter by a fifth at most, in thousandths.
const JITTER: (u64, u64) = (800, 401);

/// Whether the target is up, with what speaks against it.
#[derive(Debug)]
pub(super) struct Circuit {
    outage: Option<Outage>,
    /// Since the last success, or the last outage.
    failures: Vec<Failed>,
    generation: u64,
    random: u64,
}

#[derive(Debug)]
struct Outage {
    delay: Duration,
    probe_at: UnixTime,
    is_probing: bool,
}

/// A failure that may be the target's fault.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) event: Cursor,
    pub(super) lane: Lane,
    pub(super) kind: FailureKind,
    /// What the target owed of this event before.
    pub(super) before: Option<Row>,
}

impl Circuit {
    /// `seed` is for the jitter.
    pub(super) fn new(seed: u64) -> Self {
        Self { outage: None, failures: Vec::new(), generation: 0, random: seed | 1 }
    }

    /// Whether the target is down.
    pub(super) fn is_open(&self) -> bool {
        self.outage.is_some()
    }

    /// Grows with each outage. What began in an older one proves nothing about the target now.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn probe_at(&self) -> Option<UnixTime> {
        self.outage.as_ref().filter(|outage| !outage.is_probing).map(|outage| outage.probe_at)
    }

    /// Whether a probe may begin; it has begun then.
    pub(super) fn begins_probe(&mut self, now: UnixTime) -> bool {
        let Some(outage) = &mut self.outage else { return false };
        let is_due = !outage.is_probing && is_due(outage.probe_at, now, LONGEST_DELAY.saturating_mul(2));
        outage.is_probing |= is_due;
        is_due
    }

    /// Nothing could be sent, so the next thing to send is the probe.
    pub(super) fn keep_probe(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.is_probing = false;
        }
    }

    pub(super) fn probe_failed(&mut self, now: UnixTime) {
        let Some(Outage { delay, .. }) = self.outage else { return };
        let (least, span) = JITTER;
        let thousandths = least.saturating_add(self.random().checked_rem(span).unwrap_or(0));
        let delay = delay.saturating_mul(2).min(LONGEST_DELAY);
        let with_jitter = delay.saturating_mul(u32::try_from(thousandths).unwrap_or(1000)).checked_div(1000).unwrap_or(delay);
        self.outage = Some(Outage { delay, probe_at: now.saturating_add(with_jitter), is_probing: false });
    }

    pub(super) fn succeeded(&mut self) {
        self.failures.clear();
        self.outage = None;
    }

    /// Notes a failure. Returns whether the target is down therefore. `is_only`: no other lane has something to send.
    pub(super) fn failed(&mut self, failed: Failed, is_only: bool) -> bool {
        let connects = |failed: &&Failed| failed.kind == FailureKind::Connect;
        let (lane, kind) = (failed.lane.clone(), failed.kind);
        self.failures.push(failed);
        let is_unreachable =
            kind == FailureKind::Connect && self.failures.iter().rev().take_while(connects).count() >= CONNECT_FAILURES;
        let over_two = || is_only || self.failures.iter().any(|failed| failed.lane != lane);
        is_unreachable || self.failures.len() >= FAILURES && over_two()
    }

    /// Opens the circuit, with the first probe after a second. Returns the failures, the newest first.
    pub(super) fn open(&mut self, now: UnixTime) -> impl Iterator<Item = Failed> + use<> {
        self.generation = self.generation.saturating_add(1);
        self.outage = Some(Outage { delay: FIRST_DELAY, probe_at: now.saturating_add(FIRST_DELAY), is_probing: false });
        std::mem::take(&mut self.failures).into_iter().rev()
    }

    /// Notes a failure, which may be the target's fault or not. It has nothing to decide.
    pub(super) fn doubt(&mut self, failed: Failed) {
        if !self.doubts(failed.event) {
            self.failures.push(failed);
        }
    }

    /// Whether it is not known yet if the failure of `event` was the target's fault.
    pub(super) fn doubts(&self, event: Cursor) -> bool {
        self.failures.iter().any(|failed| failed.event == event)
    }

    /// A xorshift generator: probes of many roomkeys should not meet, and nothing depends on more.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
