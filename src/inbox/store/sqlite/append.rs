//! Appends a batch in one transaction, in order, and stores the promise that new entries have later cursors than readers were told.
//! Does not know who waits for it.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior::Immediate, params};

use crate::inbox::cursor::Cursor;
use crate::inbox::entry::Arrival;
use crate::inbox::store::Appended;
use crate::inbox::store::sqlite::fingerprints::Fingerprints;
use crate::inbox::store::sqlite::prune;
use crate::worker::faults;

/// About how many bytes [`advance`] adds to the log.
pub(super) const ADVANCE_BYTES: usize = 16 * 1024;

/// What the writer knows about the file. After an error it has to be loaded again.
#[derive(Debug)]
pub(super) struct Known {
    /// New entries are later than this: the newest entry, even if it is deleted, or what readers were told.
    pub(super) newest: Cursor,
    /// The number of the newest entry. Numbers have no gaps, and are not reused after a deletion.
    newest_number: i64,
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
        let reached = connection.query_row("SELECT cursor FROM reached", [], |row| row.get(0)).map(Cursor::from_number)?;
        let deleted_number = connection.query_row("SELECT deleted_number FROM inbox", [], |row| row.get(0))?;
        let fingerprints = Fingerprints::load(connection)?;
        Ok(Self { newest: newest.max(reached), newest_number, deleted_number, fingerprints })
    }

    /// The number of entries.
    pub(super) fn entries(&self) -> u64 {
        self.newest_number.saturating_sub(self.deleted_number).try_into().unwrap_or(0)
    }
}

/// Creates the table for [`advance`] if it does not exist. Older versions of roomkey ignore it.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS reached (cursor INTEGER NOT NULL) STRICT; -- one row: new entries have later cursors
         INSERT INTO reached SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM reached);",
    )
}

/// From now on, new entries are later than `to`.
pub(super) fn advance(connection: &mut Connection, to: Cursor) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(Immediate)?;
    transaction.prepare_cached("UPDATE reached SET cursor = ?")?.execute([to.number()])?;
    transaction.commit()
}

/// Commits the new arrivals in `batch`. Returns their outcomes, and the bytes in use.
pub(super) fn append(
    connection: &mut Connection,
    known: &mut Known,
    batch: &[Arrival],
) -> rusqlite::Result<(Vec<Appended>, u64)> {
    let transaction = connection.transaction_with_behavior(Immediate)?;
    let mut appended = Vec::with_capacity(batch.len());
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO entry (cursor, number, fingerprint, received, key, id, event, room, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        let mut index = Fingerprints::index(&transaction)?;
        for arrival in batch {
            if let Some(cursor) = known.fingerprints.find(&mut index, &arrival.fingerprint)?
                && let Some(outcome) = outcome_of_known(&transaction, arrival, cursor)?
            {
                appended.push(outcome);
                continue;
            }
            known.newest = known.newest.next(arrival.received);
            known.newest_number = known.newest_number.saturating_add(1);
            insert.execute(params![
                known.newest.number(),
                known.newest_number,
                arrival.fingerprint.0,
                i64::try_from(arrival.received.as_millis()).unwrap_or(i64::MAX),
                arrival.key(),
                arrival.id(),
                arrival.event(),
                arrival.room(),
                arrival.body(),
            ])?;
            known.fingerprints.add(arrival.fingerprint, known.newest);
            appended.push(Appended::Committed);
        }
    }
    // A few more than were added, so that the number held does not grow.
    known.fingerprints.settle(&transaction, batch.len().saturating_add(8), known.newest)?;
    let bytes = prune::bytes(&transaction)?;
    transaction.commit()?;
    faults::point("inbox-committed");
    Ok((appended, bytes))
}

/// The outcome of an arrival whose fingerprint is that of the entry at `cursor`. `None` if there is no such entry, so that a damaged
/// index cannot lose an event.
fn outcome_of_known(transaction: &Transaction<'_>, arrival: &Arrival, cursor: Cursor) -> rusqlite::Result<Option<Appended>> {
    let mut same = transaction.prepare_cached("SELECT body = ? FROM entry WHERE cursor = ?")?;
    let same: Option<bool> = same.query_row(params![arrival.body(), cursor.number()], |row| row.get(0)).optional()?;
    Ok(same.map(|same| if same { Appended::Duplicate } else { Appended::Conflict }))
}
