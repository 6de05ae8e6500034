//! Owns the memory for large bodies that wait for their readers. What readers with one token hold is bounded, what all readers of
//! one room hold, and what all hold. Does not know what the bodies are.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::http::limits::{LARGE_BODY_BYTES, LARGE_BODY_PATIENCE, READ_AHEAD_BYTES};
use crate::inbox::Page;

/// The unit that large bodies are counted in.
const KIB: usize = 1024;

/// What all readers may hold.
#[derive(Clone, Debug)]
pub(crate) struct LargeBodies(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    all: Arc<Semaphore>,
    /// The shares of those that hold large bodies or wait for them, by a hash of what they have in common.
    shares: Mutex<HashMap<u64, Weak<Semaphore>>>,
    hasher: RandomState,
}

/// What one reader may hold.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    bodies: LargeBodies,
    token: u64,
    scope: u64,
}

/// Some of the memory: of the token's share, of the scope's and of all. It lives as long as the bytes of the bodies.
pub(super) type Hold = Arc<[OwnedSemaphorePermit; 3]>;

impl Default for LargeBodies {
    fn default() -> Self {
        Self(Arc::new(Shared { all: of(LARGE_BODY_BYTES.all), shares: Mutex::default(), hasher: RandomState::new() }))
    }
}

fn of(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes / KIB))
}

impl LargeBodies {
    /// Of a reader with `token`, which lets read what `scope` says.
    pub(super) fn allowance(&self, token: &str, scope: impl Hash) -> Allowance {
        let hasher = &self.0.hasher;
        Allowance { bodies: self.clone(), token: hasher.hash_one(("token", token)), scope: hasher.hash_one(("scope", scope)) }
    }

    /// The share of those with the same `hash`.
    fn share(&self, hash: u64, bytes: usize) -> Arc<Semaphore> {
        let mut shares = self.0.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&hash).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = of(bytes);
        shares.insert(hash, Arc::downgrade(&share));
        share
    }
}

impl Allowance {
    /// Holds so many KiB. First those with the same token wait for each other, then those with the same scope, then all.
    async fn hold(&self, kib: u32) -> Option<Hold> {
        let token = self.bodies.share(self.token, LARGE_BODY_BYTES.token).acquire_many_owned(kib).await.ok()?;
        let scope = self.bodies.share(self.scope, LARGE_BODY_BYTES.scope).acquire_many_owned(kib).await.ok()?;
        let all = Arc::clone(&self.bodies.0.all).acquire_many_owned(kib).await.ok()?;
        Some(Arc::new([token, scope, all]))
    }

    /// Holds so many KiB; `None` where they do not become free in time.
    pub(super) async fn wait(&self, kib: u32) -> Option<Hold> {
        timeout(LARGE_BODY_PATIENCE, self.hold(kib)).await.ok().flatten()
    }

    /// Holds so many KiB; `None` where they are not free now.
    pub(super) async fn hold_now(&self, kib: u32) -> Option<Hold> {
        tokio::select! {
            biased;
            hold = self.hold(kib) => hold,
            () = std::future::ready(()) => None,
        }
    }
}

/// What `page` weighs, in KiB, where that is more than anyone may hold. One that is larger than a share takes all of it.
pub(super) fn weight(page: &Page) -> Option<u32> {
    let bytes = page.entries.iter().map(|entry| entry.body.len()).fold(0, usize::saturating_add);
    let is_large = bytes > READ_AHEAD_BYTES.saturating_mul(2);
    is_large.then(|| bytes.min(LARGE_BODY_BYTES.token).div_ceil(KIB).try_into().unwrap_or(u32::MAX))
}

/// A body, and the memory that it takes.
pub(super) struct Held {
    pub(super) bytes: Bytes,
    pub(super) _hold: Hold,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
