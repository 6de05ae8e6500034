//! Reads a page with one script, which looks at a bounded number of entries and bytes, and skips entries of other programs. Does not
//! know the connections.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::Connection;
use tracing::warn;

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Entry, Filter, Page, PageLimit};
use crate::inbox::store::redis::scripts;
use crate::inbox::store::redis::server::UnexpectedServer;
use crate::inbox::store::{ReadError, StoreError};
use crate::worker::lock;

/// Between two warnings about entries that roomkey did not write.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// What `read.lua` returns.
type ReadAnswer = (String, String, bool, Vec<Vec<Vec<u8>>>);

/// `begin` is the id where the inbox begins if it is new.
pub(super) fn read(
    connection: &mut Connection,
    after: Option<Cursor>,
    filter: &Filter,
    limit: PageLimit,
    begin: impl Fn() -> String,
    foreign: &ForeignEntries,
) -> Result<Page, ReadError> {
    let mut script = scripts::invocation(&scripts::READ);
    script.arg(after.map(scripts::id).unwrap_or_default()).arg(limit.entries).arg(limit.bytes);
    script.arg(filter.room.is_some()).arg(filter.room.as_deref().unwrap_or_default()).arg(&filter.events);
    let (deleted, next, is_last, found): ReadAnswer = script.invoke(connection)?;
    let deleted = match scripts::cursor(&deleted) {
        Some(deleted) => deleted,
        None => cursor(&scripts::invocation(&scripts::PROBE).arg(begin()).invoke::<String>(connection)?)?,
    };
    let after = after.unwrap_or(deleted);
    if after < deleted {
        return Err(ReadError::Gone { oldest: deleted });
    }
    let next = if next.is_empty() { after } else { cursor(&next)? };
    let (mut entries, mut foreign_ids) = (Vec::with_capacity(found.len()), Vec::new());
    for fields in found {
        match entry(fields) {
            Ok(entry) => entries.push(entry),
            Err(id) => foreign_ids.push(id),
        }
    }
    foreign.warn(&foreign_ids, next);
    Ok(Page { after, entries, next, is_last })
}

fn cursor(id: &str) -> Result<Cursor, StoreError> {
    scripts::cursor(id).ok_or_else(|| UnexpectedServer::Answer.into())
}

/// An entry from the fields that `read.lua` returns; only its id if another program wrote it.
fn entry(fields: Vec<Vec<u8>>) -> Result<Entry, String> {
    let mut fields = fields.into_iter();
    let id = fields.next().and_then(text).unwrap_or_default();
    parse(&id, fields).ok_or(id)
}

fn parse(id: &str, mut fields: impl Iterator<Item = Vec<u8>>) -> Option<Entry> {
    let mut next = || fields.next();
    Some(Entry {
        cursor: scripts::cursor(id)?,
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

/// Up to where and when the log has warned about entries of other programs.
#[derive(Debug, Default)]
pub(super) struct ForeignEntries(Mutex<Option<(Cursor, Instant)>>);

impl ForeignEntries {
    /// Warns about entries with these `ids`, which are not after `next`: at most once about each, and not too often.
    fn warn(&self, ids: &[String], next: Cursor) {
        let Some(last) = ids.last() else { return };
        let last_cursor = scripts::cursor(last).unwrap_or(next);
        let mut warned = lock(&self.0);
        if warned.is_none_or(|(up_to, at)| last_cursor > up_to && at.elapsed() >= WARN_INTERVAL) {
            *warned = Some((last_cursor, Instant::now()));
            let (count, stream) = (ids.len(), scripts::ENTRIES);
            warn!(count, last, "the stream {stream} holds entries that roomkey did not write: they are skipped");
        }
    }
}
