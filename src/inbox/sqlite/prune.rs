//! Owns the deletion of what is not to be kept, oldest first, in small steps.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior::Immediate};

use crate::clock::UnixTime;
use crate::inbox::store::Retention;

/// Entries that one step deletes at most.
const STEP: i64 = 128;

/// Deletes a few entries that are not to be kept at `now`; whether there may be more of them.
pub(super) fn step(connection: &mut Connection, retention: &Retention, now: UnixTime) -> rusqlite::Result<bool> {
    let oldest_kept = i64::try_from(now.saturating_sub(retention.age).as_millis()).unwrap_or(i64::MAX);
    let last = if bytes(connection)? > retention.bytes {
        connection
            .prepare_cached("SELECT max(cursor) FROM (SELECT cursor FROM entry ORDER BY cursor LIMIT ?)")?
            .query_row([STEP], |row| row.get::<_, Option<i64>>(0))?
    } else {
        // The clock may have been set back and forth: all up to the last one that is too old.
        connection
            .prepare_cached(
                "SELECT cursor FROM (SELECT cursor, received FROM entry ORDER BY cursor LIMIT ?) WHERE received < ?
                 ORDER BY cursor DESC LIMIT 1",
            )?
            .query_row([STEP, oldest_kept], |row| row.get(0))
            .optional()?
    };
    let Some(last) = last else { return Ok(false) };
    let transaction = connection.transaction_with_behavior(Immediate)?;
    transaction.prepare_cached("DELETE FROM entry WHERE cursor <= ?")?.execute([last])?;
    transaction.prepare_cached("UPDATE inbox SET deleted = ?")?.execute([last])?;
    transaction.commit()?;
    Ok(true)
}

/// What the file's pages in use take.
fn bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
    Ok(pages.saturating_mul(pragma("page_size")?).try_into().unwrap_or(0))
}
