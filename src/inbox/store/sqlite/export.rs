//! Reads the file for an export, beside a roomkey that may be using it. Each page is a read of its own, so the log is emptied meanwhile.
//! Changes nothing, also in the file of an older roomkey. Does not know the form of an export.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Filter, Page, PageLimit};
use crate::inbox::store::sqlite::error::Why;
use crate::inbox::store::sqlite::{entries, open, schema};
use crate::inbox::store::{ReadError, StoreError};

/// A file that is only read.
pub(crate) struct ExportedFile(Connection);

impl ExportedFile {
    /// The inbox at `path`, which must exist.
    pub(crate) fn open(path: &Path) -> Result<Self, Why> {
        // SQLite treats some names specially, such as `:memory:`, but no absolute path, and does not say why it cannot open one.
        let path = std::path::absolute(path)?;
        fs::metadata(&path)?;
        open::check_kind(&path)?;
        let connection = open::read_only(&path)?;
        if schema::is_empty(&connection)? { Err(Why::Damaged) } else { Ok(Self(connection)) }
    }

    /// The cursor that everything committed from now on is later than.
    pub(crate) fn latest(&self) -> Result<Cursor, StoreError> {
        let read = |sql| self.0.query_row(sql, [], |row| row.get::<_, i64>(0));
        let newest = read("SELECT max(deleted, coalesce((SELECT max(cursor) FROM entry), 0)) FROM inbox")?;
        // The first version has no such table.
        let has_reached = read("SELECT count(*) FROM sqlite_schema WHERE name = 'reached'")? > 0;
        let reached = if has_reached { read("SELECT cursor FROM reached")? } else { 0 };
        Ok(Cursor::from_number(newest.max(reached)))
    }

    pub(crate) fn read(&self, after: Option<Cursor>, limit: PageLimit) -> Result<Page, ReadError> {
        entries::read(&self.0, after, &Filter::default(), limit)
    }
}
