//! Appends entries, a batch in one transaction, and reads them, a page in a bounded walk along the cursors. Does not know the
//! connections.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, Rows, Transaction, params};

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Arrival, Entry, Filter, Page, PageLimit};
use crate::inbox::store::sqlite::fingerprints::{self, Fingerprints};
use crate::inbox::store::sqlite::rooms;
use crate::inbox::store::{Appended, ReadError, StoreError};

/// Entries that one read looks at, wanted or not.
const LOOKED_AT: usize = 1000;
/// What a [`Walk`] reads of each entry.
pub(super) const COLUMNS: &str = "entry.cursor, entry.event, entry.room, entry.id, entry.key, entry.received, entry.body";

/// What the writer knows about the file. After an error it has to be loaded again. Before a write, the fingerprints have to be
/// [held](Fingerprints::hold).
pub(super) struct Known {
    /// New entries are later than this: the newest entry, even if it is deleted, or what readers were told.
    pub(super) newest: Cursor,
    /// The number of the newest entry. Numbers have no gaps, and are not reused after a deletion.
    pub(super) newest_number: i64,
    /// The number of the last entry in the index of rooms.
    pub(super) indexed_number: i64,
    /// The number of the newest deleted entry.
    pub(super) deleted_number: i64,
    pub(super) fingerprints: Fingerprints,
}

impl Known {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let newest =
            "SELECT cursor, number FROM entry UNION ALL SELECT deleted, deleted_number FROM inbox ORDER BY 1 DESC LIMIT 1";
        let (newest, newest_number) =
            connection.query_row(newest, [], |row| Ok((Cursor::from_number(row.get(0)?), row.get(1)?)))?;
        let (reached, deleted_number) = connection.query_row("SELECT cursor, deleted_number FROM reached, inbox", [], |row| {
            Ok((Cursor::from_number(row.get(0)?), row.get(1)?))
        })?;
        let (indexed_number, fingerprints) = (rooms::indexed_number(connection)?, Fingerprints::load(connection)?);
        Ok(Self { newest: newest.max(reached), newest_number, indexed_number, deleted_number, fingerprints })
    }

    /// The number of entries.
    pub(super) fn entries(&self) -> u64 {
        self.newest_number.saturating_sub(self.deleted_number).try_into().unwrap_or(0)
    }
}

/// Adds the new arrivals in `batch`. Returns the outcome of each.
pub(super) fn append(transaction: &Transaction<'_>, known: &mut Known, batch: &[Arrival]) -> Result<Vec<Appended>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let mut appended = Vec::with_capacity(batch.len());
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO entry (cursor, number, fingerprint, received, key, id, event, room, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        let mut find = transaction.prepare_cached(fingerprints::FIND)?;
        for arrival in batch {
            if let Some(cursor) = known.fingerprints.find(&mut find, &arrival.fingerprint)?
                && let Some(outcome) = outcome_of_known(transaction, arrival, cursor)?
            {
                appended.push(outcome);
                continue;
            }
            known.newest = match arrival.cursor {
                None => known.newest.next(arrival.received),
                Some(cursor) if cursor > known.newest => cursor,
                Some(_) => return Err(StoreError::Misplaced),
            };
            known.newest_number = known.newest_number.saturating_add(1);
            insert.execute(params![
                known.newest.number(),
                known.newest_number,
                arrival.fingerprint.0,
                millis(arrival.received),
                arrival.key(),
                arrival.id(),
                arrival.event(),
                arrival.room(),
                arrival.body(),
            ])?;
            known.fingerprints.held.insert(arrival.fingerprint, known.newest);
            appended.push(Appended::Committed);
        }
    }
    // A few more than were added, so that the number held does not grow.
    known.fingerprints.settle(transaction, batch.len().saturating_add(8), known.newest)?;
    Ok(appended)
}

/// The outcome of an arrival whose fingerprint is that of the entry at `cursor`. `None` if there is no such entry, so that a damaged
/// index cannot lose an event.
fn outcome_of_known(transaction: &Transaction<'_>, arrival: &Arrival, cursor: Cursor) -> rusqlite::Result<Option<Appended>> {
    let mut same = transaction.prepare_cached("SELECT body = ? FROM entry WHERE cursor = ?")?;
    let same: Option<bool> = same.query_row(params![arrival.body(), cursor.number()], |row| row.get(0)).optional()?;
    Ok(same.map(|same| if same { Appended::Duplicate } else { Appended::Conflict }))
}

