//! Knows which events are stored, by their fingerprints. Fingerprints are random, so adding each to the index at once would write one
//! page per event. Instead they are held in memory first and settle in the index in its order, many on a page. At the start, those
//! that have not settled are read from the newest entries. Does not know the events.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use rusqlite::{Connection, OptionalExtension, Statement, Transaction, params};

use crate::inbox::cursor::Cursor;
use crate::inbox::entry::Fingerprint;

/// If more fingerprints than this are held, some settle. About 1 MiB.
const HELD: usize = 16 * 1024;
/// Fingerprints that one step of a purge looks at: at least this many, and this many for each deleted entry.
const PURGE_STEP: usize = 1024;
const PURGE_STEP_EACH: usize = 4;

/// Finds an entry in the index by its fingerprint.
pub(super) const FIND: &str = "SELECT cursor FROM fingerprint WHERE fingerprint = ?";

/// The fingerprints of the entries. After a transaction that was not committed, they have to be loaded again.
pub(super) struct Fingerprints {
    /// Fingerprints that may not be in the index. They settle in rounds, each in the order of the index.
    pub(super) held: BTreeMap<Fingerprint, Cursor>,
    /// The newest entry when the current round began.
    round_began_at: Cursor,
    /// The last fingerprint that has settled in the current round.
    settled: Option<Fingerprint>,
    /// Entries up to this one are deleted, and their fingerprints are ignored.
    pub(super) deleted: Cursor,
    /// No entries up to this one are in the index.
    purged: Cursor,
    /// The current search for deleted entries in the index looks for entries up to this one.
    purging: Cursor,
    /// The last fingerprint that it has looked at.
    searched: Option<Fingerprint>,
}

impl Fingerprints {
    /// Those in the index.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let (deleted, settled, purged) = connection.query_row("SELECT deleted, settled, purged FROM inbox", [], |row| {
            Ok((Cursor::from_number(row.get(0)?), Cursor::from_number(row.get(1)?), Cursor::from_number(row.get(2)?)))
        })?;
        Ok(Self {
            held: BTreeMap::new(),
            round_began_at: settled,
            settled: None,
            deleted,
            purged,
            purging: deleted,
            searched: None,
        })
    }

    /// Adds those that may not be in the index. They are read from up to some 10,000 entries, so the start does not wait for this.
    pub(super) fn hold(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare("SELECT fingerprint, cursor FROM entry WHERE cursor > ? ORDER BY cursor")?;
        let mut rows = statement.query([self.round_began_at.number()])?;
        while let Some(row) = rows.next()? {
            self.round_began_at = Cursor::from_number(row.get(1)?);
            self.held.insert(Fingerprint(row.get(0)?), self.round_began_at);
        }
        Ok(())
    }

    /// The cursor of the entry with `fingerprint`. `find` is the statement [`FIND`].
    pub(super) fn find(&self, find: &mut Statement<'_>, fingerprint: &Fingerprint) -> rusqlite::Result<Option<Cursor>> {
        let found = match self.held.get(fingerprint) {
            Some(cursor) => Some(*cursor),
            None => find.query_row([fingerprint.0], |row| row.get(0)).optional()?.map(Cursor::from_number),
        };
        Ok(found.filter(|cursor| *cursor > self.deleted))
    }

    /// If enough are held, settles the next `amount` in the index. `newest` is the newest entry's cursor.
    pub(super) fn settle(&mut self, transaction: &Transaction<'_>, amount: usize, newest: Cursor) -> rusqlite::Result<()> {
        if self.held.len() <= HELD {
            return Ok(());
        }
        let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO fingerprint (fingerprint, cursor) VALUES (?, ?)")?;
        let after = self.settled.map_or(Unbounded, Excluded);
        let next: Vec<_> =
            self.held.range((after, Unbounded)).take(amount).map(|(fingerprint, cursor)| (*fingerprint, *cursor)).collect();
        for (fingerprint, cursor) in &next {
            if *cursor > self.deleted {
                insert.execute(params![fingerprint.0, cursor.number()])?;
            }
            self.held.remove(fingerprint);
        }
        self.settled = next.last().filter(|_| next.len() == amount).map(|(fingerprint, _)| *fingerprint);
        if self.settled.is_none() {
            // Everything that was held when this round began is in the index now.
            transaction.prepare_cached("UPDATE inbox SET settled = ?")?.execute([self.round_began_at.number()])?;
            self.round_began_at = newest;
        }
        Ok(())
    }

    /// Searches a part of the index for fingerprints of deleted entries and deletes them. `deleted` more entries have been deleted
    /// since the last call. Returns whether there is more to search.
    pub(super) fn purge(&mut self, connection: &mut Connection, deleted: usize) -> rusqlite::Result<bool> {
        if self.purged >= self.deleted {
            return Ok(false);
        }
        if self.searched.is_none() {
            self.purging = self.deleted;
        }
        let step = deleted.saturating_mul(PURGE_STEP_EACH).max(PURGE_STEP);
        let looked_at = {
            let mut next = connection.prepare_cached(
                "SELECT fingerprint, cursor FROM fingerprint WHERE fingerprint > ? ORDER BY fingerprint LIMIT ?",
            )?;
            let after: &[u8] = self.searched.as_ref().map_or(&[], |fingerprint| &fingerprint.0);
            let rows = next.query_map(params![after, i64::try_from(step).unwrap_or(i64::MAX)], |row| {
                Ok((row.get(0)?, Cursor::from_number(row.get(1)?)))
            })?;
            rows.collect::<rusqlite::Result<Vec<([u8; 16], Cursor)>>>()?
        };
        let is_last = looked_at.len() < step;
        let mut found = looked_at.iter().filter(|(_, cursor)| *cursor <= self.purging).peekable();
        if found.peek().is_some() || is_last {
            let transaction = connection.transaction()?;
            for (fingerprint, _) in found {
                transaction.prepare_cached("DELETE FROM fingerprint WHERE fingerprint = ?")?.execute([fingerprint])?;
            }
            if is_last {
                transaction.prepare_cached("UPDATE inbox SET purged = ?")?.execute([self.purging.number()])?;
            }
            transaction.commit()?;
        }
        self.searched = looked_at.last().filter(|_| !is_last).map(|(fingerprint, _)| Fingerprint(*fingerprint));
        if is_last {
            self.purged = self.purging;
        }
        Ok(self.purged < self.deleted)
    }
}
