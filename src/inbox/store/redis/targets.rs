//! Keeps in Redis what the relay knows of its targets, in four keys beside those of the inbox. Each write is one script. Does not know
//! when something is sent.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{roomkey}:targets` | hash | of each target `NAME:cursor`, `paused`, `down`, `error`, `replays`: its state; `epoch`, `holder`, `until`: its lease, and the server's time in milliseconds at which it expires; `asked`: the number of the last request; `touched`: when it was known to be in use, in milliseconds |
//! | `{roomkey}:owed` | hash | `NAME:CURSOR`: an event that the target has not taken, in JSON |
//! | `{roomkey}:owed-order` | sorted set | `NAME:STATE:CURSOR` of each of them, in the order of the text |
//! | `{roomkey}:steering` | sorted set | `NAME:NUMBER:REQUEST`: what people ask the holder of the lease to do, in the order of the text |

use std::sync::LazyLock;

use redis::{Connection, Script, ScriptInvocation};
use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::store::redis::entries::{invocation, script, unexpected_answer};
use crate::inbox::store::{ReadError, StoreError};
use crate::inbox::target::{MOST_REQUESTS, OwedCounts, OwedEvent, OwedState, Replay, SteeringRequest, TargetState};
use crate::inbox::target_write::{CommitEnd, TargetChange, TargetWrite, Written};

const TARGETS: &str = "{roomkey}:targets";
const OWED: &str = "{roomkey}:owed";
const ORDER: &str = "{roomkey}:owed-order";
const STEERING: &str = "{roomkey}:steering";

static COMMIT: LazyLock<Script> = script!("", "targets.lua", "commit.lua");
/// The same script without new owed events. Allowed without free memory.
static SETTLE: LazyLock<Script> = script!("flags=allow-oom", "targets.lua", "commit.lua");
static LEASE: LazyLock<Script> = script!("flags=allow-oom", "targets.lua", "lease.lua");
static RELEASE: LazyLock<Script> = script!("flags=allow-oom", "targets.lua", "release.lua");
static STEER: LazyLock<Script> = script!("", "targets.lua", "steer.lua");
static UNUSED: LazyLock<Script> = script!("flags=allow-oom", "targets.lua", "unused.lua");
static TARGET: LazyLock<Script> = script!("flags=no-writes", "targets.lua", "target.lua");
static OWED_EVENTS: LazyLock<Script> = script!("flags=no-writes", "targets.lua", "owed.lua");
static REQUESTS: LazyLock<Script> = script!("flags=no-writes", "targets.lua", "requests.lua");

