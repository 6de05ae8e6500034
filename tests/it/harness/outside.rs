//! Programs of others that some tests need.

use std::io::{self, Write};
use std::process::{Command, Stdio};

/// Whether `program` is installed. It must be in CI; elsewhere its tests are skipped.
pub(crate) fn is_installed(program: &str, version_flag: &str) -> bool {
    let is_there = Command::new(program).arg(version_flag).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !is_there {
        skip(&format!("{program} is not installed"));
    }
    is_there
}

/// Says that a test is skipped, which must not happen in CI.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI must not skip tests: {why}");
    let _ = writeln!(io::stderr(), "SKIPPED: {why}"); // a test that passes shows what `eprintln!` writes to nobody
}