pub(super) fn read(connection: &Connection, after: Option<Cursor>, filter: &Filter, limit: PageLimit) -> Result<Page, ReadError> {
    // All statements read one snapshot.
    let snapshot = connection.unchecked_transaction()?;
    let deleted = deleted(&snapshot)?;
    let after = after.unwrap_or(deleted);
    if after < deleted {
        return Err(ReadError::Gone { oldest: deleted });
    }
    let mut walk = Walk { page: Page::empty(after), filter, limit, left: LOOKED_AT };
    if let Some(room) = &filter.room
        && !rooms::walk(&snapshot, room, &mut walk)?
    {
        return Ok(walk.page);
    }
    let mut all = snapshot.prepare_cached(&format!("SELECT {COLUMNS} FROM entry WHERE cursor > ? ORDER BY cursor"))?;
    walk.page.is_last = walk.look_at(all.query([walk.page.next.number()])?)?;
    Ok(walk.page)
}

/// Builds a page while it looks at entries one after the other.
pub(super) struct Walk<'a> {
    pub(super) page: Page,
    filter: &'a Filter,
    limit: PageLimit,
    /// How many more entries it looks at.
    left: usize,
}

impl Walk<'_> {
    /// Looks at `rows` of [`COLUMNS`]. Returns whether it came to their end before its limits.
    pub(super) fn look_at(&mut self, mut rows: Rows<'_>) -> rusqlite::Result<bool> {
        while self.left > 0 {
            let Some(row) = rows.next()? else { return Ok(true) };
            let cursor = Cursor::from_number(row.get(0)?);
            if self.filter.wants(text(row, 2)?, text(row, 1)?) {
                let body = row.get_ref(6)?.as_blob()?;
                if !self.limit.take(body.len()) {
                    return Ok(false);
                }
                self.page.entries.push(Entry {
                    cursor,
                    event: text(row, 1)?.to_owned(),
                    room: text(row, 2)?.to_owned(),
                    id: text(row, 3)?.to_owned(),
                    key: text(row, 4)?.to_owned(),
                    received: time(row.get(5)?),
                    body: Bytes::copy_from_slice(body),
                });
            }
            self.page.next = cursor;
            self.left = self.left.saturating_sub(1);
        }
        Ok(false)
    }
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a str> {
    Ok(row.get_ref(column)?.as_str()?)
}

/// A time as it is stored in the file.
pub(super) fn millis(time: UnixTime) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// The inverse of [`millis`].
pub(super) fn time(millis: i64) -> UnixTime {
    UnixTime::from_millis(millis.try_into().unwrap_or(0))
}

/// The number of entries after `cursor`, and when the first of them was received.
pub(super) fn after(connection: &Connection, cursor: Cursor) -> rusqlite::Result<(u64, Option<UnixTime>)> {
    let snapshot = connection.unchecked_transaction()?;
    let up_to =
        "SELECT coalesce((SELECT number FROM entry WHERE cursor <= ? ORDER BY cursor DESC LIMIT 1), deleted_number) FROM inbox";
    let mut up_to = snapshot.prepare_cached(up_to)?;
    let mut up_to = |cursor: i64| up_to.query_row([cursor], |row| row.get::<_, i64>(0));
    let count = up_to(i64::MAX)?.saturating_sub(up_to(cursor.number())?);
    let next = "SELECT received FROM entry WHERE cursor > ? ORDER BY cursor LIMIT 1";
    let next = snapshot.prepare_cached(next)?.query_row([cursor.number()], |row| row.get(0)).optional()?;
    Ok((count.try_into().unwrap_or(0), next.map(time)))
}

/// Entries up to this cursor are deleted.
pub(super) fn deleted(connection: &Connection) -> rusqlite::Result<Cursor> {
    connection.prepare_cached("SELECT deleted FROM inbox")?.query_row([], |row| row.get(0)).map(Cursor::from_number)
}

/// The bytes of the file's pages in use.
pub(super) fn bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let read = |pragma| connection.prepare_cached(pragma)?.query_row([], |row| row.get::<_, i64>(0));
    let pages = read("PRAGMA page_count")?.saturating_sub(read("PRAGMA freelist_count")?);
    Ok(pages.saturating_mul(read("PRAGMA page_size")?).try_into().unwrap_or(0))
}
