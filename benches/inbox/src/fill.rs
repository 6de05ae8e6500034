//! Fills an inbox with many entries, faster than deliveries would, and looks into it. Does not know what is measured.

use std::path::Path;
use std::process::Command;

/// A room with one entry in so many.
pub(crate) const SMALL_ROOM: &str = "small";
const SMALL: usize = 100_000;

/// Adds `count` entries of 300 B to the inbox in `file`, which has at least one: of 1000 rooms, and a small one.
pub(crate) fn fill(file: &Path, count: usize) -> Result<(), String> {
    ask(
        file,
        &format!(
            "PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN;
             CREATE TEMP TABLE last AS SELECT * FROM entry ORDER BY cursor DESC LIMIT 1;
             INSERT INTO entry WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {count})
                 SELECT cursor + i, number + i, randomblob(16), received, key, 'EV_' || i, event,
                     iif(i % {SMALL} = 0, '{SMALL_ROOM}', 'room ' || (i / 64 % 10 + i / 640 * 7 % 1000)), zeroblob(300) FROM n, last;
             INSERT OR IGNORE INTO fingerprint SELECT fingerprint, cursor FROM entry ORDER BY fingerprint;
             UPDATE inbox SET settled = (SELECT max(cursor) FROM entry);
             COMMIT;"
        ),
    )
    .map(drop)
}

/// Entries that are not in the index of rooms yet.
pub(crate) fn unindexed(file: &Path) -> Result<usize, String> {
    let last = "(SELECT number FROM entry ORDER BY cursor DESC LIMIT 1)";
    let indexed = "(SELECT number FROM entry WHERE cursor <= (SELECT indexed FROM inbox) ORDER BY cursor DESC LIMIT 1)";
    let number = ask(file, &format!("PRAGMA query_only = 1; SELECT {last} - coalesce({indexed}, 0)"))?;
    number.trim().parse().map_err(|_| format!("{number:?} is not a number"))
}

fn ask(file: &Path, sql: &str) -> Result<String, String> {
    let asked = Command::new("sqlite3").args(["-bail", "-cmd", ".timeout 10000"]).arg(file).arg(sql).output();
    let asked = asked.map_err(|error| format!("sqlite3: {error}"))?;
    if !asked.status.success() {
        return Err(format!("sqlite3: {}", String::from_utf8_lossy(&asked.stderr)));
    }
    Ok(String::from_utf8_lossy(&asked.stdout).into_owned())
}
