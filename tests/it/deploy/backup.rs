//! A test of the page's commands for a backup and a restore, with the inbox of a real server.

use std::path::Path;
use std::process::Command;

use crate::guide::block;
use crate::harness::directory::Directory;
use crate::harness::outside::is_installed;
use crate::harness::program::{Program, Start};

const PAGE: &str = "src/guide/operating.md";

/// Runs the block of the page that contains `text`. The files are in `directory`, and systemd has nothing to do.
fn run(directory: &Path, text: &str) {
    let here = directory.display().to_string();
    let block = block(PAGE, "sh", text).replace("/var/lib/roomkey", &here).replace("/root", &here);
    let commands: String = block.lines().filter(|line| !line.starts_with("systemctl ")).map(|line| format!("{line}\n")).collect();
    let status = Command::new("sh").args(["-ec", &commands]).status().unwrap();
    assert!(status.success(), "{commands}");
}

fn serve(directory: &Directory) -> Program {
    Start::new().env("ROOMKEY_INBOX", format!("sqlite:{}", directory.file("roomkey.db").display())).serve()
}

fn send(program: &Program, room: &str) {
    let url = format!("http://{}/webhook", program.address());
    Start::command(["webhook", "send", "--url", &url, "--event", "room_started", "--room", room]).run().done();
}

#[test]
fn the_commands_of_the_page_bring_a_backup_back() {
    if !is_installed("sqlite3", "--version") {
        return;
    }
    let directory = Directory::new();
    let program = serve(&directory);
    send(&program, "before");
    run(directory.path(), ".backup");
    send(&program, "after");
    // Killed, so that SQLite's log has an event that the backup lacks.
    drop(program);
    run(directory.path(), "chown --reference");
    let program = serve(&directory);
    let events = Start::command(["events", "--url", &format!("http://{}", program.address())]).run().done();
    assert!(events.contains("\"before\"") && !events.contains("\"after\""), "{events}");
}
