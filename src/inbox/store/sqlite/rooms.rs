//! Keeps an index of the entries by room, so that a reader of one room need not look at all others. The index follows the entries in
//! small steps: a reader walks through what is not in it yet. A file of an older roomkey is indexed in the same way, from its oldest
//! entry on. Does not know when a step is due.
//!
//! Rooms come in any order, so adding to one large index would write a page for each entry. Instead each part of the entries has an
//! index of its own. A part stays small while it is written, a reader seeks once in each, and old parts are deleted as a whole.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior::Immediate};

use crate::inbox::cursor::Cursor;
use crate::inbox::store::sqlite::entries::{COLUMNS, Known, Walk};

/// Entries in a part. About 100 pages of the index.
const PART: i64 = 16 * 1024;
/// Entries that one step adds, which takes a few milliseconds. Of LiveKit's events, so many are still in the memory of the writer.
const STEP: i64 = 2048;
/// About how many bytes of pages a step writes.
pub(super) const WRITTEN_BYTES: usize = 512 * 1024;
/// Parts that one read looks at: 16 million entries.
const PARTS_LOOKED_AT: i64 = 1000;
/// Characters of a room's name in the index, which bound it whatever the names are.
const NAME: i64 = 64;

/// Whether there are enough entries for a step.
pub(super) fn is_due(known: &Known) -> bool {
    known.newest_number.saturating_sub(known.indexed_number.max(known.deleted_number)) >= STEP
}

/// Adds the next entries to the index.
pub(super) fn index(connection: &mut Connection, known: &mut Known) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(Immediate)?;
    let next = "SELECT cursor, number FROM entry WHERE cursor > (SELECT indexed FROM inbox) ORDER BY cursor LIMIT 1 OFFSET ?";
    let next = transaction.prepare_cached(next)?.query_row([STEP.saturating_sub(1)], |row| Ok((row.get(0)?, row.get(1)?)));
    let Some((last, number)): Option<(i64, i64)> = next.optional()? else { return Ok(()) };
    let add = "INSERT INTO room_entry SELECT number / ?, substr(room, 1, ?), cursor FROM entry
               WHERE cursor > (SELECT indexed FROM inbox) AND cursor <= ? ORDER BY 1, 2, 3";
    transaction.prepare_cached(add)?.execute([PART, NAME, last])?;
    transaction.prepare_cached("UPDATE inbox SET indexed = ?")?.execute([last])?;
    transaction.commit()?;
    known.indexed_number = number;
    Ok(())
}

/// The number of the last entry in the index.
pub(super) fn indexed_number(connection: &Connection) -> rusqlite::Result<i64> {
    let last = "SELECT number FROM entry WHERE cursor <= (SELECT indexed FROM inbox) ORDER BY cursor DESC LIMIT 1";
    Ok(connection.query_row(last, [], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Deletes the parts that hold only entries up to `deleted_number`.
pub(super) fn prune(transaction: &Transaction<'_>, deleted_number: i64) -> rusqlite::Result<usize> {
    transaction.prepare_cached("DELETE FROM room_entry WHERE part < ?")?.execute([deleted_number / PART])
}

/// Walks through the indexed entries of `room`, from the position of `walk` on. Returns whether it came to the end of the index.
pub(super) fn walk(snapshot: &Connection, room: &str, walk: &mut Walk<'_>) -> rusqlite::Result<bool> {
    let after = walk.page.next.number();
    let indexed: i64 = snapshot.prepare_cached("SELECT indexed FROM inbox")?.query_row([], |row| row.get(0))?;
    let part_after = "SELECT number / ? FROM entry WHERE cursor > ? AND cursor <= ? ORDER BY cursor LIMIT 1";
    let first: Option<i64> =
        snapshot.prepare_cached(part_after)?.query_row([PART, after, indexed], |row| row.get(0)).optional()?;
    let last: Option<i64> = snapshot.prepare_cached("SELECT max(part) FROM room_entry")?.query_row([], |row| row.get(0))?;
    let (Some(first), Some(last)) = (first, last) else { return Ok(true) };

    let end = i64::min(last, first.saturating_add(PARTS_LOOKED_AT));
    let mut of_room = snapshot.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM room_entry CROSS JOIN entry ON entry.cursor = room_entry.cursor
         WHERE part = ? AND room_entry.room = substr(?, 1, ?) AND room_entry.cursor > ? ORDER BY room_entry.cursor"
    ))?;
    for part in first..=end {
        if !walk.look_at(of_room.query((part, room, NAME, after))?)? {
            return Ok(false);
        }
    }
    if end < last {
        let begin = "SELECT min(cursor) FROM room_entry WHERE part = ?";
        let begin = snapshot.prepare_cached(begin)?.query_row([end.saturating_add(1)], |row| row.get(0))?;
        walk.page.next = Cursor::from_number(begin).before();
        return Ok(false);
    }
    walk.page.next = Cursor::from_number(indexed);
    Ok(true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;
    use crate::clock::UnixTime;
    use crate::inbox::entry::{Filter, Page, PageLimit};
    use crate::inbox::store::sqlite::{entries, schema};

    const ALL: PageLimit = PageLimit { entries: usize::MAX, bytes: usize::MAX };

    /// An inbox with an entry at each of `numbers`, of a room with that number as its name.
    fn inbox(numbers: impl Iterator<Item = i64>) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::upgrade(&mut connection).unwrap();
        schema::begin(&connection, UnixTime::from_millis(0)).unwrap();
        for number in numbers {
            let insert = "INSERT INTO entry VALUES (?1, ?1, randomblob(16), 0, '', '', 'x', ?1, x'')";
            connection.execute(insert, [number]).unwrap();
        }
        connection
    }

    fn read(connection: &Connection, after: i64, room: &str) -> Page {
        let filter = Filter { room: Some(room.to_owned()), events: Vec::new() };
        entries::read(connection, Some(Cursor::from_number(after)), &filter, ALL).unwrap()
    }

    #[test]
    fn one_read_looks_at_a_bounded_number_of_parts() {
        let mut connection = inbox((1..=STEP).map(|number| number * PART));
        let mut known = Known::load(&connection).unwrap();
        index(&mut connection, &mut known).unwrap();
        let wanted = 2010 * PART;
        let (mut after, mut empty) = (0, 0);
        let found = loop {
            let page = read(&connection, after, &wanted.to_string());
            if let Some(entry) = page.entries.first() {
                break entry.cursor;
            }
            assert!(page.next.number() > after && !page.is_last);
            (after, empty) = (page.next.number(), empty + 1);
        };
        assert_eq!((found.number(), empty), (wanted, 2));
    }

    #[test]
    fn what_is_not_indexed_yet_is_read_after_what_is() {
        let mut connection = inbox(1..STEP + 10);
        let mut known = Known::load(&connection).unwrap();
        index(&mut connection, &mut known).unwrap();
        assert!(!is_due(&known));
        for number in [1, STEP, STEP + 1, STEP + 9] {
            let page = read(&connection, 0, &number.to_string());
            let found: Vec<_> = page.entries.iter().map(|entry| entry.cursor.number()).collect();
            assert_eq!((found, page.is_last), (vec![number], true));
        }
        assert_eq!(known.indexed_number, indexed_number(&connection).unwrap());
    }
}
