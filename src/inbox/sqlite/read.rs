//! Owns the reading of a page: a bounded walk along the cursors, on a connection of its own.

use bytes::Bytes;
use rusqlite::{Connection, Row};

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Entry, Filter, Page, PageLimit};
use crate::inbox::store::ReadError;

/// Entries that one read looks at, wanted or not.
const LOOKED_AT: usize = 1000;

pub(super) fn read(connection: &Connection, after: Option<Cursor>, filter: &Filter, limit: PageLimit) -> Result<Page, ReadError> {
    // One snapshot for both statements.
    let snapshot = connection.unchecked_transaction()?;
    let deleted =
        snapshot.prepare_cached("SELECT deleted FROM inbox")?.query_row([], |row| row.get(0)).map(Cursor::from_number)?;
    let after = after.unwrap_or(deleted);
    if after < deleted {
        return Err(ReadError::Gone { oldest: deleted });
    }
    let mut page = Page { after, entries: Vec::new(), next: after, is_last: false };
    let mut bytes = 0_usize;
    let mut statement = snapshot
        .prepare_cached("SELECT cursor, event, room, id, key, received, body FROM entry WHERE cursor > ? ORDER BY cursor")?;
    let mut rows = statement.query([after.number()])?;
    for _ in 0..LOOKED_AT {
        let Some(row) = rows.next()? else {
            page.is_last = true;
            break;
        };
        let cursor = Cursor::from_number(row.get(0)?);
        if filter.wants(text(row, 2)?, text(row, 1)?) {
            if page.entries.len() >= limit.entries || bytes >= limit.bytes {
                break;
            }
            let entry = entry(row, cursor)?;
            bytes = bytes.saturating_add(entry.body.len());
            page.entries.push(entry);
        }
        page.next = cursor;
    }
    Ok(page)
}

fn entry(row: &Row<'_>, cursor: Cursor) -> rusqlite::Result<Entry> {
    Ok(Entry {
        cursor,
        event: text(row, 1)?.to_owned(),
        room: text(row, 2)?.to_owned(),
        id: text(row, 3)?.to_owned(),
        key: text(row, 4)?.to_owned(),
        received: UnixTime::from_millis(row.get::<_, i64>(5)?.try_into().unwrap_or(0)),
        body: Bytes::copy_from_slice(row.get_ref(6)?.as_blob()?),
    })
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a str> {
    Ok(row.get_ref(column)?.as_str()?)
}
