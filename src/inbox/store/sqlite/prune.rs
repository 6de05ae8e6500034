//! Deletes what exceeds the retention, oldest first, in steps. Does not know the time.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior::Immediate};

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::store::Retention;
use crate::inbox::store::sqlite::entries::{self, time};
use crate::inbox::store::sqlite::rooms;
use crate::inbox::trusted_time::is_ahead;

/// Entries and bytes that one step deletes at most. The bytes exceed those of a batch.
const STEP_ENTRIES: usize = 1024;
const STEP_BYTES: u64 = 16 << 20;
/// Bytes of an entry without its body, at least.
const OVERHEAD_BYTES: u64 = 128;
/// A step deletes more than the excess, so that not every batch needs a step: this fraction of the limit, at most so many bytes.
const SPARE_PART: u64 = 16;
const SPARE_BYTES: u64 = 8 << 20;
/// Entries to look at after one that is not too old, because the clock may have been set back and forth.
const AHEAD: usize = 128;
/// About how many bytes of pages a step writes.
pub(super) const WRITTEN_BYTES: usize = 256 * 1024;

/// Which entries are too old.
#[derive(Default)]
pub(super) struct Pruning {
    /// All entries up to this one.
    too_old: Option<Cursor>,
    /// The oldest entries, up to this one, are dated in the future, because the clock was ahead. They are deleted with the first
    /// later entry that is too old, or when enough time has passed since this instant.
    misdated: Option<(Cursor, Instant)>,
}

impl Pruning {
    /// Searches some entries for those older than `age` at `now`. Returns whether there are more to search.
    pub(super) fn search(&mut self, connection: &Connection, age: Duration, now: UnixTime) -> rusqlite::Result<bool> {
        let mut oldest = connection.prepare_cached("SELECT received FROM entry ORDER BY cursor LIMIT 1")?;
        let oldest = oldest.query_row([], |row| row.get(0)).optional()?;
        if oldest.is_none_or(|received| !is_ahead(time(received), now)) {
            self.misdated = None;
        }
        if let Some((last, noticed)) = self.misdated
            && noticed.elapsed() > age
        {
            self.too_old = self.too_old.max(Some(last));
        }
        let since = now.saturating_sub(age);
        let after = self.misdated.map_or(0, |(last, _)| last.number());
        let mut next =
            connection.prepare_cached("SELECT cursor, received FROM entry WHERE cursor > ? ORDER BY cursor LIMIT ?")?;
        let mut rows = next.query((after, STEP_ENTRIES as i64))?;
        let (mut looked_at, mut not_too_old) = (0_usize, 0_usize);
        while let Some(row) = rows.next()? {
            let (cursor, received) = (Cursor::from_number(row.get(0)?), time(row.get(1)?));
            looked_at = looked_at.saturating_add(1);
            if received < since {
                self.too_old = self.too_old.max(Some(cursor));
                not_too_old = 0;
            } else if not_too_old == 0 && is_ahead(received, now) {
                self.misdated = Some((cursor, Instant::now()));
            } else if not_too_old >= AHEAD {
                return Ok(false);
            } else {
                not_too_old = not_too_old.saturating_add(1);
            }
        }
        Ok(looked_at == STEP_ENTRIES)
    }

    /// The last entry to delete in one step, and the number of entries to delete: the old ones, and the excess.
    pub(super) fn step(&self, connection: &Connection, retention: &Retention) -> rusqlite::Result<Option<(Cursor, usize)>> {
        let kept = entries::bytes(connection)?;
        let excess = match kept.checked_sub(retention.bytes) {
            None | Some(0) => 0,
            // The pages take up to twice the bytes of the bodies. Another step is better than deleting too much.
            Some(excess) => excess.saturating_add((retention.bytes / SPARE_PART).min(SPARE_BYTES)) / 2,
        };
        let mut next = connection.prepare_cached("SELECT cursor, length(body) FROM entry ORDER BY cursor LIMIT ?")?;
        let mut rows = next.query([STEP_ENTRIES as i64])?;
        let (mut last, mut freed) = (None, 0_u64);
        for number in 1..=STEP_ENTRIES {
            let Some(row) = rows.next()? else { break };
            let cursor = Cursor::from_number(row.get(0)?);
            if (freed >= excess && Some(cursor) > self.too_old) || freed > STEP_BYTES {
                break;
            }
            last = Some((cursor, number));
            freed = freed.saturating_add(row.get::<_, i64>(1)?.unsigned_abs()).saturating_add(OVERHEAD_BYTES);
        }
        Ok(last)
    }
}

/// Deletes all entries up to `last`, and returns its number.
pub(super) fn delete(connection: &mut Connection, last: Cursor) -> rusqlite::Result<i64> {
    let transaction = connection.transaction_with_behavior(Immediate)?;
    let number: i64 =
        transaction.prepare_cached("SELECT number FROM entry WHERE cursor = ?")?.query_row([last.number()], |row| row.get(0))?;
    transaction.prepare_cached("UPDATE inbox SET deleted = ?, deleted_number = ?")?.execute((last.number(), number))?;
    transaction.prepare_cached("DELETE FROM entry WHERE cursor <= ?")?.execute([last.number()])?;
    rooms::prune(&transaction, number)?;
    transaction.commit()?;
    Ok(number)
}
