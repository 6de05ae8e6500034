//! Defines how the inbox is stored in Redis: three keys with one hash tag, so that a cluster keeps them in one slot, the scripts that
//! use them, and how a cursor is written as the id of an entry in a stream. Appends entries, and reads a page of them. Does not know the server.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{roomkey}:entries` | stream | the entries; an id is a cursor's milliseconds and count. Their `number` grows by one with each; those of older roomkeys have none |
//! | `{roomkey}:index` | hash | the id of each entry by its fingerprint (16 bytes) |
//! | `{roomkey}:state` | hash | `schema`: the version of this table; `deleted`: the newest deleted id, at first where the inbox begins; `reached`: new ids are later than this; `bytes`: what is stored; `oldest`: an id, and a time that all entries after it are newer than; `ahead`: since when the oldest entries are known to be dated in the future; `touched`: means nothing, but replicas can be waited for once it is written |

use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use redis::{Connection, Script, ScriptInvocation, Value};
use tracing::warn;

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Arrival, Entry, Filter, Page, PageLimit};
use crate::inbox::store::{Appended, ReadError, StoreError};
use crate::worker::lock;

pub(super) const ENTRIES: &str = "{roomkey}:entries";
const INDEX: &str = "{roomkey}:index";
pub(super) const STATE: &str = "{roomkey}:state";

/// The meaning of the digits that `append.lua` returns.
const OUTCOMES: [Appended; 3] = [Appended::Committed, Appended::Duplicate, Appended::Conflict];
/// Between two warnings about entries that roomkey did not write.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// A script after the code that all have in common. The flags say when Redis may run it.
macro_rules! script {
    ($flags:literal, $($file:literal),+) => {
        LazyLock::new(|| Script::new(concat!("#!lua ", $flags, "\n", include_str!("common.lua"), $(include_str!($file)),+)))
    };
}
pub(super) use script;

pub(super) static ADVANCE: LazyLock<Script> = script!("", "advance.lua");
static APPEND: LazyLock<Script> = script!("", "append.lua");
pub(super) static BEGIN: LazyLock<Script> = script!("", "begin.lua");
pub(super) static LAG: LazyLock<Script> = script!("flags=no-writes", "lag.lua");
static NEWEST: LazyLock<Script> = script!("flags=no-writes", "newest.lua");
pub(super) static PROBE: LazyLock<Script> = script!("", "probe.lua");
pub(super) static PRUNE: LazyLock<Script> = script!("flags=allow-oom", "prune.lua");
pub(super) static READ: LazyLock<Script> = script!("flags=no-writes", "read.lua");
pub(super) static TOUCH: LazyLock<Script> = script!("flags=allow-oom", "touch.lua");

/// `script` with the keys and no arguments yet.
pub(super) fn invocation(script: &'static Script) -> ScriptInvocation<'static> {
    let mut invocation = script.prepare_invoke();
    invocation.key(ENTRIES).key(INDEX).key(STATE);
    invocation
}

/// The id of the entry at `cursor`.
pub(super) fn id(cursor: Cursor) -> String {
    let (millis, count) = cursor.parts();
    format!("{millis}-{count}")
}

/// The cursor of the entry with this id. `None` if no cursor has this id.
pub(super) fn cursor(id: &str) -> Option<Cursor> {
    let (millis, count) = id.split_once('-')?;
    Cursor::from_parts(millis.parse().ok()?, count.parse().ok()?)
}

/// The script that appends `batch`. `begin` is the id where the inbox begins if it is new.
pub(super) fn append_script(begin: String, batch: &[Arrival]) -> ScriptInvocation<'static> {
    let mut script = invocation(&APPEND);
    script.arg(begin);
    for arrival in batch {
        let (received, _) = Cursor::at(arrival.received).parts();
        script.arg(&arrival.fingerprint.0[..]).arg(received).arg(arrival.key()).arg(arrival.id());
        script.arg(arrival.event()).arg(arrival.room()).arg(arrival.body());
        script.arg(arrival.cursor.map(id).unwrap_or_default());
    }
    script
}

