//! Counts the tokens that each rule gave to each caller, and refuses more than the rule's rate. Bounded: it forgets first whoever may
//! have the most. Does not know what a token is, nor the time.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::UnixTime;
use crate::policy::rate::Rate;

/// The most callers that are counted at one time: about 4 MiB.
const MAX_SUBJECTS: usize = 100_000;
const NANOS: u64 = 1_000_000_000;

/// The generic cell rate algorithm (ITU-T I.371): for each caller only the time when all of its tokens will be used up again.
#[derive(Debug)]
pub(crate) struct Limits {
    /// The rule and the caller are hashed with keys that nobody knows, so that their names take no memory.
    hasher: RandomState,
    /// In nanoseconds since 1970.
    times: Mutex<HashMap<u64, u64>>,
    most: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(MAX_SUBJECTS)
    }
}

impl Limits {
    fn of(most: usize) -> Self {
        Self { hasher: RandomState::new(), times: Mutex::default(), most }
    }

    /// Counts one token for `subject` under the rule `rule`.
    ///
    /// # Errors
    /// If that exceeds `rate`. The error is the time to wait.
    pub(crate) fn take(&self, rule: &str, subject: &str, rate: Rate, now: UnixTime) -> Result<(), Duration> {
        let now = now.as_secs().saturating_mul(NANOS).saturating_add(now.subsec_nanos().into());
        let key = self.hasher.hash_one((rule, subject));
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        // A time that is later than the rate allows was written before the clock was set back.
        let latest = now.saturating_add(rate.period());
        let used_until = times.get(&key).copied().filter(|until| *until <= latest).unwrap_or(0).max(now);
        let next = used_until.saturating_add(rate.interval());
        if next > latest {
            return Err(Duration::from_nanos(next.saturating_sub(latest)));
        }
        if times.len() >= self.most && !times.contains_key(&key) {
            forget(&mut times, now, self.most);
        }
        times.insert(key, next);
        Ok(())
    }
}

/// Makes room for a quarter of the `most` callers, so that it is seldom needed.
fn forget(times: &mut HashMap<u64, u64>, now: u64, most: usize) {
    times.retain(|_, until| *until > now);
    let kept = most.saturating_sub(most.div_ceil(4));
    let Some(surplus) = times.len().checked_sub(kept).filter(|surplus| *surplus > 0) else { return };
    let mut sorted: Vec<u64> = times.values().copied().collect();
    let (_, earliest_kept, _) = sorted.select_nth_unstable(surplus.saturating_sub(1));
    let earliest_kept = *earliest_kept;
    times.retain(|_, until| *until > earliest_kept);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    const START: UnixTime = UnixTime::from_secs(1_795_317_315);

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap()
    }

    fn later(millis: u64) -> UnixTime {
        START.saturating_add(Duration::from_millis(millis))
    }

    #[test]
    fn a_burst_and_then_one_at_a_time() {
        let limits = Limits::default();
        for _ in 0..30 {
            limits.take("viewer", "a", rate("30/min"), START).unwrap();
        }
        assert_eq!(limits.take("viewer", "a", rate("30/min"), START), Err(Duration::from_secs(2)));
        assert_eq!(limits.take("viewer", "a", rate("30/min"), later(1500)), Err(Duration::from_millis(500)));
        assert_eq!(limits.take("viewer", "a", rate("30/min"), later(2000)), Ok(()));
        assert!(limits.take("viewer", "a", rate("30/min"), later(2000)).is_err());
        // Another caller, and another rule.
        assert_eq!(limits.take("viewer", "b", rate("30/min"), START), Ok(()));
        assert_eq!(limits.take("speaker", "a", rate("30/min"), START), Ok(()));
        // All of them again, once none was taken for a period.
        let rested = later(62_000);
        let taken = (0..100).take_while(|_| limits.take("viewer", "a", rate("30/min"), rested).is_ok()).count();
        assert_eq!(taken, 30);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let limits = Limits::default();
        limits.take("r", "a", rate("1/h"), later(10_000_000)).unwrap();
        assert_eq!(limits.take("r", "a", rate("1/h"), START), Ok(()));
        assert!(limits.take("r", "a", rate("1/h"), START).is_err());
    }

    #[test]
    fn when_it_is_full_it_forgets_who_may_have_the_most() {
        let limits = Limits::of(100);
        for subject in 0..100 {
            for _ in 0..=subject {
                limits.take("r", &subject.to_string(), rate("100/h"), START).unwrap();
            }
        }
        for subject in 100..10_000 {
            limits.take("r", &subject.to_string(), rate("100/h"), START).unwrap();
            assert!(limits.times.lock().unwrap().len() <= 100);
        }
        assert!(limits.take("r", "99", rate("100/h"), START).is_err(), "who has none left is not forgotten");
        assert_eq!(limits.take("r", "0", rate("100/h"), START), Ok(()));
    }
}
