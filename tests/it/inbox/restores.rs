//! A backup that was taken under load is restored, complete to the cursor that the command names, whatever was in the inbox before.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use roomkey::clock::Clock;
use roomkey::inbox::{Cursor, Entry, Retention};
use rusqlite::Connection;

use super::sender::{Sender, place, serve};
use super::support::{append_all, event, everything, open_sqlite};
use crate::harness::directory::Directory;
use crate::harness::outside::is_installed;
use crate::harness::program::Start;
use crate::harness::wait::eventually_blocking;

fn restore(file: &Path, copy: &Path) -> Start {
    Start::command(["inbox", "restore", copy.to_str().unwrap()]).env("ROOMKEY_INBOX", place(file))
}

fn kept(file: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}.before-restore{suffix}", file.display()))
}

/// Everything in `file`, which is closed afterwards.
async fn entries(file: &Path) -> Vec<Entry> {
    let inbox = open_sqlite(file, Retention::default(), Clock::system());
    let entries = everything(&inbox).await;
    inbox.close().await;
    entries
}

async fn inbox(file: &Path, ids: std::ops::Range<usize>) {
    let inbox = open_sqlite(file, Retention::default(), Clock::system());
    append_all(&inbox, ids.map(|id| event(&id.to_string(), &"x".repeat(500), "y"))).await;
    inbox.close().await;
}

/// The cursor that the command names.
fn complete_to(said: &str) -> Cursor {
    let (_, end) = said.split_once(", complete up to ").unwrap();
    end[..16].parse().unwrap()
}

