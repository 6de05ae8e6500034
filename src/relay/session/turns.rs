//! Bounds how many requests to a target are in flight, because each takes memory. A request counts only for a moment: then it waits for
//! the target, and the target needs the others. One that answers at once needs few. Does not know what is sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

/// How long a request counts.
pub(super) const MOMENT: Duration = Duration::from_millis(50);

/// Each request that counts holds a clone.
#[derive(Debug)]
pub(super) struct Turns {
    taken: Arc<()>,
    most: usize,
}

impl Turns {
    /// Up to `most` requests count at a time.
    pub(super) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most }
    }

    /// Whether another request may begin.
    pub(super) fn is_free(&self) -> bool {
        Arc::strong_count(&self.taken) <= self.most
    }

    /// The output of `request`, which counts from now on, for a moment.
    pub(super) fn during<F: Future + Unpin>(&self, mut request: F) -> impl Future<Output = F::Output> + use<F> {
        let turn = Arc::clone(&self.taken);
        async move {
            if let Ok(output) = timeout(MOMENT, &mut request).await {
                return output;
            }
            drop(turn);
            request.await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_request_counts_until_it_ends_or_takes_longer_than_a_moment() {
        let turns = Turns::new(2);
        assert!(turns.is_free());
        let quick = turns.during(ready(7));
        assert!(turns.is_free());
        let slow = tokio::spawn(turns.during(pending::<()>()));
        assert!(!turns.is_free(), "two of two");
        assert_eq!(quick.await, 7);
        assert!(turns.is_free());
        let quick = turns.during(ready(8));
        assert!(!turns.is_free());
        tokio::time::sleep(MOMENT.saturating_mul(2)).await;
        assert!(turns.is_free() && !slow.is_finished(), "the slow one goes on");
        assert_eq!(quick.await, 8);
    }
}
