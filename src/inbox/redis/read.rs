//! Owns the reading of a page: a bounded walk along the stream, a few entries at a time so that large ones do not pile up.

use bytes::Bytes;
use redis::Connection;

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Entry, Filter, Page, PageLimit};
use crate::inbox::redis::connection::NotOurs;
use crate::inbox::redis::keys::{self, ENTRIES, STATE};
use crate::inbox::store::{ReadError, StoreError};

/// Entries that one read looks at, wanted or not.
const LOOKED_AT: usize = 1000;
/// Entries that are asked for at first, and at most, in one command.
const FIRST_STRIDE: usize = 32;
const LONGEST_STRIDE: usize = 256;
/// Bytes of a body, as far as is known at first: LiveKit's have about as many.
const USUAL_BYTES: usize = 1300;
/// Of bodies in one answer; where there were more, fewer entries are asked for the next time.
const STRIDE_BYTES: usize = 256 * 1024;

/// An entry as it is stored: its id, its fields' names and values by turns.
type Stored = (String, Vec<Vec<u8>>);

/// `begin` is where the inbox begins if it is new.
pub(super) fn read(
    connection: &mut Connection,
    after: Option<Cursor>,
    filter: &Filter,
    limit: PageLimit,
    begin: Cursor,
) -> Result<Page, ReadError> {
    let mut page = Page { after: after.unwrap_or(begin), entries: Vec::new(), next: begin, is_last: false };
    let from_oldest = after.is_none();
    let (mut after, mut looked_at, mut bytes, mut stride) = (after, 0_usize, 0_usize, FIRST_STRIDE);
    let mut usual = USUAL_BYTES;
    while looked_at < LOOKED_AT {
        // Where all are wanted, no more than there is room for, and one that tells that there are more.
        let fitting = limit.bytes.saturating_sub(bytes).checked_div(usual).unwrap_or(0);
        let room = limit.entries.saturating_sub(page.entries.len()).min(fitting).saturating_add(1);
        let count = if *filter == Filter::default() { stride.min(room) } else { stride };
        let (deleted, stored) = fetch(connection, after, count, begin)?;
        if after.is_some_and(|after| after < deleted) {
            if from_oldest {
                // The oldest is another one now, and nobody was told of those before it.
                (page.entries, page.next, after, bytes) = (Vec::new(), deleted, None, 0);
                looked_at = looked_at.saturating_add(count);
                continue;
            }
            if looked_at == 0 {
                return Err(ReadError::Gone { oldest: deleted });
            }
            break; // what comes next was deleted meanwhile, which the next read says
        }
        page.next = after.unwrap_or(deleted);
        if from_oldest && after.is_none() {
            page.after = deleted;
        }
        let (found, mut found_bytes) = (stored.len(), 0_usize);
        for stored in stored {
            let entry = entry(stored)?;
            found_bytes = found_bytes.saturating_add(entry.body.len());
            let cursor = entry.cursor;
            if filter.wants(&entry.room, &entry.event) {
                if page.entries.len() >= limit.entries || bytes >= limit.bytes {
                    return Ok(page);
                }
                bytes = bytes.saturating_add(entry.body.len());
                page.entries.push(entry);
            }
            page.next = cursor;
        }
        if found < count {
            page.is_last = true;
            break;
        }
        looked_at = looked_at.saturating_add(found);
        after = Some(page.next);
        usual = found_bytes.checked_div(found).unwrap_or(0).max(1);
        stride = if found_bytes > STRIDE_BYTES { (stride / 2).max(1) } else { stride.saturating_mul(2).min(LONGEST_STRIDE) };
    }
    Ok(page)
}

/// Up to `count` entries after `after`, and what was deleted. The latter is asked for last: what goes between the two is at worst
/// told as gone, never passed over. (A transaction would be refused where memory is short.)
fn fetch(
    connection: &mut Connection,
    after: Option<Cursor>,
    count: usize,
    begin: Cursor,
) -> Result<(Cursor, Vec<Stored>), ReadError> {
    let from = after.map_or_else(|| "-".to_owned(), |after| format!("({}", keys::id(after)));
    let mut both = redis::pipe();
    both.cmd("XRANGE").arg(ENTRIES).arg(from).arg("+").arg("COUNT").arg(count);
    both.cmd("HGET").arg(STATE).arg("deleted");
    let (stored, deleted): (Vec<Stored>, Option<String>) = both.query(connection)?;
    let deleted = match deleted {
        Some(deleted) => deleted,
        None => keys::probe().arg(keys::id(begin)).invoke(connection)?,
    };
    Ok((keys::cursor(&deleted).ok_or(NotOurs::Answer).map_err(StoreError::from)?, stored))
}

fn entry((id, fields): Stored) -> Result<Entry, ReadError> {
    parse(&id, fields).ok_or_else(|| StoreError::from(NotOurs::Entry).into())
}

/// The fields in the order in which `append.lua` writes them.
fn parse(id: &str, fields: Vec<Vec<u8>>) -> Option<Entry> {
    let [_, _, _, received, _, key, _, event_id, _, event, _, room, _, body] = <[Vec<u8>; 14]>::try_from(fields).ok()?;
    let text = |bytes| String::from_utf8(bytes).ok();
    Some(Entry {
        cursor: keys::cursor(id)?,
        id: text(event_id)?,
        event: text(event)?,
        room: text(room)?,
        received: UnixTime::from_millis(text(received)?.parse().ok()?),
        key: text(key)?,
        body: Bytes::from(body),
    })
}