/// The outcomes of `count` arrivals, of which `append.lua` returns the `digits`.
pub(super) fn outcomes(digits: &str, count: usize) -> Result<Vec<Appended>, StoreError> {
    let outcome = |digit: u8| OUTCOMES.get(usize::from(digit.wrapping_sub(b'0'))).copied();
    let appended = digits.bytes().map(outcome).collect::<Option<Vec<_>>>();
    appended.filter(|appended| appended.len() == count).ok_or_else(unexpected_answer)
}

/// What `read.lua` returns.
type ReadAnswer = (String, String, bool, Vec<(String, Value)>);

/// `begin` is the id where the inbox begins if it is new.
pub(super) fn read(
    connection: &mut Connection,
    after: Option<Cursor>,
    filter: &Filter,
    limit: PageLimit,
    begin: impl Fn() -> String,
    warned: &Warned,
) -> Result<Page, ReadError> {
    let mut script = invocation(&READ);
    script.arg(after.map(id).unwrap_or_default()).arg(limit.entries).arg(limit.bytes);
    script.arg(filter.room.is_some()).arg(filter.room.as_deref().unwrap_or_default()).arg(&filter.events);
    let (deleted, next, is_last, found): ReadAnswer = script.invoke(connection)?;
    let deleted = match cursor(&deleted) {
        Some(deleted) => deleted,
        None => expect_cursor(&invocation(&PROBE).arg(begin()).invoke::<String>(connection)?)?,
    };
    let after = after.unwrap_or(deleted);
    if after < deleted {
        return Err(ReadError::Gone { oldest: deleted });
    }
    let next = if next.is_empty() { after } else { expect_cursor(&next)? };
    let (mut entries, mut foreign_ids) = (Vec::with_capacity(found.len()), Vec::new());
    for (id, fields) in found {
        match entry(&id, fields) {
            Some(entry) => entries.push(entry),
            None => foreign_ids.push(id),
        }
    }
    warn_of_foreign(&foreign_ids, next, warned);
    Ok(Page { after, entries, next, is_last })
}

/// The cursor of the entry with this id, which a script has returned.
pub(super) fn expect_cursor(id: &str) -> Result<Cursor, StoreError> {
    cursor(id).ok_or_else(unexpected_answer)
}

/// The entry of an `id` and the fields that `read.lua` returns. `None` if another program wrote it.
fn entry(id: &str, fields: Value) -> Option<Entry> {
    type EntryFields = (u64, String, String, String, String, Vec<u8>);
    let cursor = cursor(id)?;
    let (received, key, id, event, room, body): EntryFields = redis::from_redis_value(fields).ok()?;
    Some(Entry { cursor, id, event, room, received: UnixTime::from_millis(received), key, body: body.into() })
}

/// When the newest entry up to `id` was received.
pub(super) fn received(connection: &mut Connection, id: &str) -> Result<Option<UnixTime>, StoreError> {
    let newest: Option<(String, String)> = invocation(&NEWEST).arg(id).invoke(connection)?;
    // The fields of another program's entry are not trusted, but its id is part of the order.
    Ok(newest.and_then(|(id, received)| received.parse().ok().map(UnixTime::from_millis).or_else(|| time_of_id(&id))))
}

pub(super) fn time_of_id(id: &str) -> Option<UnixTime> {
    cursor(id).map(Cursor::time)
}

/// Up to where and when the log has warned about entries of other programs.
pub(super) type Warned = Mutex<Option<(Cursor, Instant)>>;

/// Warns about entries with these `ids`, which are not after `next`: at most once about each, and not too often.
fn warn_of_foreign(ids: &[String], next: Cursor, warned: &Warned) {
    let Some(last) = ids.last() else { return };
    let last_cursor = cursor(last).unwrap_or(next);
    let mut warned = lock(warned);
    if warned.is_none_or(|(up_to, at)| last_cursor > up_to && at.elapsed() >= WARN_INTERVAL) {
        *warned = Some((last_cursor, Instant::now()));
        let (count, stream) = (ids.len(), ENTRIES);
        warn!(count, last, "the stream {stream} holds entries that roomkey did not write: they are skipped");
    }
}

/// The server is not a Redis that roomkey can use.
pub(super) fn unexpected_answer() -> StoreError {
    StoreError::Broken("the server's answer makes no sense".into())
}
