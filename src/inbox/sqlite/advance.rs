//! Owns the promise that later entries have later cursors than the readers were given, kept over restarts.

use rusqlite::{Connection, TransactionBehavior::Immediate};

use crate::inbox::cursor::Cursor;

/// Bytes that one move adds to the log, about.
pub(super) const BYTES: usize = 16 * 1024;

/// Makes the place that the promise is kept at, in a file that has none. Older versions of roomkey ignore it.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS reached (cursor INTEGER NOT NULL) STRICT; -- one row: new entries are later than this
         INSERT INTO reached SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM reached);",
    )
}

/// What new entries have to be later than.
pub(super) fn reached(connection: &Connection) -> rusqlite::Result<Cursor> {
    connection.prepare_cached("SELECT cursor FROM reached")?.query_row([], |row| row.get(0)).map(Cursor::from_number)
}

/// From now on, that is `to`.
pub(super) fn advance(connection: &mut Connection, to: Cursor) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(Immediate)?;
    transaction.prepare_cached("UPDATE reached SET cursor = ?")?.execute([to.number()])?;
    transaction.commit()
}
