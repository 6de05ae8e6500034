//! Keeps the newest entries in memory, so that live followers share one read of each entry from the store. Its pages are the same as
//! the store's. Does not know the store.

use std::collections::VecDeque;

use tokio::sync::{Mutex, watch};

use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Entry, Filter, Page, PageLimit};
use crate::inbox::store::ReadError;

/// What is kept at most. Beyond it the oldest entries are dropped, and readers of those use the store.
const KEPT: PageLimit = PageLimit { entries: 1024, bytes: 1 << 20 };
/// What one read from the store returns at most.
pub(crate) const TAIL_READ: PageLimit = PageLimit { entries: 512, bytes: 256 << 10 };

/// The newest entries; `None` before the first read.
#[derive(Default)]
pub(crate) struct Tail(Mutex<Option<NewestEntries>>);

struct NewestEntries {
    /// All entries after this cursor, up to `through`, are here.
    after: Cursor,
    through: Cursor,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Whether the last read came to the end of the inbox.
    is_last: bool,
    changed: watch::Receiver<()>,
}

impl Tail {
    /// The entries after `after` that `filter` wants; `None` if they are not here. `read` reads [`TAIL_READ`] from the store after a
    /// cursor; `changed` is notified of each commit. It begins at `mark` or before, so that readers whose cursors are after all
    /// entries share it too.
    pub(crate) async fn read<F: Future<Output = Result<Page, ReadError>>>(
        &self,
        after: Cursor,
        mark: Cursor,
        filter: &Filter,
        limit: PageLimit,
        changed: &watch::Sender<()>,
        read: impl Fn(Cursor) -> F,
    ) -> Result<Option<Page>, ReadError> {
        let mut kept = self.0.lock().await;
        let newest = kept.get_or_insert_with(|| NewestEntries::begin(after.min(mark), changed.subscribe()));
        if newest.is_stale() {
            match read(newest.through).await {
                Ok(page) if page.is_last || page.next >= after => newest.take(page),
                // There were no live readers for a while. It restarts at this one, because entries before it are not needed.
                Ok(_) | Err(ReadError::Gone { .. }) => {
                    *kept = None;
                    let changed = changed.subscribe();
                    let page = read(after).await?;
                    if page.entries.is_empty() {
                        return Ok(Some(page));
                    }
                    kept.insert(NewestEntries::begin(after, changed)).take(page);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(kept.as_ref().and_then(|newest| newest.page(after, filter, limit)))
    }
}

impl NewestEntries {
    fn begin(after: Cursor, changed: watch::Receiver<()>) -> Self {
        Self { after, through: after, entries: VecDeque::new(), bytes: 0, is_last: false, changed }
    }

    /// Whether there may be more in the store. It stays so until the next read succeeds.
    fn is_stale(&mut self) -> bool {
        let is_stale = !self.is_last || self.changed.has_changed().unwrap_or(true);
        self.changed.mark_unchanged();
        self.is_last = !is_stale;
        is_stale
    }

    fn take(&mut self, page: Page) {
        self.through = page.next;
        self.is_last = page.is_last;
        for entry in page.entries {
            self.bytes = self.bytes.saturating_add(entry.body.len());
            self.entries.push_back(entry);
        }
        while self.entries.len() > KEPT.entries || self.bytes > KEPT.bytes {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.body.len());
            self.after = oldest.cursor;
        }
    }

    /// Reads a page as a store would. `None` if entries after `after` are no longer here.
    fn page(&self, after: Cursor, filter: &Filter, mut limit: PageLimit) -> Option<Page> {
        if after < self.after {
            return None;
        }
        let mut page = Page::empty(after);
        let begin = self.entries.partition_point(|entry| entry.cursor <= after);
        for entry in self.entries.range(begin..).filter(|entry| filter.wants(&entry.room, &entry.event)) {
            if !limit.take(entry.body.len()) {
                return Some(page);
            }
            page.next = entry.cursor;
            page.entries.push(entry.clone());
        }
        Some(Page { next: self.through.max(after), is_last: self.is_last, ..page })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::UnixTime;
    use crate::inbox::store::StoreError;

    fn cursor(number: i64) -> Cursor {
        Cursor::from_number(number)
    }

    fn entry(number: i64, room: &str, bytes: usize) -> Entry {
        Entry {
            cursor: cursor(number),
            id: number.to_string(),
            event: "x".to_owned(),
            room: room.to_owned(),
            received: UnixTime::from_millis(0),
            key: String::new(),
            body: Bytes::from(vec![b'x'; bytes]),
        }
    }

    /// A store of `entries`, and how often it is read.
    async fn read(
        tail: &Tail,
        sender: &watch::Sender<()>,
        entries: &[Entry],
        after: i64,
        filter: &Filter,
    ) -> (Option<Page>, usize) {
        let reads = std::cell::Cell::new(0);
        let all = PageLimit { entries: 100, bytes: 10 << 20 };
        let store = async |after: Cursor| {
            reads.set(1);
            let rest: Vec<Entry> = entries.iter().filter(|entry| entry.cursor > after).cloned().collect();
            let mut left = TAIL_READ;
            let given: Vec<Entry> = rest.iter().take_while(|entry| left.take(entry.body.len())).cloned().collect();
            let next = given.last().map_or(after, |entry| entry.cursor);
            Ok(Page { after, is_last: given.len() == rest.len(), entries: given, next })
        };
        let page = tail.read(cursor(after), cursor(9), filter, all, sender, store).await;
        (page.unwrap_or_default(), reads.get())
    }

    fn numbers(page: Option<Page>) -> Option<(Vec<i64>, i64, bool)> {
        page.map(|page| (page.entries.iter().map(|entry| entry.cursor.number()).collect(), page.next.number(), page.is_last))
    }

    #[tokio::test]
    async fn each_commit_is_read_once_for_all() {
        let (tail, sender) = (Tail::default(), watch::Sender::new(()));
        let mut entries = vec![entry(1, "a", 10), entry(2, "b", 10)];
        let (all, of_b) = (Filter::default(), Filter { room: Some("b".to_owned()), events: Vec::new() });
        let (page, reads) = read(&tail, &sender, &entries, 1, &all).await;
        assert_eq!((numbers(page), reads), (Some((vec![2], 2, true)), 1));
        let (page, reads) = read(&tail, &sender, &entries, 1, &of_b).await;
        assert_eq!((numbers(page), reads), (Some((vec![2], 2, true)), 0));
        assert_eq!(read(&tail, &sender, &entries, 0, &all).await, (None, 0), "earlier entries are not here");
        entries.extend([entry(3, "a", 10), entry(4, "b", 10)]);
        assert_eq!(numbers(read(&tail, &sender, &entries, 2, &all).await.0), Some((vec![], 2, true)), "not notified yet");
        sender.send_replace(());
        let (page, reads) = read(&tail, &sender, &entries, 2, &of_b).await;
        assert_eq!((numbers(page), reads), (Some((vec![4], 4, true)), 1));
        let (page, reads) = read(&tail, &sender, &entries, 1, &all).await;
        assert_eq!((numbers(page), reads), (Some((vec![2, 3, 4], 4, true)), 0));
        // A cursor beyond all entries changes nothing for the others, and reads nothing.
        let (page, reads) = read(&tail, &sender, &entries, 9, &all).await;
        assert_eq!((numbers(page), reads), (Some((vec![], 9, true)), 0));
        assert_eq!(numbers(read(&tail, &sender, &entries, 4, &all).await.0), Some((vec![], 4, true)));
        entries.extend([entry(20, "a", 10), entry(21, "a", 10)]);
        sender.send_replace(());
        assert_eq!(numbers(read(&tail, &sender, &entries, 20, &all).await.0), Some((vec![21], 21, true)));
        assert_eq!(numbers(read(&tail, &sender, &entries, 4, &all).await.0), Some((vec![20, 21], 21, true)));
        // A reader that is far ahead of the others restarts it.
        entries.extend((30..40).map(|number| entry(number, "a", 100 << 10)));
        sender.send_replace(());
        assert_eq!(numbers(read(&tail, &sender, &entries, 38, &all).await.0), Some((vec![39], 39, true)));
        assert_eq!(read(&tail, &sender, &entries, 21, &all).await, (None, 0));
    }

    #[tokio::test]
    async fn readers_beyond_all_entries_share_the_reads_of_the_others() {
        let (tail, sender, all) = (Tail::default(), watch::Sender::new(()), Filter::default());
        let mut entries = vec![entry(9, "a", 10)];
        assert_eq!(read(&tail, &sender, &entries, 1000, &all).await.1, 1, "the first one");
        for number in 10..20 {
            entries.push(entry(number, "a", 10));
            sender.send_replace(());
            let (page, reads) = read(&tail, &sender, &entries, 1000, &all).await;
            assert_eq!((numbers(page), reads), (Some((vec![], 1000, true)), 1));
            assert_eq!(read(&tail, &sender, &entries, 1001, &all).await.1, 0);
            let (page, reads) = read(&tail, &sender, &entries, number - 1, &all).await;
            assert_eq!((numbers(page), reads), (Some((vec![number], number, true)), 0));
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let (tail, sender) = (Tail::default(), watch::Sender::new(()));
        let all = Filter::default();
        let entries: Vec<Entry> = (1..=100).map(|number| entry(number, "a", 100 << 10)).collect();
        let mut after = 0;
        while after < 100 {
            let page = read(&tail, &sender, &entries, after, &all).await.0;
            let (given, next, is_last) = numbers(page).unwrap_or_default();
            assert_eq!(given, (after + 1..=next).collect::<Vec<_>>());
            assert_eq!(is_last, next == 100);
            after = next;
        }
        assert_eq!(read(&tail, &sender, &entries, 80, &all).await, (None, 0));
        assert_eq!(numbers(read(&tail, &sender, &entries, 97, &all).await.0), Some((vec![98, 99, 100], 100, true)));
        // One that is larger than all that is kept is read from the store by each.
        let large = [entry(101, "a", 5 << 20)];
        sender.send_replace(());
        assert_eq!(read(&tail, &sender, &large, 100, &all).await, (None, 1));
        assert_eq!(numbers(read(&tail, &sender, &large, 101, &all).await.0), Some((vec![], 101, true)));
    }

    #[tokio::test]
    async fn a_read_that_fails_is_made_again() {
        let (tail, sender) = (Tail::default(), watch::Sender::new(()));
        let (all, limit) = (Filter::default(), TAIL_READ);
        let fail = async |_| Err(ReadError::Store(StoreError::Stalled));
        assert!(tail.read(cursor(1), cursor(1), &all, limit, &sender, fail).await.is_err());
        let entries = [entry(2, "a", 1)];
        assert_eq!(numbers(read(&tail, &sender, &entries, 1, &all).await.0), Some((vec![2], 2, true)));
        sender.send_replace(());
        assert!(tail.read(cursor(2), cursor(2), &all, limit, &sender, fail).await.is_err());
        assert_eq!(read(&tail, &sender, &entries, 2, &all).await.1, 1);
    }
}
