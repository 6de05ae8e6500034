//! Decides which time can be trusted to delete old entries by. If the system's clock leaps ahead by a year, the whole inbox would be
//! too old and be deleted by mistake. So a leap counts only after it has lasted for a while. Does not delete anything.

use std::time::{Duration, Instant};

use crate::clock::UnixTime;

/// A clock that is further ahead than this has leapt. Time servers correct less than that on their own.
const LEAP: Duration = Duration::from_secs(60 * 60);
/// How long a leap deletes nothing. Within an hour, time synchronisation corrects a wrong clock, or somebody sees the warning. If
/// the clock is right, for example after a long stop, an hour is short compared with the days for which events are kept.
const LASTING: Duration = Duration::from_secs(60 * 60);

pub(crate) struct TrustedTime {
    trusted: UnixTime,
    /// When it was trusted, by a clock that cannot be set.
    trusted_at: Instant,
    leapt_at: Option<Instant>,
}

/// A change of the clock to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockChange {
    /// It has leapt ahead by this much.
    Leapt(Duration),
    /// It is no longer ahead.
    Returned,
    /// It has been ahead for long enough to be right.
    Lasted,
}

impl TrustedTime {
    /// Trusts `trusted` as the time at `at`.
    pub(crate) fn new(trusted: UnixTime, at: Instant) -> Self {
        Self { trusted, trusted_at: at, leapt_at: None }
    }

    /// The time to trust if the system's clock says `now` at `at`. A clock that was set back is trusted, because then fewer entries
    /// are too old.
    pub(crate) fn update(&mut self, now: UnixTime, at: Instant) -> (UnixTime, Option<ClockChange>) {
        let expected = self.trusted.saturating_add(at.saturating_duration_since(self.trusted_at));
        let change = match self.leapt_at {
            None if is_ahead(now, expected) => {
                self.leapt_at = Some(at);
                return (expected, Some(ClockChange::Leapt(now.since(expected))));
            }
            None => None,
            Some(_) if !is_ahead(now, expected) => Some(ClockChange::Returned),
            Some(since) if at.saturating_duration_since(since) >= LASTING => Some(ClockChange::Lasted),
            Some(_) => return (expected, None),
        };
        *self = Self::new(now, at);
        (now, change)
    }
}

/// Whether `time` is too far ahead of `now` to be right.
pub(crate) fn is_ahead(time: UnixTime, now: UnixTime) -> bool {
    time.since(now) > LEAP
}

/// `newest` is trusted if there is an entry shortly before this time.
pub(crate) fn before(newest: UnixTime) -> UnixTime {
    newest.saturating_sub(LASTING)
}

/// The time according to the entries of a store: that of the newest one, unless the clock had just leapt to it. `earlier` is the
/// time of the newest entry up to [`before`] that one.
pub(crate) fn seen(newest: UnixTime, earlier: UnixTime) -> UnixTime {
    if newest.since(earlier) <= LASTING.saturating_add(LEAP) { newest } else { earlier }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    const START: UnixTime = UnixTime::from_secs(1_795_317_315);

    /// The system's clock, and one that cannot be set.
    struct Clocks {
        now: UnixTime,
        at: Instant,
        time: TrustedTime,
    }

    impl Clocks {
        fn new() -> Self {
            let at = Instant::now();
            Self { now: START, at, time: TrustedTime::new(START, at) }
        }

        fn pass(&mut self, time: Duration) -> (UnixTime, Option<ClockChange>) {
            self.now = self.now.saturating_add(time);
            self.at = self.at.checked_add(time).unwrap_or(self.at);
            self.time.update(self.now, self.at)
        }
    }

    #[test]
    fn a_clock_that_goes_right_is_trusted() {
        let mut clocks = Clocks::new();
        for pause in [1, 1, 59, 60 * 24 * 40] {
            let update = clocks.pass(MINUTE * pause);
            assert_eq!(update, (clocks.now, None));
        }
        clocks.now = clocks.now.saturating_add(MINUTE * 60);
        assert_eq!(clocks.pass(Duration::ZERO), (clocks.now, None), "an hour is no leap");
    }

    #[test]
    fn a_leap_counts_once_it_has_lasted() {
        let mut clocks = Clocks::new();
        clocks.now = clocks.now.saturating_add(YEAR);
        assert_eq!(clocks.pass(MINUTE), (START.saturating_add(MINUTE), Some(ClockChange::Leapt(YEAR))));
        assert_eq!(clocks.pass(MINUTE * 59), (START.saturating_add(MINUTE * 60), None));
        let lasted = clocks.pass(MINUTE);
        assert_eq!(lasted, (clocks.now, Some(ClockChange::Lasted)));
        let after = clocks.pass(MINUTE);
        assert_eq!(after, (clocks.now, None));
    }

    #[test]
    fn a_leap_that_is_taken_back_never_counts() {
        let mut clocks = Clocks::new();
        for _ in 0..3 {
            clocks.now = clocks.now.saturating_add(YEAR);
            assert!(matches!(clocks.pass(MINUTE * 30).1, Some(ClockChange::Leapt(_))));
            assert_eq!(clocks.pass(MINUTE * 29).1, None);
            clocks.now = clocks.now.saturating_sub(YEAR);
            let back = clocks.pass(MINUTE * 30);
            assert_eq!(back, (clocks.now, Some(ClockChange::Returned)));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_is_trusted_at_once() {
        let mut clocks = Clocks::new();
        clocks.now = clocks.now.saturating_sub(YEAR);
        let back = clocks.pass(MINUTE);
        assert_eq!(back, (clocks.now, None));
    }

    #[test]
    fn the_newest_date_is_known_where_the_clock_has_not_just_leapt_to_it() {
        let earlier = |minutes| START.saturating_sub(MINUTE * minutes);
        assert_eq!(seen(START, earlier(10)), START, "a new inbox");
        assert_eq!(seen(START, earlier(70)), START, "it was right for an hour");
        assert_eq!(seen(START, earlier(60 * 24 * 365)), earlier(60 * 24 * 365), "it has leapt");
        assert_eq!(seen(START, START.saturating_add(YEAR)), START, "it was set back");
    }
}
