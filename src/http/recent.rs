//! Owns the memory of what the log was told within the last minute, so that what repeats is told once. It is bounded. Does not know
//! what is told.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For which something that was told is not told again.
const MINUTE: Duration = Duration::from_secs(60);
/// Stands for everything that finds no place.
const THE_OTHERS: u64 = 0;

/// What was told within the last minute.
#[derive(Debug)]
pub(crate) struct Recent {
    /// By hash, so that long names take no more memory than short ones.
    told: Mutex<HashMap<u64, Instant>>,
    most: usize,
}

impl Recent {
    /// Remembers `most` different things. All others count as the same one.
    pub(crate) fn new(most: usize) -> Self {
        Self { told: Mutex::default(), most }
    }

    /// Whether `what` was not told within the last minute. It counts as told then.
    pub(crate) fn is_news(&self, what: impl Hash, now: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < MINUTE;
        let what = told.hasher().hash_one(what);
        if told.get(&what).is_some_and(is_recent) {
            return false;
        }
        told.retain(|_, at| is_recent(at));
        let what = if told.len() < self.most { what } else { THE_OTHERS };
        let is_news = !told.contains_key(&what);
        if is_news {
            told.insert(what, now);
        }
        is_news
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_news_once_a_minute() {
        let recent = Recent::new(2);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(recent.is_news(("a", "x"), at(0)));
        assert!(!recent.is_news(("a", "x"), at(0)));
        assert!(recent.is_news(("a", "y"), at(1)));
        assert!(!recent.is_news(("a", "x"), at(59)));
        assert!(recent.is_news(("a", "x"), at(60)));
        assert!(!recent.is_news(("a", "y"), at(60)));
        assert!(!recent.is_news(("a", "x"), at(119)));
    }

    #[test]
    fn what_finds_no_place_is_told_once_for_all() {
        let recent = Recent::new(3);
        let start = Instant::now();
        let news = (0..1000).filter(|number| recent.is_news(number, start)).count();
        assert_eq!((news, recent.told.lock().unwrap().len()), (4, 4));
        assert!(recent.is_news(1000, start + MINUTE), "those before are forgotten");
    }
}
