//! Stores the promise that new entries have later cursors than readers were told, across restarts. Does not know the readers.

use rusqlite::{Connection, TransactionBehavior::Immediate};

use crate::inbox::cursor::Cursor;

/// About how many bytes one move adds to the log.
pub(super) const BYTES: usize = 16 * 1024;

/// Creates the table if it does not exist. Older versions of roomkey ignore it.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS reached (cursor INTEGER NOT NULL) STRICT; -- one row: new entries have later cursors
         INSERT INTO reached SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM reached);",
    )
}

/// New entries are later than this.
pub(super) fn reached(connection: &Connection) -> rusqlite::Result<Cursor> {
    connection.prepare_cached("SELECT cursor FROM reached")?.query_row([], |row| row.get(0)).map(Cursor::from_number)
}

/// From now on, new entries are later than `to`.
pub(super) fn advance(connection: &mut Connection, to: Cursor) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(Immediate)?;
    transaction.prepare_cached("UPDATE reached SET cursor = ?")?.execute([to.number()])?;
    transaction.commit()
}
