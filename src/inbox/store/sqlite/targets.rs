//! Keeps what the relay knows of its targets: their state, the events that they have not taken, and what people ask of them. Does not
//! know when something is sent.

use rusqlite::types::FromSqlError;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::store::sqlite::entries::{millis, time};
use crate::inbox::target::{MOST_REQUESTS, OwedCounts, OwedEvent, OwedState, Replay, SteeringRequest, TargetState};
use crate::inbox::target_write::{CommitEnd, TargetChange, TargetWrite, Written};

/// Owed events that one step of a deletion deletes.
const PRUNE_STEP: i64 = 1024;

/// Does the `writes`, all or none, for the opening `holder` of the file. The rest of the transaction does not depend on them.
pub(super) fn write(
    transaction: &mut Transaction<'_>,
    writes: &[TargetWrite],
    holder: &str,
    now: UnixTime,
) -> rusqlite::Result<Vec<Written>> {
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    let savepoint = transaction.savepoint()?;
    let written = writes.iter().map(|write| write_one(&savepoint, write, holder, now)).collect::<rusqlite::Result<_>>()?;
    savepoint.commit()?;
    Ok(written)
}

fn write_one(connection: &Connection, write: &TargetWrite, holder: &str, now: UnixTime) -> rusqlite::Result<Written> {
    let target = write.target.as_str();
    match &write.change {
        TargetChange::TakeLease => take_lease(connection, target, holder, now),
        TargetChange::GiveLeaseBack => {
            let give = "UPDATE target SET holder = NULL WHERE name = ? AND holder = ?";
            connection.prepare_cached(give)?.execute([target, holder])?;
            Ok(Written::Done)
        }
        TargetChange::Steer(request) => steer(connection, target, request, now),
        TargetChange::Commit { epoch, owed, settled, end } => {
            let holds = "SELECT EXISTS (SELECT 1 FROM target WHERE name = ? AND epoch = ? AND holder = ?)";
            let holds: bool = connection.prepare_cached(holds)?.query_row((target, signed(*epoch), holder), |row| row.get(0))?;
            if !holds {
                return Ok(Written::Refused);
            }
            change_owed(connection, target, owed, settled)?;
            if let Some(end) = end {
                set_state(connection, target, end)?;
            }
            Ok(Written::Done)
        }
    }
}

/// The lock of the file keeps out all other processes, so the lease of another opening is an old one. To renew it writes nothing.
fn take_lease(connection: &Connection, target: &str, holder: &str, now: UnixTime) -> rusqlite::Result<Written> {
    add(connection, target, now)?;
    let take =
        "UPDATE target SET epoch = epoch + 1, holder = ?2, touched = max(touched, ?3) WHERE name = ?1 AND holder IS NOT ?2";
    connection.prepare_cached(take)?.execute((target, holder, millis(now)))?;
    let epoch = connection.prepare_cached("SELECT epoch FROM target WHERE name = ?")?.query_row([target], |row| row.get(0))?;
    Ok(Written::Number(unsigned(epoch)))
}

fn steer(connection: &Connection, target: &str, request: &str, now: UnixTime) -> rusqlite::Result<Written> {
    add(connection, target, now)?;
    let waiting = "SELECT count(*) FROM steering WHERE target = ?";
    let waiting = connection.prepare_cached(waiting)?.query_row([target], |row| row.get(0))?;
    if unsigned(waiting) >= MOST_REQUESTS {
        return Ok(Written::Refused);
    }
    let number = "UPDATE target SET asked = asked + 1 WHERE name = ? RETURNING asked";
    let number: i64 = connection.prepare_cached(number)?.query_row([target], |row| row.get(0))?;
    connection.prepare_cached("INSERT INTO steering VALUES (?, ?, ?)")?.execute((target, number, request))?;
    Ok(Written::Number(unsigned(number)))
}

/// Adds `target` if it is new.
fn add(connection: &Connection, target: &str, now: UnixTime) -> rusqlite::Result<usize> {
    let add = "INSERT INTO target (name, touched) VALUES (?, ?) ON CONFLICT DO NOTHING";
    connection.prepare_cached(add)?.execute((target, millis(now)))
}

fn change_owed(connection: &Connection, target: &str, owed: &[OwedEvent], settled: &[Cursor]) -> rusqlite::Result<()> {
    let mut put = connection.prepare_cached(
        "INSERT OR REPLACE INTO owed (target, cursor, lane, state, attempts, first, next, status, error, replay)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for event in owed {
        put.execute(params![
            target,
            event.cursor.number(),
            event.room,
            event.state.name(),
            event.attempts,
            event.first.map(millis),
            event.next.map(millis),
            event.status,
            event.error,
            event.is_replay,
        ])?;
    }
    let mut delete = connection.prepare_cached("DELETE FROM owed WHERE target = ? AND cursor = ?")?;
    for cursor in settled {
        delete.execute((target, cursor.number()))?;
    }
    Ok(())
}

fn set_state(connection: &Connection, target: &str, end: &CommitEnd) -> rusqlite::Result<()> {
    let TargetState { cursor, is_paused, is_down, last_error, replays, .. } = &end.state;
    let set = "UPDATE target SET cursor = ?, paused = ?, down = ?, error = ?, replays = ? WHERE name = ?";
    let replays = Replay::to_text(replays);
    connection.prepare_cached(set)?.execute((cursor.number(), is_paused, is_down, last_error, replays, target))?;
    let done = "DELETE FROM steering WHERE target = ? AND number <= ?";
    connection.prepare_cached(done)?.execute((target, signed(end.steered)))?;
    Ok(())
}

