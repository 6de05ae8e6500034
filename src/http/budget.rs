//! Bounds the bytes that one class of requests may hold, so that it cannot use up what another class needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::http::refusal::Refusal;

/// The bytes that all requests of one class may hold.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    held: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicUsize::new(0) })
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }
}

/// A share of a budget, returned when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    pub(crate) bytes: usize,
}

impl Share {
    pub(crate) fn of(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    /// Takes `bytes` more. They count until the share is dropped, even if the budget is exceeded.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(bytes);
        let held = self.budget.held.fetch_add(bytes, Relaxed);
        if held.saturating_add(bytes) > self.budget.limit { Err(Refusal::Overloaded) } else { Ok(()) }
    }

    /// Returns all but `bytes` to the budget.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let given_back = self.bytes.saturating_sub(bytes);
        self.bytes = self.bytes.saturating_sub(given_back);
        self.budget.held.fetch_sub(given_back, Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}
