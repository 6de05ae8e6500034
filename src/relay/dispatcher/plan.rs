//! Decides what becomes of an event that failed, and when it is tried next. Does not know the events.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::inbox::PageLimit;
use crate::relay::failure::MAX_RETRY_AFTER;
use crate::relay::settings::TargetOptions;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// Seconds between the attempts of an event that holds up its lane; the last one repeats.
const HELD_DELAYS: [u64; 5] = [1, 5, 30, 2 * MINUTE, 5 * MINUTE];
/// Seconds between the attempts of an event that was set aside; the last one repeats.
const ASIDE_DELAYS: [u64; 7] = [30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
/// No event that was set aside waits longer, so a time that is further away comes from a clock that was wrong.
pub(super) const LONGEST_ASIDE: Duration = Duration::from_secs(24 * HOUR);
/// The same for a lane and for a whole target.
pub(super) const LONGEST_WAIT: Duration = MAX_RETRY_AFTER;

/// What a target's options say about order and patience.
#[derive(Clone, Copy, Debug)]
pub(in crate::relay) struct Plan {
    pub(super) is_ordered: bool,
    pub(super) concurrency: usize,
    pub(super) hold: Duration,
    pub(super) give_up_after: Duration,
    pub(super) limits: Limits,
}

/// What bounds the memory of a target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Owed events. The cursor stands still then.
    pub(super) owed: u64,
    /// Events in memory that are not owed.
    pub(super) window: PageLimit,
    /// Those of a replay: only few, so that it does not hold up what is new.
    pub(super) replay_window: PageLimit,
}

/// About how much all targets together keep in memory.
const ALL: PageLimit = PageLimit { entries: 2048, bytes: 1 << 20 };
/// How much each of them keeps at most, and at least.
const MOST: PageLimit = PageLimit { entries: 1024, bytes: 1 << 20 };
const LEAST: PageLimit = PageLimit { entries: 16, bytes: 8 << 10 };
/// A replay keeps one part in so many of what its target keeps.
const REPLAY_PART: usize = 8;

impl Limits {
    /// The limits of each target, if there are `targets` of them.
    pub(crate) fn of_one_of(targets: usize) -> Self {
        let part = |all: usize, least, most| all.checked_div(targets).unwrap_or(all).clamp(least, most);
        let window = PageLimit {
            entries: part(ALL.entries, LEAST.entries, MOST.entries),
            bytes: part(ALL.bytes, LEAST.bytes, MOST.bytes),
        };
        let replay_window = PageLimit { entries: window.entries / REPLAY_PART, bytes: window.bytes / REPLAY_PART };
        Self { owed: 100_000, window, replay_window }
    }
}

/// What becomes of an event that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Held(UnixTime),
    Aside(UnixTime),
    Dead,
}

impl Plan {
    pub(crate) fn of(options: &TargetOptions, limits: Limits) -> Self {
        let TargetOptions { is_ordered, concurrency, hold, give_up_after, .. } = *options;
        Self { is_ordered, concurrency, hold, give_up_after, limits }
    }

    /// The fate of an event that has failed `attempts` times, the last one `now` and the first one at `first`.
    pub(super) fn fate(&self, is_held: bool, attempts: u32, first: UnixTime, now: UnixTime) -> Fate {
        let age = now.since(first);
        if age >= self.give_up_after {
            return Fate::Dead;
        }
        if is_held && age < self.hold {
            let place = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
            let delay = HELD_DELAYS.get(place).or(HELD_DELAYS.last()).copied().unwrap_or(HOUR);
            let next = now.saturating_add(Duration::from_secs(delay));
            return Fate::Held(next.min(first.saturating_add(self.hold)));
        }
        let next = now.saturating_add(aside_delay(age.saturating_sub(self.hold)));
        Fate::Aside(next.min(first.saturating_add(self.give_up_after)))
    }
}

/// The delay after an attempt of an event that was set aside `age` ago.
fn aside_delay(age: Duration) -> Duration {
    let mut end = 0_u64;
    let delay = ASIDE_DELAYS.into_iter().find(|delay| {
        end = end.saturating_add(*delay);
        age.as_secs() < end
    });
    delay.map_or(LONGEST_ASIDE, Duration::from_secs)
}

/// Whether `at` has come. `longest` is how far away it can be, unless the clock was moved.
pub(super) fn is_due(at: UnixTime, now: UnixTime, longest: Duration) -> bool {
    at <= now || at > now.saturating_add(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds after which an event is tried that always fails, and in which state.
    fn attempts(hold: u64, give_up_after: u64) -> Vec<(char, u64)> {
        let plan = Plan {
            is_ordered: true,
            concurrency: 1,
            hold: Duration::from_secs(hold),
            give_up_after: Duration::from_secs(give_up_after),
            limits: Limits::of_one_of(1),
        };
        let first = UnixTime::from_secs(1_000_000);
        let (mut tried, mut now, mut is_held) = (Vec::new(), first, true);
        for attempt in 1.. {
            let (state, next) = match plan.fate(is_held, attempt, first, now) {
                Fate::Held(next) => ('h', next),
                Fate::Aside(next) => ('a', next),
                Fate::Dead => return tried,
            };
            is_held = state == 'h';
            tried.push((state, next.since(first).as_secs()));
            now = next;
        }
        tried
    }

    #[test]
    fn an_event_is_held_then_aside_then_dead() {
        let held = [1, 6, 36, 156, 456, 756, 900].map(|at| ('h', at));
        let hours = [0.5, 2.5, 7.5, 17.5, 31.5, 51.5].map(|hours| ('a', 900 + (hours * 3600.0) as u64));
        let all: Vec<_> = held.into_iter().chain(hours).chain([('a', 3 * 86400)]).collect();
        assert_eq!(attempts(900, 3 * 86400), all);
        assert_eq!(attempts(0, 7200), [('a', 1800), ('a', 7200)], "at once");
        assert!(attempts(86400, 86400).iter().all(|(state, _)| *state == 'h'), "strict order");
    }
}
