//! Owns the time by which entries are too old to keep. The system's clock alone would not do: if it leaps ahead by a year, all of the
//! inbox is too old at once, and deleted by mistake. A leap ahead of what the inbox has seen counts only once it has lasted. Does not
//! delete anything.

use std::time::{Duration, Instant};

use crate::clock::UnixTime;

/// A clock further ahead of what was seen than this has leapt. Time servers correct less without being told to.
const LEAP: Duration = Duration::from_secs(60 * 60);
/// For so long a leap deletes nothing. In an hour time synchronisation corrects a clock that was set wrong, or somebody sees the
/// warning. Where the clock is right, such as after a long stop, an hour is little beside the days for which events are kept.
const LASTING: Duration = Duration::from_secs(60 * 60);

/// The time, as far as it can be trusted for deleting.
#[derive(Debug)]
pub(crate) struct TrustedTime {
    seen: UnixTime,
    /// When that was, by a clock that cannot be set.
    seen_at: Instant,
    leapt_at: Option<Instant>,
}

/// What is new about the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// It is ahead by so much.
    Leapt(Duration),
    /// It was ahead, and is no more.
    Returned,
    /// It was ahead for long enough to be right.
    Lasted,
}

impl TrustedTime {
    /// It was `seen` when the other clock said `at`.
    pub(crate) fn new(seen: UnixTime, at: Instant) -> Self {
        Self { seen, seen_at: at, leapt_at: None }
    }

    /// The time to trust when the system's clock says `now` and the other one `at`. A clock that is set back is trusted: then less
    /// is too old.
    pub(crate) fn tell(&mut self, now: UnixTime, at: Instant) -> (UnixTime, Option<Notice>) {
        let expected = self.seen.saturating_add(at.saturating_duration_since(self.seen_at));
        let notice = match self.leapt_at {
            None if is_ahead(now, expected) => {
                self.leapt_at = Some(at);
                return (expected, Some(Notice::Leapt(now.since(expected))));
            }
            None => None,
            Some(_) if !is_ahead(now, expected) => Some(Notice::Returned),
            Some(since) if at.saturating_duration_since(since) >= LASTING => Some(Notice::Lasted),
            Some(_) => return (expected, None),
        };
        *self = Self::new(now, at);
        (now, notice)
    }
}

/// Whether `time` is too far ahead of `now` to be right.
pub(crate) fn is_ahead(time: UnixTime, now: UnixTime) -> bool {
    time.since(now) > LEAP
}

/// Before this, something else must have been seen for `newest` to have lasted.
pub(crate) fn before(newest: UnixTime) -> UnixTime {
    newest.saturating_sub(LASTING)
}

/// The time that the dates in a store tell: that of its newest entry, unless the clock had just leapt to it. `earlier` is the newest
/// date that the store has from before [`before`] that entry.
pub(crate) fn seen(newest: UnixTime, earlier: UnixTime) -> UnixTime {
    if newest.since(earlier) <= LASTING.saturating_add(LEAP) { newest } else { earlier }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    const START: UnixTime = UnixTime::from_secs(1_795_317_315);

    /// A system's clock and one that cannot be set.
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

        fn pass(&mut self, time: Duration) -> (UnixTime, Option<Notice>) {
            self.now = self.now.saturating_add(time);
            self.at = self.at.checked_add(time).unwrap_or(self.at);
            self.time.tell(self.now, self.at)
        }
    }

    #[test]
    fn a_clock_that_goes_right_is_trusted() {
        let mut clocks = Clocks::new();
        for pause in [1, 1, 59, 60 * 24 * 40] {
            let told = clocks.pass(MINUTE * pause);
            assert_eq!(told, (clocks.now, None));
        }
        clocks.now = clocks.now.saturating_add(MINUTE * 60);
        assert_eq!(clocks.pass(Duration::ZERO), (clocks.now, None), "an hour is no leap");
    }

    #[test]
    fn a_leap_counts_once_it_has_lasted() {
        let mut clocks = Clocks::new();
        clocks.now = clocks.now.saturating_add(YEAR);
        assert_eq!(clocks.pass(MINUTE), (START.saturating_add(MINUTE), Some(Notice::Leapt(YEAR))));
        assert_eq!(clocks.pass(MINUTE * 59), (START.saturating_add(MINUTE * 60), None));
        let lasted = clocks.pass(MINUTE);
        assert_eq!(lasted, (clocks.now, Some(Notice::Lasted)));
        let after = clocks.pass(MINUTE);
        assert_eq!(after, (clocks.now, None));
    }

    #[test]
    fn a_leap_that_is_taken_back_never_counts() {
        let mut clocks = Clocks::new();
        for _ in 0..3 {
            clocks.now = clocks.now.saturating_add(YEAR);
            assert!(matches!(clocks.pass(MINUTE * 30).1, Some(Notice::Leapt(_))));
            assert_eq!(clocks.pass(MINUTE * 29).1, None);
            clocks.now = clocks.now.saturating_sub(YEAR);
            let back = clocks.pass(MINUTE * 30);
            assert_eq!(back, (clocks.now, Some(Notice::Returned)));
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
