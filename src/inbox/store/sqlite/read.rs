//! Reads a page: a bounded walk along the cursors. Does not know the connections.

use bytes::Bytes;
use rusqlite::{Connection, Row};

use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Entry, Filter, Page, PageLimit};
use crate::inbox::store::ReadError;
use crate::inbox::store::sqlite::{open, prune};

/// Entries that one read looks at, wanted or not.
const LOOKED_AT: usize = 1000;

pub(super) fn read(
    connection: &Connection,
    after: Option<Cursor>,
    filter: &Filter,
    mut limit: PageLimit,
) -> Result<Page, ReadError> {
    // Both statements read one snapshot.
    let snapshot = connection.unchecked_transaction()?;
    let deleted = open::deleted(&snapshot)?;
    let after = after.unwrap_or(deleted);
    if after < deleted {
        return Err(ReadError::Gone { oldest: deleted });
    }
    let mut page = Page::empty(after);
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
            let body = row.get_ref(6)?.as_blob().map_err(rusqlite::Error::from)?;
            if !limit.take(body.len()) {
                break;
            }
            page.entries.push(Entry {
                cursor,
                event: text(row, 1)?.to_owned(),
                room: text(row, 2)?.to_owned(),
                id: text(row, 3)?.to_owned(),
                key: text(row, 4)?.to_owned(),
                received: prune::time(row.get(5)?),
                body: Bytes::copy_from_slice(body),
            });
        }
        page.next = cursor;
    }
    Ok(page)
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a str> {
    Ok(row.get_ref(column)?.as_str()?)
}
