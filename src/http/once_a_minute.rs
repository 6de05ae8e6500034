//! Remembers what was logged lately, so that a repeated line is logged once a minute. Does not know what is logged.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::worker::lock;

const MINUTE: Duration = Duration::from_secs(60);
/// Stands for everything beyond the capacity.
const THE_OTHERS: u64 = 0;

/// What was logged within the last minute: `CAPACITY` different entries. All others count as the same one.
#[derive(Debug, Default)]
pub(crate) struct OnceAMinute<const CAPACITY: usize> {
    /// By hash, so that long names take no more memory than short ones.
    logged: Mutex<HashMap<u64, Instant>>,
}

impl<const CAPACITY: usize> OnceAMinute<CAPACITY> {
    /// Whether `entry` is the first of its kind within a minute. If so, it is remembered.
    pub(crate) fn is_first(&self, entry: impl Hash, now: Instant) -> bool {
        let mut logged = lock(&self.logged);
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < MINUTE;
        let hash = logged.hasher().hash_one(entry);
        if logged.get(&hash).is_some_and(is_recent) {
            return false;
        }
        logged.retain(|_, at| is_recent(at));
        let hash = if logged.len() < CAPACITY { hash } else { THE_OTHERS };
        let is_first = !logged.contains_key(&hash);
        if is_first {
            logged.insert(hash, now);
        }
        is_first
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_first_once_a_minute() {
        let limit = OnceAMinute::<2>::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(limit.is_first(("a", "x"), at(0)));
        assert!(!limit.is_first(("a", "x"), at(0)));
        assert!(limit.is_first(("a", "y"), at(1)));
        assert!(!limit.is_first(("a", "x"), at(59)));
        assert!(limit.is_first(("a", "x"), at(60)));
        assert!(!limit.is_first(("a", "y"), at(60)));
        assert!(!limit.is_first(("a", "x"), at(119)));
    }

    #[test]
    fn all_entries_beyond_the_capacity_are_one() {
        let limit = OnceAMinute::<3>::default();
        let start = Instant::now();
        let first = (0..1000).filter(|number| limit.is_first(number, start)).count();
        assert_eq!((first, limit.logged.lock().unwrap().len()), (4, 4));
        assert!(limit.is_first(1000, start + MINUTE), "the earlier ones are forgotten");
    }
}
