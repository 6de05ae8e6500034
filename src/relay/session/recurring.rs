//! Work that is done again and again, never twice at a time. Does not know what is done.

use std::time::{Duration, Instant};

/// Before work that failed is tried again, and the longest time for which a session sleeps.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// When some recurring work is due.
#[derive(Debug)]
pub(super) struct Recurring {
    interval: Duration,
    due: Instant,
    is_running: bool,
}

impl Recurring {
    /// Work that is due now, and at every `interval`.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, due: Instant::now(), is_running: false }
    }

    /// Whether the work begins now.
    pub(super) fn begins(&mut self) -> bool {
        let begins = !self.is_running && self.due <= Instant::now();
        if begins {
            self.is_running = true;
            self.is_due_in(self.interval);
        }
        begins
    }

    pub(super) fn ends(&mut self, is_ok: bool) {
        self.is_running = false;
        if !is_ok {
            self.is_due_in(TICK);
        }
    }

    pub(super) fn is_due_in(&mut self, delay: Duration) {
        let now = Instant::now();
        self.due = now.checked_add(delay).unwrap_or(now);
    }

    pub(super) fn is_running(&self) -> bool {
        self.is_running
    }

    /// How long a session may sleep before the work begins.
    pub(super) fn sleep(&self) -> Duration {
        if self.is_running { TICK } else { self.due.saturating_duration_since(Instant::now()).min(TICK) }
    }
}