/// `script` for `target`.
fn invocation_for(script: &'static Script, target: &str) -> ScriptInvocation<'static> {
    let mut invocation = invocation(script);
    invocation.key(TARGETS).key(OWED).key(ORDER).key(STEERING).arg(target);
    invocation
}

/// Does the `writes` for `holder`, up to the first that fails.
pub(super) fn write(
    connection: &mut Connection,
    writes: &[TargetWrite],
    holder: &str,
    now: UnixTime,
) -> Result<Vec<Written>, StoreError> {
    writes.iter().map(|write| write_one(connection, write, holder, now)).collect()
}

fn write_one(connection: &mut Connection, write: &TargetWrite, holder: &str, now: UnixTime) -> Result<Written, StoreError> {
    let target = &*write.target;
    let number = |number: u64| if number == 0 { Written::Refused } else { Written::Number(number) };
    match &write.change {
        TargetChange::TakeLease => {
            Ok(number(invocation_for(&LEASE, target).arg(holder).arg(now.as_millis()).invoke(connection)?))
        }
        TargetChange::GiveLeaseBack => {
            invocation_for(&RELEASE, target).arg(holder).invoke::<()>(connection)?;
            Ok(Written::Done)
        }
        TargetChange::Steer(request) => {
            let mut script = invocation_for(&STEER, target);
            Ok(number(script.arg(request).arg(MOST_REQUESTS).arg(now.as_millis()).invoke(connection)?))
        }
        TargetChange::Commit { epoch, owed, settled, end } => {
            let mut script = invocation_for(if owed.is_empty() { &SETTLE } else { &COMMIT }, target);
            script.arg(holder).arg(epoch).arg(owed.len());
            for event in owed {
                let row = serde_json::to_string(&StoredOwed::of(event)).map_err(|error| StoreError::Broken(error.into()))?;
                script.arg(event.cursor.to_string()).arg(event.state.name()).arg(row);
            }
            script.arg(settled.len());
            for cursor in settled {
                script.arg(cursor.to_string());
            }
            if let Some(CommitEnd { state, steered }) = end {
                script.arg(state.cursor.to_string()).arg(state.is_paused).arg(state.is_down).arg(&state.last_error);
                script.arg(Replay::to_text(&state.replays)).arg(format!("{steered:016}"));
            }
            let is_committed: bool = script.invoke(connection)?;
            Ok(if is_committed { Written::Done } else { Written::Refused })
        }
    }
}

/// Deletes a part of what is kept of targets that nobody has used since `since`. Returns whether there is more.
pub(super) fn prune(connection: &mut Connection, holder: &str, since: UnixTime, now: UnixTime) -> Result<bool, StoreError> {
    let mut script = invocation_for(&UNUSED, "");
    Ok(script.arg(holder).arg(since.as_millis()).arg(now.as_millis()).invoke(connection)?)
}

pub(super) fn state(connection: &mut Connection, target: &str) -> Result<Option<TargetState>, ReadError> {
    type Answer = (String, bool, bool, String, String, u64, u64, u64);
    let Some(answer) = invocation_for(&TARGET, target).invoke::<Option<Answer>>(connection)? else { return Ok(None) };
    let (cursor, is_paused, is_down, last_error, replays, held, aside, dead) = answer;
    let (cursor, replays) = (parse_cursor(&cursor)?, Replay::of_text(&replays));
    Ok(Some(TargetState { cursor, is_paused, is_down, last_error, owed: OwedCounts { held, aside, dead }, replays }))
}

pub(super) fn owed(
    connection: &mut Connection,
    target: &str,
    state: Option<OwedState>,
    after: Cursor,
    limit: usize,
) -> Result<Vec<OwedEvent>, ReadError> {
    let mut script = invocation_for(&OWED_EVENTS, target);
    script.arg(after.to_string()).arg(limit);
    for each in OwedState::ALL.into_iter().filter(|each| state.is_none_or(|state| state == *each)) {
        script.arg(each.name());
    }
    let found: Vec<(String, String)> = script.invoke(connection)?;
    let mut events =
        found.iter().map(|(cursor, row)| StoredOwed::parse(parse_cursor(cursor)?, row)).collect::<Result<Vec<_>, _>>()?;
    events.sort_unstable_by_key(|event| event.cursor);
    events.truncate(limit);
    Ok(events)
}

pub(super) fn owed_at(connection: &mut Connection, target: &str, cursors: &[Cursor]) -> Result<Vec<OwedEvent>, ReadError> {
    let mut rows = redis::pipe();
    for cursor in cursors {
        rows.hget(OWED, format!("{target}:{cursor}"));
    }
    let rows: Vec<Option<String>> = rows.query(connection)?;
    let event = |(cursor, row): (&Cursor, Option<String>)| Some(StoredOwed::parse(*cursor, &row?));
    Ok(cursors.iter().zip(rows).filter_map(event).collect::<Result<_, _>>()?)
}

pub(super) fn steering(connection: &mut Connection, target: &str) -> Result<Vec<SteeringRequest>, ReadError> {
    let found: Vec<String> = invocation_for(&REQUESTS, target).invoke(connection)?;
    let request = |member: &String| {
        let (number, request) = member.strip_prefix(target)?.strip_prefix(':')?.split_once(':')?;
        Some(SteeringRequest { number: number.parse().ok()?, request: request.to_owned() })
    };
    Ok(found.iter().map(request).collect::<Option<_>>().ok_or_else(unexpected_answer)?)
}

fn parse_cursor(text: &str) -> Result<Cursor, StoreError> {
    text.parse().map_err(|_| unexpected_answer())
}

/// An owed event in JSON, without its cursor. Times are in milliseconds since 1970.
#[derive(Deserialize, Serialize)]
struct StoredOwed {
    lane: String,
    state: String,
    attempts: u32,
    first: Option<u64>,
    next: Option<u64>,
    status: Option<u16>,
    error: String,
    replay: bool,
}

impl StoredOwed {
    fn of(event: &OwedEvent) -> Self {
        Self {
            lane: event.room.clone(),
            state: event.state.name().to_owned(),
            attempts: event.attempts,
            first: event.first.map(UnixTime::as_millis),
            next: event.next.map(UnixTime::as_millis),
            status: event.status,
            error: event.error.clone(),
            replay: event.is_replay,
        }
    }

    fn parse(cursor: Cursor, row: &str) -> Result<OwedEvent, StoreError> {
        let row: Self = serde_json::from_str(row).map_err(|error| StoreError::Corrupt(error.into()))?;
        Ok(OwedEvent {
            cursor,
            room: row.lane,
            state: OwedState::of_name(&row.state).ok_or_else(unexpected_answer)?,
            attempts: row.attempts,
            first: row.first.map(UnixTime::from_millis),
            next: row.next.map(UnixTime::from_millis),
            status: row.status,
            error: row.error,
            is_replay: row.replay,
        })
    }
}
