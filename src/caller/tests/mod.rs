//! Tests of the callers, as the server uses them. Nothing here sleeps: time is moved.

mod accepted;
mod fake_server;
mod figures;
mod forged;
mod forward;
mod key_files;
mod keys;
mod request;
mod sessions;
mod signing;
mod which;
mod wycheproof;

use std::fs;
use std::path::Path;

/// When the tests take place, except that some move on.
const NOW: u64 = 1_800_000_000;

/// Reads a file of `fixtures/`.
fn fixture(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)).unwrap()
}