pub(super) fn state(connection: &Connection, target: &str) -> rusqlite::Result<Option<TargetState>> {
    let snapshot = connection.unchecked_transaction()?;
    let state = "SELECT cursor, paused, down, error, replays FROM target WHERE name = ? AND cursor IS NOT NULL";
    let state = snapshot.prepare_cached(state)?.query_row([target], |row| {
        Ok(TargetState {
            cursor: Cursor::from_number(row.get(0)?),
            is_paused: row.get(1)?,
            is_down: row.get(2)?,
            last_error: row.get(3)?,
            owed: OwedCounts::default(),
            replays: Replay::of_text(row.get_ref(4)?.as_str()?),
        })
    });
    let Some(state) = state.optional()? else { return Ok(None) };
    let mut count = snapshot.prepare_cached("SELECT count(*) FROM owed WHERE target = ? AND state = ?")?;
    let mut count = |state: OwedState| count.query_row([target, state.name()], |row| row.get(0)).map(unsigned);
    let owed = OwedCounts { held: count(OwedState::Held)?, aside: count(OwedState::Aside)?, dead: count(OwedState::Dead)? };
    Ok(Some(TargetState { owed, ..state }))
}

pub(super) fn owed(
    connection: &Connection,
    target: &str,
    state: Option<OwedState>,
    after: Cursor,
    limit: usize,
) -> rusqlite::Result<Vec<OwedEvent>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let of_state = if state.is_some() { "AND state = ?4" } else { "" };
    let mut events = connection.prepare_cached(&format!(
        "SELECT {OWED_EVENT} FROM owed WHERE target = ?1 AND cursor > ?2 {of_state} ORDER BY cursor LIMIT ?3"
    ))?;
    match state {
        Some(state) => events.query_map((target, after.number(), limit, state.name()), owed_event)?.collect(),
        None => events.query_map((target, after.number(), limit), owed_event)?.collect(),
    }
}

pub(super) fn owed_at(connection: &Connection, target: &str, cursors: &[Cursor]) -> rusqlite::Result<Vec<OwedEvent>> {
    let event = format!("SELECT {OWED_EVENT} FROM owed WHERE target = ? AND cursor = ?");
    let mut event = connection.prepare_cached(&event)?;
    let found = cursors.iter().map(|cursor| event.query_row((target, cursor.number()), owed_event).optional().transpose());
    found.flatten().collect()
}

/// The columns that [`owed_event`] reads.
const OWED_EVENT: &str = "cursor, lane, state, attempts, first, next, status, error, replay";

fn owed_event(row: &Row<'_>) -> rusqlite::Result<OwedEvent> {
    Ok(OwedEvent {
        cursor: Cursor::from_number(row.get(0)?),
        room: row.get(1)?,
        state: OwedState::of_name(row.get_ref(2)?.as_str()?).ok_or(FromSqlError::InvalidType)?,
        attempts: row.get(3)?,
        first: row.get::<_, Option<i64>>(4)?.map(time),
        next: row.get::<_, Option<i64>>(5)?.map(time),
        status: row.get(6)?,
        error: row.get(7)?,
        is_replay: row.get(8)?,
    })
}

pub(super) fn steering(connection: &Connection, target: &str) -> rusqlite::Result<Vec<SteeringRequest>> {
    let mut requests = connection.prepare_cached("SELECT number, request FROM steering WHERE target = ? ORDER BY number")?;
    let request = |row: &Row<'_>| Ok(SteeringRequest { number: row.get(0).map(unsigned)?, request: row.get(1)? });
    requests.query_map([target], request)?.collect()
}

/// Deletes a part of what is kept of a target that nobody has used since `since`. Returns whether there may be more.
pub(super) fn prune(connection: &mut Connection, holder: &str, since: UnixTime, now: UnixTime) -> rusqlite::Result<bool> {
    let transaction = connection.transaction()?;
    transaction.execute("UPDATE target SET touched = max(touched, ?) WHERE holder = ?", (millis(now), holder))?;
    let unused = "SELECT name FROM target WHERE touched < ? LIMIT 1";
    let unused: Option<String> = transaction.query_row(unused, [millis(since)], |row| row.get(0)).optional()?;
    if let Some(target) = &unused {
        let some = "DELETE FROM owed WHERE target = ?1 AND cursor <= coalesce(
            (SELECT cursor FROM owed WHERE target = ?1 ORDER BY cursor LIMIT 1 OFFSET ?2), 9223372036854775807)";
        let deleted = transaction.execute(some, (target, PRUNE_STEP))?;
        if unsigned(PRUNE_STEP) >= u64::try_from(deleted).unwrap_or(u64::MAX) {
            transaction.execute("DELETE FROM steering WHERE target = ?", [target])?;
            transaction.execute("DELETE FROM target WHERE name = ?", [target])?;
        }
    }
    transaction.commit()?;
    Ok(unused.is_some())
}

/// SQLite's integers are signed.
fn signed(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    number.try_into().unwrap_or(0)
}
