//! Owns the reading of a page: one script, which looks at a bounded number of entries and bytes. What roomkey did not write is
//! passed over.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::Connection;
use tracing::warn;

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Entry, Filter, Page, PageLimit};
use crate::inbox::lock;
use crate::inbox::redis::connection::NotOurs;
use crate::inbox::redis::keys;
use crate::inbox::store::{ReadError, StoreError};

/// Between two warnings of entries that roomkey did not write.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// What `read.lua` gives.
type Answer = (String, String, bool, Vec<Vec<Vec<u8>>>);

/// `begin` is where the inbox begins if it is new.
pub(super) fn read(
    connection: &mut Connection,
    after: Option<Cursor>,
    filter: &Filter,
    limit: PageLimit,
    begin: Cursor,
    strangers: &Strangers,
) -> Result<Page, ReadError> {
    let mut script = keys::read();
    script.arg(after.map(keys::id).unwrap_or_default()).arg(limit.entries).arg(limit.bytes);
    script.arg(filter.room.is_some()).arg(filter.room.as_deref().unwrap_or_default()).arg(&filter.events);
    let (deleted, next, is_last, found): Answer = script.invoke(connection)?;
    let deleted = match keys::cursor(&deleted) {
        Some(deleted) => deleted,
        None => cursor(&keys::probe().arg(keys::id(begin)).invoke::<String>(connection)?)?,
    };
    if after.is_some_and(|after| after < deleted) {
        return Err(ReadError::Gone { oldest: deleted });
    }
    let next = if next.is_empty() { after.unwrap_or(deleted) } else { cursor(&next)? };
    let (mut entries, mut strange) = (Vec::with_capacity(found.len()), Vec::new());
    for fields in found {
        match entry(fields) {
            Ok(entry) => entries.push(entry),
            Err(id) => strange.push(id),
        }
    }
    strangers.warn(&strange, next);
    Ok(Page { after: after.unwrap_or(deleted), entries, next, is_last })
}

fn cursor(id: &str) -> Result<Cursor, StoreError> {
    keys::cursor(id).ok_or_else(|| NotOurs::Answer.into())
}

/// An entry of what `read.lua` gives of it; its id where it is none.
fn entry(fields: Vec<Vec<u8>>) -> Result<Entry, String> {
    let mut fields = fields.into_iter();
    let id = fields.next().and_then(text).unwrap_or_default();
    parse(&id, fields).ok_or(id)
}

fn parse(id: &str, mut fields: impl Iterator<Item = Vec<u8>>) -> Option<Entry> {
    let mut next = || fields.next();
    Some(Entry {
        cursor: keys::cursor(id)?,
        received: UnixTime::from_millis(text(next()?)?.parse().ok()?),
        key: text(next()?)?,
        id: text(next()?)?,
        event: text(next()?)?,
        room: text(next()?)?,
        body: Bytes::from(next()?),
    })
}

fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok()
}

/// The entries of other programs, as far as they were warned of.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<Option<(Cursor, Instant)>>);

impl Strangers {
    /// Warns of the entries `ids`, all of them up to `next`: of each once, and not of all where they keep coming.
    fn warn(&self, ids: &[String], next: Cursor) {
        let Some(last) = ids.last() else { return };
        let last_place = keys::cursor(last).unwrap_or(next);
        let mut warned = lock(&self.0);
        if warned.is_none_or(|(upto, at)| last_place > upto && at.elapsed() >= WARN_EVERY) {
            *warned = Some((last_place, Instant::now()));
            warn!(
                count = ids.len(),
                last,
                "the stream {} holds entries that roomkey did not write: they are passed over",
                keys::ENTRIES
            );
        }
    }
}
