//! Bounds the memory for large bodies that wait to be sent: for readers with one token, for readers of one room, and in total.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::http::limits::{
    LARGE_BODY_BYTES, LARGE_BODY_BYTES_OF_SCOPE, LARGE_BODY_BYTES_OF_TOKEN, LARGE_BODY_PATIENCE, READ_AHEAD_BYTES,
};
use crate::inbox::Page;
use crate::worker::lock;

const KIB: usize = 1024;

/// The memory for large bodies, in KiB.
#[derive(Clone, Debug)]
pub(crate) struct LargeBodies {
    total: Arc<Semaphore>,
    /// The budgets of tokens and of scopes, by the hash of the token or scope, while they are in use.
    shared: Arc<Mutex<HashMap<u64, Weak<Semaphore>>>>,
    hasher: RandomState,
}

/// What one reader may hold.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    bodies: LargeBodies,
    token: u64,
    scope: u64,
}

/// A part of the token's budget, of the scope's and of the total. It is released when nothing keeps it any more.
pub(super) type Hold = Arc<[OwnedSemaphorePermit; 3]>;

impl Default for LargeBodies {
    fn default() -> Self {
        Self { total: budget(LARGE_BODY_BYTES), shared: Arc::default(), hasher: RandomState::new() }
    }
}

fn budget(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes / KIB))
}

impl LargeBodies {
    /// For a reader with `token`, which lets it read `scope`.
    pub(super) fn allowance(&self, token: impl Hash, scope: impl Hash) -> Allowance {
        let hasher = &self.hasher;
        Allowance { bodies: self.clone(), token: hasher.hash_one(("token", token)), scope: hasher.hash_one(("scope", scope)) }
    }

    fn shared_budget(&self, hash: u64, bytes: usize) -> Arc<Semaphore> {
        let mut shared = lock(&self.shared);
        if let Some(budget) = shared.get(&hash).and_then(Weak::upgrade) {
            return budget;
        }
        shared.retain(|_, budget| budget.strong_count() > 0);
        let budget = budget(bytes);
        shared.insert(hash, Arc::downgrade(&budget));
        budget
    }
}

impl Allowance {
    /// Readers wait for others with the same token first, then for the same scope, then for all.
    async fn hold(&self, kib: u32) -> Option<Hold> {
        let token = self.bodies.shared_budget(self.token, LARGE_BODY_BYTES_OF_TOKEN).acquire_many_owned(kib).await.ok()?;
        let scope = self.bodies.shared_budget(self.scope, LARGE_BODY_BYTES_OF_SCOPE).acquire_many_owned(kib).await.ok()?;
        let total = Arc::clone(&self.bodies.total).acquire_many_owned(kib).await.ok()?;
        Some(Arc::new([token, scope, total]))
    }

    /// Waits for memory; `None` after [`LARGE_BODY_PATIENCE`].
    pub(super) async fn wait(&self, kib: u32) -> Option<Hold> {
        timeout(LARGE_BODY_PATIENCE, self.hold(kib)).await.ok().flatten()
    }

    /// `None` if there is not enough memory now.
    pub(super) async fn hold_now(&self, kib: u32) -> Option<Hold> {
        tokio::select! {
            biased;
            hold = self.hold(kib) => hold,
            () = std::future::ready(()) => None,
        }
    }
}

/// The KiB to hold for `page`; `None` if it is small. A page that is larger than a token's budget takes all of it.
pub(super) fn weight(page: &Page) -> Option<u32> {
    let bytes = page.entries.iter().map(|entry| entry.body.len()).fold(0, usize::saturating_add);
    let is_large = bytes > READ_AHEAD_BYTES.saturating_mul(2);
    is_large.then(|| bytes.min(LARGE_BODY_BYTES_OF_TOKEN).div_ceil(KIB).try_into().unwrap_or(u32::MAX))
}