/// Restores what `back_up` copies while webhooks come in.
async fn back_up_under_load(back_up: impl Fn(&Path, &Path)) {
    let scratch = Directory::new();
    let (file, copy) = (scratch.file("inbox.db"), scratch.file("copy.db"));
    let mut program = serve(&place(&file));
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let before = thread::scope(|scope| {
        for sender in 0..8 {
            let (stop, sent, mut connection) = (&stop, &sent, Sender::connect(&program));
            scope.spawn(move || {
                for count in 0.. {
                    let body = event(&format!("{sender} {count}"), &"x".repeat(count % 3000), "y");
                    if stop.load(Relaxed) || !connection.send(&body).unwrap().is_committed() {
                        return;
                    }
                    sent.fetch_add(1, Relaxed);
                }
            });
        }
        eventually_blocking("some are sent", || sent.load(Relaxed) > 300);
        let before = sent.load(Relaxed);
        back_up(&file, &copy);
        let during = sent.load(Relaxed);
        eventually_blocking("more are sent", || sent.load(Relaxed) > during + 300);
        stop.store(true, Relaxed);
        before
    });
    program.kill();
    assert!(fs::metadata(scratch.file("inbox.db-wal")).unwrap().len() > 0, "the newest events are in the log");

    let copied = fs::read(&copy).unwrap();
    let said = restore(&file, &copy).run().done();
    assert!(fs::read(&copy).unwrap() == copied, "the copy has changed");
    assert!(!scratch.file("inbox.db-wal").exists() && !scratch.file("inbox.db-shm").exists());
    assert!(said.ends_with(&format!("; the old inbox is {}\n", kept(&file, "").display())), "{said}");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);

    let (all, restored) = (entries(&kept(&file, "")).await, entries(&file).await);
    assert_eq!(all.len(), sent.load(Relaxed), "the old inbox has its log");
    let end = complete_to(&said);
    assert!(restored == all.iter().filter(|entry| entry.cursor <= end).cloned().collect::<Vec<_>>());
    assert!((before..all.len()).contains(&restored.len()), "{} of {}", restored.len(), all.len());
    assert!(said.starts_with(&format!("restored {} events, ", restored.len())), "{said}");
    // New events come after what readers of the old inbox have seen.
    let program = serve(&place(&file));
    assert!(Sender::connect(&program).send(&event("new", "x", "y")).unwrap().is_committed());
    program.stop();
    let last = entries(&file).await.pop().unwrap();
    assert!(last.id == "new" && last.cursor > all.last().unwrap().cursor);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_by_sqlite_under_load_is_complete_to_its_cursor() {
    if is_installed("sqlite3", "--version") {
        back_up_under_load(|file, copy| {
            let backup = format!(".backup {}", copy.display());
            assert!(Command::new("sqlite3").arg(file).arg(backup).status().unwrap().success());
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_by_vacuum_under_load_is_complete_to_its_cursor() {
    back_up_under_load(|file, copy| {
        Connection::open(file).unwrap().execute("VACUUM INTO ?", [copy.to_str().unwrap()]).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_restored_where_there_is_no_inbox_or_a_damaged_one() {
    let scratch = Directory::new();
    let (file, copy) = (scratch.file("inbox.db"), scratch.file("copy.db"));
    inbox(&copy, 0..500).await;
    let said = restore(&file, &copy).run().done();
    assert!(said.starts_with("restored 500 events, ") && !said.contains("old inbox"), "{said}");
    assert_eq!(entries(&file).await.len(), 500);
    fs::write(&file, "notes\n".repeat(1000)).unwrap();
    fs::write(scratch.file("inbox.db-wal"), "the log of the old one").unwrap();
    let is_root = chown(&file, Some(65534), Some(65534)).is_ok();
    restore(&file, &copy).run().done();
    assert_eq!(fs::metadata(&file).unwrap().uid() == 65534, is_root, "it has the owner of the old one");
    assert_eq!(entries(&file).await.len(), 500);
    assert_eq!(fs::read_to_string(kept(&file, "")).unwrap(), "notes\n".repeat(1000));
    assert_eq!(fs::read_to_string(kept(&file, "-wal")).unwrap(), "the log of the old one");
    let said = restore(&file, &copy).run().refused();
    assert!(said.contains("is there from an earlier restore: move or remove it first"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_first_version_is_upgraded() {
    let scratch = Directory::new();
    let (file, copy) = (scratch.file("inbox.db"), scratch.file("copy.db"));
    super::rooms::old_file(&copy, 3000);
    let before = fs::read(&copy).unwrap();
    assert!(restore(&file, &copy).run().done().starts_with("restored 3000 events, "));
    assert!(fs::read(&copy).unwrap() == before);
    assert_eq!(entries(&file).await.len(), 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_not_a_sound_inbox_changes_nothing() {
    let scratch = Directory::new();
    let (file, copy) = (scratch.file("inbox.db"), scratch.file("copy.db"));
    inbox(&file, 0..10).await;
    inbox(&copy, 0..500).await;
    let before = fs::read(&file).unwrap();
    let sound = fs::read(&copy).unwrap();
    let damage = |change: fn(&mut Vec<u8>)| {
        let mut bytes = sound.clone();
        change(&mut bytes);
        bytes
    };
    let newer = scratch.file("newer.db");
    fs::write(&newer, &sound).unwrap();
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let theirs = scratch.file("theirs.db");
    Connection::open(&theirs).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    for (bytes, why) in [
        (Vec::new(), "not an inbox"),
        (b"notes\n".repeat(1000), "not an inbox"),
        (damage(|bytes| bytes.truncate(bytes.len() / 2)), "damaged"),
        (damage(|bytes| bytes[..200].fill(0x55)), "damaged"),
        (
            damage(|bytes| {
                let middle = bytes.len() / 2;
                bytes[middle..middle + 16384].fill(0x55)
            }),
            "damaged",
        ),
        (fs::read(&newer).unwrap(), "newer roomkey"),
        (fs::read(&theirs).unwrap(), "another program"),
    ] {
        let wrong = scratch.file("wrong.db");
        fs::write(&wrong, bytes).unwrap();
        let said = restore(&file, &wrong).run().refused();
        assert!(said.contains("wrong.db cannot be restored: ") && said.contains(why), "{said}");
        assert!(fs::read(&file).unwrap() == before && !scratch.file("inbox.db-new").exists() && !kept(&file, "").exists());
        let none = scratch.file("none.db");
        restore(&none, &wrong).run().refused();
        assert!(!none.exists(), "nothing is created");
    }
    assert!(restore(&file, &file).run().refused().contains("it is the inbox itself"));
    assert!(restore(&file, &scratch.file("nowhere")).run().wrong().contains("cannot read "));
    fs::write(scratch.file("copy.db-wal"), "a log").unwrap();
    let said = restore(&file, &copy).run().refused();
    assert!(said.contains("copy.db-wal is beside it") && said.contains("PRAGMA journal_mode = DELETE"), "{said}");
    assert!(fs::read(&file).unwrap() == before);
    let redis = Start::command(["inbox", "restore", "x"]).env("ROOMKEY_INBOX", "redis://127.0.0.1:1").run().wrong();
    assert!(redis.contains("Redis has backups of its own"), "{redis}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_killed_inbox_that_was_copied_is_added_as_the_message_says() {
    if !is_installed("sqlite3", "--version") {
        return;
    }
    let scratch = Directory::new();
    let (file, copy) = (scratch.file("inbox.db"), scratch.file("copy.db"));
    let mut program = serve(&place(&scratch.file("killed.db")));
    assert!(Sender::connect(&program).send(&event("in the log", "x", "y")).unwrap().is_committed());
    program.kill();
    for suffix in ["", "-wal"] {
        fs::copy(scratch.file(&format!("killed.db{suffix}")), scratch.file(&format!("copy.db{suffix}"))).unwrap();
    }
    let said = restore(&file, &copy).run().refused();
    let (_, advice) = said.split_once("add it with `").unwrap();
    let command = advice.split_once('`').unwrap().0.replace("COPY", copy.to_str().unwrap());
    assert!(Command::new("sh").args(["-c", &command]).output().unwrap().status.success());
    restore(&file, &copy).run().done();
    assert_eq!(entries(&file).await[0].id, "in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_in_use_is_not_replaced() {
    let scratch = Directory::new();
    let (file, copy) = (scratch.file("inbox.db"), scratch.file("copy.db"));
    inbox(&copy, 0..10).await;
    let program = serve(&place(&file));
    let said = restore(&file, &copy).run().wrong();
    assert!(said.contains("another roomkey uses the inbox") && said.contains("stop it first"), "{said}");
    assert!(Sender::connect(&program).send(&event("still here", "x", "y")).unwrap().is_committed());
    program.stop();
}
