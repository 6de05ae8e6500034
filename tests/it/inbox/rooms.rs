//! The index of rooms: reads of one room are complete at any time, also in the file of an older version while its index is built.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use roomkey::clock::Clock;
use roomkey::inbox::{Appended, Entry, Filter, Inbox, PageLimit, Retention};
use rusqlite::Connection;

use super::sender::{Sender, place, serve};
use super::support::{ALL, append, append_all, event, everything, open_sqlite, read_all};
use crate::harness::directory::Directory;
use crate::harness::wait::eventually;

/// The index follows the entries with steps of so many.
const STEP: i64 = 2048;
/// The tables of version 1.
const FIRST: &str = "
    PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA application_id = 0x726d6b79; PRAGMA user_version = 1;
    CREATE TABLE entry (cursor INTEGER PRIMARY KEY, number INTEGER NOT NULL, fingerprint BLOB NOT NULL, received INTEGER NOT NULL,
        key TEXT NOT NULL, id TEXT NOT NULL, event TEXT NOT NULL, room TEXT NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE TABLE fingerprint (fingerprint BLOB PRIMARY KEY, cursor INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE inbox (deleted INTEGER NOT NULL, deleted_number INTEGER NOT NULL, settled INTEGER NOT NULL,
        purged INTEGER NOT NULL) STRICT;
    INSERT INTO inbox SELECT at, 0, at, at FROM (SELECT (unixepoch() - 3600) * 1000 << 20 AS at);
";
/// Adds entries of 11 rooms, three of which have names that begin alike, with 3 kinds of events.
const ENTRIES: &str = "
    INSERT INTO entry WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
        SELECT deleted + (i << 15), i, randomblob(16), ((deleted + (i << 15)) >> 20), 'APIone', 'EV_' || i, 'event ' || (i % 3),
            iif(i % 11 < 3, hex(zeroblob(35)), 'room ') || (i % 11), zeroblob(200) FROM n, inbox
";

/// The file of version 1 with so many entries.
pub(super) fn old_file(file: &Path, entries: i64) {
    let connection = Connection::open(file).unwrap();
    connection.execute_batch(FIRST).unwrap();
    connection.execute(ENTRIES, [entries]).unwrap();
    connection.execute_batch("INSERT INTO fingerprint SELECT fingerprint, cursor FROM entry ORDER BY 1").unwrap();
    connection.execute_batch("UPDATE inbox SET settled = (SELECT max(cursor) FROM entry)").unwrap();
}

fn open(file: &Path) -> Inbox {
    open_sqlite(file, Retention::default(), Clock::system())
}

/// One number from the file, while roomkey may use it.
fn number(file: &Path, sql: &str) -> i64 {
    Connection::open(file).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

const INDEXED: &str = "SELECT count(*) FROM room_entry";

/// Each room's entries, which a read of that room returns.
async fn assert_complete(inbox: &Inbox) -> BTreeMap<String, Vec<Entry>> {
    let mut rooms = BTreeMap::<_, Vec<_>>::new();
    for entry in everything(inbox).await {
        rooms.entry(entry.room.clone()).or_default().push(entry);
    }
    for (room, entries) in &rooms {
        let of_room =
            |events: &[&str]| Filter { room: Some(room.clone()), events: events.iter().map(ToString::to_string).collect() };
        assert!(read_all(inbox, of_room(&[])).await.unwrap() == *entries, "{room}");
        let some: Vec<_> = entries.iter().filter(|entry| entry.event != "event 1").cloned().collect();
        assert!(read_all(inbox, of_room(&["event 0", "event 2"])).await.unwrap() == some, "{room}");
        // From the middle, and a few at a time.
        let middle = &entries[entries.len() / 2..];
        let page = inbox.read(Some(middle[0].cursor), &Arc::new(of_room(&[])), PageLimit { entries: 5, ..ALL }).await.unwrap();
        assert!(page.entries == middle[1..middle.len().min(6)], "{room}");
    }
    assert!(read_all(inbox, Filter { room: Some("nobody's".to_owned()), events: Vec::new() }).await.unwrap().is_empty());
    rooms
}

#[tokio::test(flavor = "multi_thread")]
async fn new_entries_are_indexed() {
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    let inbox = open(&file);
    // Some begin alike.
    let rooms = ["daily", "", "a\\u0000b", "a\\u0000c", &"é".repeat(64), &"é".repeat(65)];
    append_all(&inbox, (0..9000).map(|i| event(&i.to_string(), &format!("event {}", i % 3), rooms[i / 3 % rooms.len()]))).await;
    eventually("they are indexed", async || number(&file, INDEXED) == 9000 / STEP * STEP).await;
    assert_eq!(assert_complete(&inbox).await.len(), rooms.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_first_version_is_indexed_while_it_is_read_and_written() {
    const OLD: i64 = 40_000;
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    old_file(&file, OLD);
    let inbox = open(&file);
    let mut sent = 0;
    while number(&file, INDEXED) < OLD / STEP * STEP {
        let rooms = assert_complete(&inbox).await;
        assert_eq!(rooms.values().map(Vec::len).sum::<usize>(), OLD as usize + sent);
        append(&inbox, event(&format!("new {sent}"), "event 1", "room 5")).await;
        sent += 1;
    }
    assert_complete(&inbox).await;
    assert_eq!(number(&file, "PRAGMA user_version"), 3);
    assert_eq!(append(&inbox, event("new 0", "event 1", "room 5")).await, Appended::Duplicate);
    // A restart changes nothing.
    inbox.close().await;
    drop(inbox);
    assert_complete(&open(&file)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_entries_are_deleted_while_the_index_is_built() {
    const OLD: i64 = 60_000;
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    old_file(&file, OLD);
    let inbox = open_sqlite(&file, Retention { bytes: 8 << 20, ..Retention::default() }, Clock::system());
    let left = || usize::try_from(inbox.usage().unwrap().entries).unwrap();
    eventually("some are deleted", async || inbox.usage().unwrap().bytes <= 8 << 20).await;
    eventually("the others are indexed", async || {
        let unindexed = "SELECT count(*) FROM entry, inbox WHERE cursor > indexed";
        number(&file, unindexed) < STEP && inbox.usage().unwrap().bytes <= 8 << 20
    })
    .await;
    assert!((10_000..50_000).contains(&left()), "{}", left());
    assert_eq!(assert_complete(&inbox).await.values().map(Vec::len).sum::<usize>(), left());
    let wrong = "SELECT count(*) FROM room_entry, inbox WHERE part < deleted_number / 16384";
    assert_eq!(number(&file, wrong), 0, "parts without entries are deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_time_does_not_harm_the_index() {
    const OLD: i64 = 120_000;
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    old_file(&file, OLD);
    for round in 0..6 {
        let mut program = serve(&place(&file));
        let mut sender = Sender::connect(&program);
        for number in 0..10 * round {
            assert!(sender.send(&event(&format!("{round} {number}"), "event 1", "room 5")).unwrap().is_committed());
        }
        std::thread::sleep(Duration::from_millis(7 * round));
        program.kill();
    }
    let before = number(&file, INDEXED);
    let inbox = open(&file);
    assert_complete(&inbox).await;
    eventually("all are indexed", async || number(&file, INDEXED) >= OLD / STEP * STEP).await;
    let rooms = assert_complete(&inbox).await;
    assert_eq!(rooms.values().map(Vec::len).sum::<usize>(), OLD as usize + 150);
    eprintln!("{before} were indexed when it was killed for the last time");
}
