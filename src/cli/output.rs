//! Owns stdout, where a command's result goes. A reader that went away ends the command quietly, as it ends other Unix programs;
//! output that cannot be written is a failure. Does not know what is printed.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use crate::cli::letters;
use crate::cli::{Failure, Outcome};

/// Prints `lines` for people, which end without a line end.
pub(super) fn print(lines: impl fmt::Display) -> Outcome {
    write(&letters::visible(&format!("{lines}\n")))
}

/// Prints a JSON text.
pub(super) fn print_json(json: impl fmt::Display) -> Outcome {
    write(&letters::visible_json(&format!("{json}\n")))
}

/// Writes `text` as it is.
pub(super) fn write(text: &str) -> Outcome {
    ended(stdout().and_then(|mut stdout| stdout.write_all(text.as_bytes())))
}

/// What `written` means for the command.
pub(super) fn ended(written: io::Result<()>) -> Outcome {
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::unread(),
        _ => Failure::wrong(format_args!("cannot write to stdout: {error}")),
    })
}

/// A handle of its own: that of the standard library keeps what it could not write, and takes a descriptor that cannot be
/// written to for one that can.
fn stdout() -> io::Result<File> {
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}
