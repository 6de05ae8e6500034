//! Appends a batch in one transaction, in order. Does not know who waits for it.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior::Immediate, params};

use crate::inbox::cursor::Cursor;
use crate::inbox::entry::Arrival;
use crate::inbox::sqlite::fingerprints::Fingerprints;
use crate::inbox::sqlite::prune;
use crate::inbox::store::Appended;
use crate::worker::faults;

/// The newest entry, even if it is deleted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newest {
    pub(super) cursor: Cursor,
    /// Numbers of entries have no gaps, and are not reused after a deletion.
    pub(super) number: i64,
}

impl Newest {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let newest =
            "SELECT cursor, number FROM entry UNION ALL SELECT deleted, deleted_number FROM inbox ORDER BY 1 DESC LIMIT 1";
        connection
            .prepare_cached(newest)?
            .query_row([], |row| Ok(Self { cursor: Cursor::from_number(row.get(0)?), number: row.get(1)? }))
    }
}

/// Commits the new arrivals in `batch` after `newest`. Returns their outcomes, the new newest entry, and the bytes in use.
pub(super) fn append(
    connection: &mut Connection,
    mut newest: Newest,
    fingerprints: &mut Fingerprints,
    batch: &[Arrival],
) -> rusqlite::Result<(Vec<Appended>, Newest, u64)> {
    let transaction = connection.transaction_with_behavior(Immediate)?;
    let mut appended = Vec::with_capacity(batch.len());
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO entry (cursor, number, fingerprint, received, key, id, event, room, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        let mut index = Fingerprints::index(&transaction)?;
        for arrival in batch {
            if let Some(cursor) = fingerprints.find(&mut index, &arrival.fingerprint)?
                && let Some(known) = known(&transaction, arrival, cursor)?
            {
                appended.push(known);
                continue;
            }
            newest = Newest { cursor: newest.cursor.next(arrival.received), number: newest.number.saturating_add(1) };
            insert.execute(params![
                newest.cursor.number(),
                newest.number,
                arrival.fingerprint.0,
                i64::try_from(arrival.received.as_millis()).unwrap_or(i64::MAX),
                arrival.key(),
                arrival.id(),
                arrival.event(),
                arrival.room(),
                arrival.body(),
            ])?;
            fingerprints.add(arrival.fingerprint, newest.cursor);
            appended.push(Appended::Committed);
        }
    }
    // A few more than were added, so that the number held does not grow.
    fingerprints.settle(&transaction, batch.len().saturating_add(8), newest.cursor)?;
    let bytes = prune::bytes(&transaction)?;
    transaction.commit()?;
    faults::point("inbox-committed");
    Ok((appended, newest, bytes))
}

/// The outcome of an arrival whose fingerprint is that of the entry at `cursor`. `None` if there is no such entry, so that a damaged
/// index cannot lose an event.
fn known(transaction: &Transaction<'_>, arrival: &Arrival, cursor: Cursor) -> rusqlite::Result<Option<Appended>> {
    let mut same = transaction.prepare_cached("SELECT body = ? FROM entry WHERE cursor = ?")?;
    let same: Option<bool> = same.query_row(params![arrival.body(), cursor.number()], |row| row.get(0)).optional()?;
    Ok(same.map(|same| if same { Appended::Duplicate } else { Appended::Conflict }))
}
