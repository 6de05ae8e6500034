//! A failed start ends with a status and one sentence that names the file, and leaves the file unchanged.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use roomkey::clock::Clock;
use roomkey::inbox::{Appended, Retention};
use rusqlite::Connection;

use super::sender::{Sender, failed_start, place, serve, start, start_by_script};
use super::support::{append, append_all, event, open_sqlite};
use crate::harness::directory::Directory;
use crate::harness::disk::SmallDisk;
use crate::harness::program::Start;

/// A user without files.
const NOBODY: u32 = 65534;

/// An inbox with some entries, closed in good order.
async fn inbox(scratch: &Directory) -> PathBuf {
    let file = scratch.file("inbox.db");
    let inbox = open_sqlite(&file, Retention::default(), Clock::system());
    append_all(&inbox, (0..500).map(|number| event(&number.to_string(), &"x".repeat(500), "y"))).await;
    inbox.close().await;
    file
}

/// Starts on `file`, which must fail, say so in one sentence with `why` in it, and change nothing.
fn assert_refused(file: &Path, why: &str, limit: Option<&str>, user: Option<u32>) {
    // By other programs: were the file opened and closed here, this process would lose the locks that it has on it.
    let copy = file.with_extension("copy");
    let run = |program: &str| Command::new(program).args([file, &copy]).status().unwrap().success();
    assert!(run("cp"));
    let start = limit.map_or_else(|| start(&place(file)), |limit| start_by_script(limit, &place(file)));
    let (status, said) = failed_start(if let Some(user) = user { start.user(user) } else { start });
    assert_eq!(status, Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&*file.to_string_lossy()), "{said}");
    assert!(said.contains(why), "{said}");
    assert!(run("cmp"), "the file has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database() {
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    fs::write(&file, "notes\n".repeat(1000)).unwrap();
    assert_refused(&file, "damaged or not an inbox", None, None);
}

#[test]
fn what_is_no_regular_file_stays_as_it_is() {
    let scratch = Directory::new();
    let [directory, pipe, socket] = ["directory", "pipe", "socket"].map(|name| scratch.file(name));
    fs::create_dir(&directory).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _listener = UnixListener::bind(&socket).unwrap();
    for path in [&directory, &pipe, &socket] {
        let kind = fs::metadata(path).unwrap().file_type();
        let why = format!("the inbox {} cannot be used: it is not a regular file", path.display());
        let (status, said) = failed_start(start(&place(path)));
        assert!((status, said.contains(&why)) == (Some(2), true), "{said}");
        let (copy, inbox, new) = (path.to_str().unwrap(), place(path), place(&scratch.file("new.db")));
        for command in
            [&["export", "--inbox", &inbox][..], &["restore", "x", "--inbox", &inbox], &["restore", copy, "--inbox", &new]]
        {
            let ended = Start::command(["inbox"].iter().chain(command).copied()).run();
            assert!(ended.status != 0 && ended.stderr.contains("not a regular file"), "{ended:?}");
        }
        assert_eq!(fs::metadata(path).unwrap().file_type(), kind);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_header() {
    let scratch = Directory::new();
    let file = inbox(&scratch).await;
    let mut bytes = fs::read(&file).unwrap();
    bytes[..200].fill(0x55);
    fs::write(&file, bytes).unwrap();
    assert_refused(&file, "damaged or not an inbox", None, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_middle() {
    let scratch = Directory::new();
    let file = inbox(&scratch).await;
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16384].fill(0x55);
    fs::write(&file, bytes).unwrap();
    assert_refused(&file, "damaged", None, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut() {
    let scratch = Directory::new();
    let file = inbox(&scratch).await;
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert_refused(&file, "damaged", None, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema() {
    let scratch = Directory::new();
    let file = inbox(&scratch).await;
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 4).unwrap();
    assert_refused(&file, "newer roomkey", None, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_program() {
    let scratch = Directory::new();
    let file = scratch.file("inbox.db");
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert_refused(&file, "another program", None, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_file() {
    let scratch = Directory::new();
    let file = inbox(&scratch).await;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
    // Permissions do not apply to root.
    let is_root = chown(&file, Some(0), None).is_ok();
    assert_refused(&file, "Permission denied", None, is_root.then_some(NOBODY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_directory() {
    let scratch = Directory::new();
    let file = inbox(&scratch).await;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let is_root = chown(&file, Some(0), None).is_ok();
    assert_refused(&file, "", None, is_root.then_some(NOBODY));
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_not_there() {
    let scratch = Directory::new();
    let file = scratch.file("nowhere").join("inbox.db");
    let (status, said) = failed_start(start(&place(&file)));
    assert_eq!((status, said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains(&*file.to_string_lossy()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_roomkey_on_the_same_file() {
    let scratch = Directory::new();
    let file = inbox(&scratch).await;
    let first = serve(&place(&file));
    assert_refused(&file, "another roomkey uses it", None, None);
    assert!(Sender::connect(&first).send(&event("EV_1", "x", "y")).unwrap().is_committed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_another_process() {
    for lock in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE"] {
        let scratch = Directory::new();
        let file = inbox(&scratch).await;
        let theirs = Connection::open(&file).unwrap();
        theirs.execute_batch(lock).unwrap();
        assert_refused(&file, "another process holds its lock", None, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full() {
    let scratch = Directory::new();
    let file = inbox(&scratch).await;
    // A limit on the size of files, in blocks of 512 bytes, is as a disk without room.
    let limit = "ulimit -f 8; exec \"$0\" \"$@\"";
    assert_refused(&file, "", Some(limit), None);
    let none = scratch.file("none.db");
    let (status, said) = failed_start(start_by_script(limit, &place(&none)));
    assert_eq!((status, said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains(&*none.to_string_lossy()), "{said}");
    assert!(!none.exists(), "a start that fails leaves nothing behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_disk_that_is_full() {
    let scratch = Directory::new();
    let Some(disk) = SmallDisk::mount(&scratch) else { return };
    let file = disk.file("inbox.db");
    fs::copy(inbox(&scratch).await, &file).unwrap();
    let bytes = fs::read(&file).unwrap();
    let _filler = disk.fill();
    let (status, said) = failed_start(start(&place(&file)));
    assert_eq!((status, said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains(&*file.to_string_lossy()) && said.contains("full"), "{said}");
    assert!(fs::read(&file).unwrap() == bytes, "the file has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_special_to_sqlite_is_a_file_name_here() {
    let scratch = Directory::new();
    for name in [":memory:", "file:inbox.db?mode=memory"] {
        for expected in [Appended::Committed, Appended::Duplicate] {
            // Relative, as someone would write it; tests share their working directory, so that it is not changed.
            let up: PathBuf = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect();
            let file = up.join(scratch.file(name).strip_prefix("/").unwrap());
            let inbox = open_sqlite(&file, Retention::default(), Clock::system());
            assert_eq!(append(&inbox, event("EV_1", "x", "y")).await, expected, "{name}");
            inbox.close().await;
        }
        assert!(scratch.file(name).metadata().unwrap().len() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_by_vacuum_is_a_backup_that_can_be_used() {
    let scratch = Directory::new();
    let file = inbox(&scratch).await;
    let copy = scratch.file("copy.db");
    Connection::open(&file).unwrap().execute("VACUUM INTO ?", [copy.to_str().unwrap()]).unwrap();
    let inbox = open_sqlite(&copy, Retention::default(), Clock::system());
    assert_eq!(inbox.usage().unwrap().entries, 500);
    assert_eq!(super::support::everything(&inbox).await.len(), 500);
}
