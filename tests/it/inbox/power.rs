//! Power cuts: an interrupted start is repeated, and a failed sync does not lose what was acknowledged after it.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use roomkey::clock::Clock;
use roomkey::inbox::{Appended, Inbox, Retention};
use rusqlite::Connection;
use rustix::process::Signal;

use super::sender::{Sender, place, send_until_committed, start, start_by_script};
use super::support::{append, event, everything, open_sqlite};
use crate::harness::directory::Directory;
use crate::harness::disk::failing_disk;
use crate::harness::program::free_address;
use crate::harness::wait::eventually;

fn open(file: &Path) -> Inbox {
    open_sqlite(file, Retention::default(), Clock::system())
}

/// An inbox begins at `file`, and works.
async fn assert_begins(file: &Path, what: &str) {
    for expected in [Appended::Committed, Appended::Duplicate] {
        let inbox = open_sqlite(file, Retention::default(), Clock::system());
        assert_eq!(append(&inbox, event("EV_1", "x", "y")).await, expected, "{what}");
        inbox.close().await;
    }
}

/// Copies the inbox at `from` and what lies beside it to a directory of its own.
fn copy(from: &Path, to: &Path) -> PathBuf {
    fs::create_dir(to).unwrap();
    for name in ["inbox.db", "inbox.db-journal", "inbox.db-wal"] {
        let _ = fs::copy(from.join(name), to.join(name)); // it may not be there
    }
    to.join("inbox.db")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_ends_at_any_write() {
    let scratch = Directory::new();
    let Some(library) = failing_disk(&scratch) else { return };
    for step in 1.. {
        let (place_of, disk) = (scratch.file(&format!("at {step}")), scratch.file(&format!("disk {step}")));
        fs::create_dir(&place_of).unwrap();
        fs::create_dir(&disk).unwrap();
        let address = free_address();
        let start = start(&place(&place_of.join("inbox.db"))).env("SERVER_PORT", address.port().to_string());
        let mut program = start.env("LD_PRELOAD", &library).env("STOP_AT", step.to_string()).env("DISK", &disk).spawn();
        let begin = Instant::now();
        let ended = loop {
            if program.has_ended() {
                break Some(program.wait());
            }
            let answer = TcpStream::connect(address).and_then(|mut stream| {
                stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: roomkey\r\nConnection: close\r\n\r\n")?;
                std::io::read_to_string(stream)
            });
            if answer.is_ok_and(|answer| answer.contains(" 200 ")) {
                break None;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "it neither starts nor ends");
            std::thread::sleep(Duration::from_millis(2));
        };
        program.kill();
        // Either only the process ends, or the power is cut too.
        assert_begins(&place_of.join("inbox.db"), &format!("step {step}, by the system")).await;
        let left = copy(&disk, &scratch.file(&format!("left {step}")));
        assert_begins(&left, &format!("step {step}, by the disk")).await;
        let Some(ended) = ended else {
            assert!(step > 10, "the program is not stopped");
            return;
        };
        assert_eq!(ended.code(), Some(9), "step {step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_being_made() {
    type Make = fn(&Path);
    let states: [(&str, Make); 6] = [
        ("empty", |file| fs::write(file, "").unwrap()),
        ("zeros", |file| fs::write(file, [0; 8192]).unwrap()),
        ("a header that says nothing yet", |file| {
            let connection = Connection::open(file).unwrap();
            connection.execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL").unwrap();
        }),
        ("such a header, and a log cut short", |file| {
            let connection = Connection::open(file).unwrap();
            connection.execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; CREATE TABLE entry (x)").unwrap();
            let left = file.with_extension("left");
            let log = |file: &Path| PathBuf::from(format!("{}-wal", file.display()));
            fs::copy(file, &left).unwrap();
            fs::write(log(&left), &fs::read(log(file)).unwrap()[..9000]).unwrap();
            drop(connection);
            fs::rename(&left, file).unwrap();
            fs::rename(log(&left), log(file)).unwrap();
        }),
        ("half a header", |file| {
            let connection = Connection::open(file).unwrap();
            connection.execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL").unwrap();
            drop(connection);
            let header = fs::read(file).unwrap();
            fs::write(file, &header[..4096]).unwrap();
        }),
        ("empty, with a log and a journal", |file| {
            fs::write(file, "").unwrap();
            for ending in ["-wal", "-journal"] {
                fs::write(format!("{}{ending}", file.display()), [0x55; 5000]).unwrap();
            }
        }),
    ];
    for (what, make) in states {
        let scratch = Directory::new();
        let file = scratch.file("inbox.db");
        make(&file);
        assert_begins(&file, what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_loses_nothing_that_is_acknowledged_later() {
    let scratch = Directory::new();
    let Some(library) = failing_disk(&scratch) else { return };
    let (file, disk, fail) = (scratch.file("inbox.db"), scratch.file("disk"), scratch.file("fail"));
    fs::create_dir(&disk).unwrap();
    let start = start(&place(&file)).flags(&["--inbox-keep", "1s"]);
    let start = start.env("LD_PRELOAD", &library).env("DISK", &disk).env("FAIL_WHILE", &fail);
    let mut program = start.serve_at(free_address());
    let mut sender = Sender::connect(&program);
    for round in 0..3 {
        // Old entries are deleted; the deletion is in the log.
        for number in 0..50 {
            assert!(sender.send(&event(&format!("{round} {number}"), "x", "y")).unwrap().is_committed());
        }
        let count = || Connection::open(&file)?.query_row("SELECT count(*) FROM entry", [], |row| row.get::<_, i64>(0));
        eventually("they are deleted", async || count().is_ok_and(|count| count == 0)).await;
        fs::write(&fail, "").unwrap();
        assert!(sender.send(&event(&format!("{round} during"), "x", "y")).unwrap().is_try_again());
        fs::remove_file(&fail).unwrap();
        let mut sent = 0;
        let mut acknowledged = vec![send_until_committed(&mut sender, Duration::from_secs(10), || {
            sent += 1;
            event(&format!("{round} after {sent}"), "x", "y")
        })];
        for number in 0..5 {
            acknowledged.push(event(&format!("{round} later {number}"), "x", "y"));
            assert!(sender.send(acknowledged.last().unwrap()).unwrap().is_committed());
        }
        // The power is cut.
        program.signal(Signal::STOP);
        let left = open(&copy(&disk, &scratch.file(&format!("left {round}"))));
        let deleted = Connection::open(scratch.file(&format!("left {round}/inbox.db"))).unwrap();
        let deleted: i64 = deleted.query_row("SELECT deleted_number FROM inbox", [], |row| row.get(0)).unwrap();
        let kept = everything(&left).await;
        let all = i64::try_from(kept.len()).unwrap() + deleted;
        assert!(all >= i64::from(round + 1) * 56, "round {round}: {deleted} were deleted, {} are kept", kept.len());
        // On a slow machine they may already be too old.
        assert!(
            acknowledged.iter().rev().zip(kept.iter().rev()).all(|(body, entry)| entry.body == body.as_bytes()),
            "round {round}"
        );
        program.signal(Signal::CONT);
    }
    program.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_are_for_their_owner_alone() {
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    let program = start_by_script("umask 0; exec \"$0\" \"$@\"", &place(&file)).serve_at(free_address());
    assert!(Sender::connect(&program).send(&event("1", "x", "y")).unwrap().is_committed());
    for ending in ["", "-wal", "-shm"] {
        let mode = fs::metadata(format!("{}{ending}", file.display())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{ending}");
    }
}
