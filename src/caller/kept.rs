//! What was found out about credentials, kept under hashes, so that no credential stays in memory. Bounded: the oldest entry gives way.
//! Does not know what an entry means, nor how long it counts.

use std::hash::Hash;

use hashlink::LinkedHashMap;

/// The most entries, and the most bytes of them.
pub(crate) const MOST: usize = 10_000;
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Each entry, with its bytes.
#[derive(Debug)]
pub(crate) struct Kept<K, V> {
    entries: LinkedHashMap<K, (V, usize)>,
    bytes: usize,
}

impl<K: Eq + Hash, V> Kept<K, V> {
    pub(crate) fn find(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(entry, _)| entry)
    }

    /// Keeps `entry`, which takes `bytes`, in place of the one with its key.
    pub(crate) fn keep(&mut self, key: K, entry: V, bytes: usize) {
        self.forget(&key);
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.insert(key, (entry, bytes));
        while self.entries.len() > MOST || self.bytes > MAX_BYTES {
            let oldest = self.entries.pop_front();
            self.bytes = self.bytes.saturating_sub(oldest.map_or(0, |(_, (_, bytes))| bytes));
        }
    }

    pub(crate) fn forget(&mut self, key: &K) {
        self.bytes = self.bytes.saturating_sub(self.entries.remove(key).map_or(0, |(_, bytes)| bytes));
    }
}

impl<K: Eq + Hash, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self { entries: LinkedHashMap::new(), bytes: 0 }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entries_give_way() {
        for (bytes, most) in [(10, MOST), (64 * 1024, MAX_BYTES / (64 * 1024))] {
            let mut kept = Kept::default();
            for number in 0..most + 5 {
                kept.keep(number, 'a', bytes);
                kept.keep(number, 'b', bytes); // in place of the first
            }
            let found = |number| kept.find(&number).copied();
            assert_eq!([0, 4, 5, most + 4].map(found), [None, None, Some('b'), Some('b')]);
            assert_eq!((kept.entries.len(), kept.bytes), (most, most * bytes));
            kept.forget(&5);
            kept.forget(&5);
            assert_eq!((kept.entries.len(), kept.bytes), (most - 1, (most - 1) * bytes));
        }
    }
}
