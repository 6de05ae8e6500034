//! Owns the writing of a batch: one transaction, in the order in which it came.

use rusqlite::{Connection, Transaction, TransactionBehavior::Immediate, params};

use crate::inbox::entry::{Arrival, Cursor};
use crate::inbox::store::Appended;

/// Commits what is new in `batch`; `newest` is the cursor of the newest entry, looked up where it is `None`.
pub(super) fn append(
    connection: &mut Connection,
    newest: Option<Cursor>,
    batch: &[Arrival],
) -> rusqlite::Result<(Vec<Appended>, Cursor)> {
    let transaction = connection.transaction_with_behavior(Immediate)?;
    let mut newest = match newest {
        Some(newest) => newest,
        None => newest_of(&transaction)?,
    };
    let mut appended = Vec::with_capacity(batch.len());
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO entry (cursor, identity, received, key, id, event, room, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (identity) DO NOTHING",
        )?;
        for arrival in batch {
            let cursor = newest.next(arrival.received);
            let inserted = insert.execute(params![
                cursor.number(),
                arrival.identity.0,
                i64::try_from(arrival.received.as_millis()).unwrap_or(i64::MAX),
                arrival.key,
                arrival.id,
                arrival.event,
                arrival.room,
                &*arrival.body,
            ])?;
            appended.push(if inserted > 0 {
                newest = cursor;
                Appended::Committed
            } else {
                again(&transaction, arrival)?
            });
        }
    }
    transaction.commit()?;
    Ok((appended, newest))
}

/// What `arrival` is, whose identity is that of an entry.
fn again(transaction: &Transaction<'_>, arrival: &Arrival) -> rusqlite::Result<Appended> {
    let mut same = transaction.prepare_cached("SELECT body = ? FROM entry WHERE identity = ?")?;
    let same: bool = same.query_row(params![&*arrival.body, arrival.identity.0], |row| row.get(0))?;
    Ok(if same { Appended::Duplicate } else { Appended::Conflict })
}

/// The cursor of the newest entry; where all are deleted, of the last one that was.
fn newest_of(transaction: &Transaction<'_>) -> rusqlite::Result<Cursor> {
    let newest = "SELECT coalesce((SELECT max(cursor) FROM entry), (SELECT deleted FROM inbox))";
    transaction.prepare_cached(newest)?.query_row([], |row| row.get(0)).map(Cursor::from_number)
}
