//! Defines the tables of the file, version by version, and brings the file of an older roomkey up to date. Does not know what is done
//! with the tables.

use rusqlite::{Connection, TransactionBehavior::Immediate};

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::store::sqlite::error::Why;

/// `application_id` of the file: "rmky".
const APPLICATION: i32 = 0x726d_6b79;
/// Each step leads to the next version, from a file without tables on. All are done in one transaction when the file is opened, so
/// they are quick however many entries there are; what takes longer is done later, a little at a time.
const STEPS: [&str; 3] = [
    "
    CREATE TABLE entry (
        cursor INTEGER PRIMARY KEY,  -- milliseconds since 1970 << 20 | a count
        number INTEGER NOT NULL,     -- from 1, without gaps
        fingerprint BLOB NOT NULL,   -- 16 bytes that identify the event
        received INTEGER NOT NULL,   -- milliseconds since 1970
        key TEXT NOT NULL,           -- the API key that signed
        id TEXT NOT NULL,            -- the event's id; empty if it has none
        event TEXT NOT NULL,         -- the event's name; empty if it has none
        room TEXT NOT NULL,          -- the room's name; empty if the event has none
        body BLOB NOT NULL           -- byte for byte
    ) STRICT;
    CREATE TABLE fingerprint (       -- an index of entry, to which the newest entries are added later
        fingerprint BLOB PRIMARY KEY,
        cursor INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE inbox (             -- one row of cursors; at first, of the time when the file was created
        deleted INTEGER NOT NULL,    -- entries up to here are deleted
        deleted_number INTEGER NOT NULL, -- the number of the last deleted entry
        settled INTEGER NOT NULL,    -- entries up to here are in the index of fingerprints
        purged INTEGER NOT NULL      -- deleted entries up to here are no longer in the index of fingerprints
    ) STRICT;
    ",
    // Files of version 1 may have the table `reached`.
    "
    CREATE TABLE IF NOT EXISTS reached (cursor INTEGER NOT NULL) STRICT; -- one row: new entries have later cursors
    INSERT INTO reached SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM reached);
    CREATE TABLE room_entry (        -- an index of entry, in parts, to which the newest entries are added later
        part INTEGER,                -- by the number of the entry
        room TEXT,                   -- the beginning of the room's name
        cursor INTEGER,
        PRIMARY KEY (part, room, cursor)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE inbox ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0; -- entries up to here are in room_entry
    ",
    "
    CREATE TABLE target (            -- what the relay sends events to
        name TEXT PRIMARY KEY,
        cursor INTEGER,              -- events up to here are settled or owed; null before the first commit
        paused INTEGER NOT NULL DEFAULT 0,
        down INTEGER NOT NULL DEFAULT 0,
        error TEXT NOT NULL DEFAULT '',   -- why the last attempt that failed did
        replays TEXT NOT NULL DEFAULT '', -- what is left of the replays, each on a line
        epoch INTEGER NOT NULL DEFAULT 0, -- grows with each holder of the lease
        holder TEXT,                 -- the opening of this file that holds the lease
        asked INTEGER NOT NULL DEFAULT 0, -- the number of the last row that was added to steering
        touched INTEGER NOT NULL     -- when it was known to be in use, in milliseconds since 1970
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE owed (              -- events that a target has not taken
        target TEXT,
        cursor INTEGER,
        lane TEXT NOT NULL,          -- the room's name; empty if the event has none
        state TEXT NOT NULL,         -- held, aside, dead, expired
        attempts INTEGER NOT NULL,
        first INTEGER,               -- when it was tried first, in milliseconds since 1970
        next INTEGER,                -- when it is tried next, if that is known
        status INTEGER,              -- of the last answer
        error TEXT NOT NULL,         -- why the last attempt failed
        replay INTEGER NOT NULL,
        PRIMARY KEY (target, cursor)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX owed_by_state ON owed (target, state, cursor);
    CREATE TABLE steering (          -- what people ask the holder of the lease to do
        target TEXT,
        number INTEGER,
        request TEXT NOT NULL,
        PRIMARY KEY (target, number)
    ) STRICT, WITHOUT ROWID;
    ",
];
/// `user_version` of a file that has all of them.
const VERSION: i32 = STEPS.len() as i32;

/// Whether the database has no tables, because it is new or its creation was interrupted.
pub(super) fn is_empty(connection: &Connection) -> Result<bool, Why> {
    let read = |sql| connection.query_row(sql, [], |row| row.get::<_, i32>(0));
    let tables = read("SELECT count(*) FROM sqlite_schema")?;
    match (read("PRAGMA application_id")?, version(connection)?) {
        (APPLICATION, version) if version > VERSION => Err(Why::Newer),
        (0 | APPLICATION, 0..=VERSION) if tables == 0 => Ok(true),
        (APPLICATION, 1..=VERSION) => Ok(false),
        _ => Err(Why::Foreign),
    }
}

/// Does the steps that the file lacks, all or none.
pub(super) fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let version = version(connection)?;
    if version == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(Immediate)?;
    for step in STEPS.iter().skip(usize::try_from(version).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

fn version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Begins an inbox in a new file with all tables.
pub(super) fn begin(connection: &Connection, now: UnixTime) -> rusqlite::Result<usize> {
    let insert = "INSERT INTO inbox (deleted, deleted_number, settled, purged, indexed) VALUES (?1, 0, ?1, ?1, ?1)";
    connection.execute(insert, [Cursor::at(now).number()])
}
