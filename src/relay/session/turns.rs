//! Limits how many young requests to a target are in flight, because each takes memory, and a target that answers at once needs few. A
//! request that takes longer does not count any more, and lets one more be young, because the target needs more of them side by side.
//! Does not know what is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::timeout;

/// How long a request is young.
pub(super) const YOUNG_FOR: Duration = Duration::from_millis(50);
/// How many young requests to all targets may be in flight while they answer at once, and at least to each. A single target may have as
/// many as its `concurrency` can be.
const ALL: usize = 256;
const LEAST: usize = 2;

/// How many young requests to one of `targets` may be in flight while it answers at once.
pub(in crate::relay) fn young_requests(targets: usize) -> usize {
    ALL.checked_div(targets).unwrap_or(ALL).max(LEAST)
}

#[derive(Debug)]
pub(super) struct Turns {
    /// Each young request holds a clone.
    young: Arc<()>,
    /// How many may be young while the target answers at once.
    most: Arc<AtomicUsize>,
    /// How many requests took longer than [`YOUNG_FOR`], ever.
    slow: Arc<AtomicUsize>,
    /// How many of them are forgotten. Each of the others lets one more request be young.
    forgotten: usize,
    /// `slow` at the last [`rest`](Self::rest).
    before: usize,
}

impl Turns {
    /// Up to `most` requests are young while the target answers at once.
    pub(super) fn new(most: Arc<AtomicUsize>) -> Self {
        Self { young: Arc::default(), most, slow: Arc::default(), forgotten: 0, before: 0 }
    }

    /// Whether another request may begin.
    pub(super) fn is_free(&self) -> bool {
        let more = self.slow.load(Relaxed).saturating_sub(self.forgotten);
        Arc::strong_count(&self.young) <= self.most.load(Relaxed).saturating_add(more)
    }

    /// The output of `request`, which is young from now on.
    pub(super) fn during<F: Future + Unpin>(&self, mut request: F) -> impl Future<Output = F::Output> + use<F> {
        let (turn, slow) = (Arc::clone(&self.young), Arc::clone(&self.slow));
        async move {
            if let Ok(output) = timeout(YOUNG_FOR, &mut request).await {
                return output;
            }
            slow.fetch_add(1, Relaxed);
            drop(turn);
            request.await
        }
    }

    /// Called now and then: forgets that requests were slow if none was since the last time.
    pub(super) fn rest(&mut self) {
        let slow = self.slow.load(Relaxed);
        if slow == self.before {
            self.forgotten = slow;
        }
        self.before = slow;
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[test]
    fn the_more_targets_there_are_the_fewer_young_requests_each_may_have() {
        assert_eq!([0, 1, 2, 16, 17, 100, 1000].map(young_requests), [256, 256, 128, 16, 15, 2, 2]);
    }

    #[tokio::test]
    async fn a_slow_request_does_not_count_and_lets_one_more_begin_for_a_while() {
        let most = Arc::new(AtomicUsize::new(2));
        let mut turns = Turns::new(Arc::clone(&most));
        let begin = |turns: &Turns| {
            assert!(turns.is_free());
            tokio::spawn(turns.during(pending::<()>()))
        };
        let slow = [begin(&turns), begin(&turns)];
        assert!(!turns.is_free(), "two of two");
        let quick = turns.during(ready(7));
        assert_eq!(quick.await, 7);
        tokio::time::sleep(YOUNG_FOR.saturating_mul(2)).await;

        let young: Vec<_> = (0..4).map(|_| turns.during(ready(8))).collect();
        assert!(!turns.is_free() && !slow.iter().any(|request| request.is_finished()), "two, and one for each slow one");
        turns.rest();
        drop(young);
        let young: Vec<_> = (0..3).map(|_| turns.during(ready(8))).collect();
        assert!(turns.is_free(), "they were slow a moment ago");
        turns.rest();
        assert!(!turns.is_free(), "none was slow since");
        most.store(4, Relaxed);
        assert!(turns.is_free(), "there are fewer targets now");
        drop(young);
    }
}
