//! Owns the deletion of what is not to be kept, oldest first, in small steps.

use rusqlite::{Connection, TransactionBehavior::Immediate};

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::store::Retention;

/// Entries that one step deletes at most.
const STEP: i64 = 128;
/// Bytes of pages that a step writes, about.
pub(super) const STEP_BYTES: usize = 256 * 1024;

/// The last one of a few entries that are not to be kept at `now`, if there are any.
pub(super) fn due(connection: &Connection, retention: &Retention, now: UnixTime) -> rusqlite::Result<Option<Cursor>> {
    let due: Option<i64> = if bytes(connection)? > retention.bytes {
        connection
            .prepare_cached("SELECT max(cursor) FROM (SELECT cursor FROM entry ORDER BY cursor LIMIT ?)")?
            .query_row([STEP], |row| row.get(0))?
    } else {
        // All up to the last one that is too old: the clock may have gone back and forth.
        let since = i64::try_from(now.saturating_sub(retention.age).as_millis()).unwrap_or(i64::MAX);
        connection
            .prepare_cached(
                "SELECT max(cursor) FROM (SELECT cursor, received FROM entry ORDER BY cursor LIMIT ?) WHERE received < ?",
            )?
            .query_row([STEP, since], |row| row.get(0))?
    };
    Ok(due.map(Cursor::from_number))
}

/// Deletes all entries up to `last`, and gives its number.
pub(super) fn delete(connection: &mut Connection, last: Cursor) -> rusqlite::Result<i64> {
    let transaction = connection.transaction_with_behavior(Immediate)?;
    let number: i64 =
        transaction.prepare_cached("SELECT number FROM entry WHERE cursor = ?")?.query_row([last.number()], |row| row.get(0))?;
    transaction.prepare_cached("UPDATE inbox SET deleted = ?, deleted_number = ?")?.execute((last.number(), number))?;
    transaction.prepare_cached("DELETE FROM entry WHERE cursor <= ?")?.execute([last.number()])?;
    transaction.commit()?;
    Ok(number)
}

/// What the file's pages in use take.
pub(super) fn bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let read = |pragma| connection.prepare_cached(pragma)?.query_row([], |row| row.get::<_, i64>(0));
    let pages = read("PRAGMA page_count")?.saturating_sub(read("PRAGMA freelist_count")?);
    Ok(pages.saturating_mul(read("PRAGMA page_size")?).try_into().unwrap_or(0))
}
