//! Writes a command's result to stdout. If the reader is gone, the command ends quietly, like other Unix programs; any other failed
//! write is an error. Does not know what is printed.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use crate::cli::{Failure, Outcome, escapes};

/// Prints `lines` for people, and adds a line end.
pub(super) fn print(lines: impl fmt::Display) -> Outcome {
    write(&escapes::visible(&format!("{lines}\n")))
}

/// Prints a JSON text, and adds a line end.
pub(super) fn print_json(json: impl fmt::Display) -> Outcome {
    write(&escapes::visible_json(&format!("{json}\n")))
}

pub(super) fn write(text: &str) -> Outcome {
    ended(stdout().and_then(|mut stdout| stdout.write_all(text.as_bytes())))
}

/// What the result of a write means for the command.
pub(super) fn ended(written: io::Result<()>) -> Outcome {
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::unread(),
        _ => Failure::wrong(format_args!("cannot write to stdout: {error}")),
    })
}

/// A handle of its own, because that of the standard library buffers what it could not write, and ignores a closed descriptor.
fn stdout() -> io::Result<File> {
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}
