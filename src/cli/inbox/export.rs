//! `roomkey inbox export`: where the lines of an export go, and what they include. Does not know their form.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use crate::cli::events::cursor;
use crate::cli::inbox::{events, lines, nowhere, unusable, with_cause};
use crate::cli::{Failure, Outcome, output, tell};
use crate::config::{InboxFlags, InboxPlace, Variables};
use crate::inbox::{Cursor, Exporter, ReadError};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey inbox export -o events.jsonl
  roomkey inbox export --inbox sqlite:roomkey.db | roomkey inbox import --inbox redis://localhost:6379
  roomkey inbox export --after 0001d2a0b3c40000 | roomkey inbox import --inbox redis://localhost:6379

roomkey may use the inbox meanwhile: the export has every event that was committed before it began, and nothing is changed.
Each line is JSON: the first says where the export begins, the last where it ends, and the others are the events with their
bodies as they arrived, including any secrets in them. Without its last line an export is incomplete.
Status 1 if the inbox cannot be reached or fails, or has deleted the events after --after.")]
pub(in crate::cli) struct ExportInbox {
    /// Write to this file, which is created readable only by its owner [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    /// Only the events after this cursor, such as the end of the last export [default: from the oldest event]
    #[arg(long, value_name = "CURSOR", value_parser = cursor)]
    after: Option<Cursor>,
    #[command(flatten)]
    flags: InboxFlags,
}

pub(in crate::cli) fn run(arguments: ExportInbox) -> Outcome {
    let exporter = match arguments.flags.read(&Variables::read()?)? {
        InboxPlace::None => return Err(nowhere()),
        InboxPlace::Redis(url) => Exporter::redis(url).map_err(Failure::wrong)?,
        InboxPlace::Sqlite(path) => Exporter::sqlite(&path).map_err(|error| unusable(&path, &error.why))?,
    };
    let end = exporter.end().map_err(|error| fails(&ReadError::Store(error)))?;
    if let Some(after) = arguments.after.filter(|after| *after > end) {
        return Err(Failure::refused(format_args!("the inbox ends at {end}, which is before {after}")));
    }
    let mut page = exporter.read(arguments.after).map_err(|error| fails(&error))?;
    let mut output = Output::open(arguments.output)?;
    let (mut text, mut count) = (lines::begin(page.after), 0_u64);
    loop {
        for entry in page.entries.iter().filter(|entry| entry.cursor <= end) {
            text.push_str(&lines::event(entry));
            count = count.saturating_add(1);
        }
        let is_last = page.is_last || page.next >= end;
        if is_last {
            text.push_str(&lines::end(end));
        }
        output.write(&text)?;
        text.clear();
        if is_last {
            break;
        }
        page = exporter.read(Some(page.next)).map_err(|error| fails(&error))?;
    }
    output.close()?;
    tell(format_args!("exported {}, complete up to {end}", events(count)));
    Ok(())
}

fn fails(error: &ReadError) -> Failure {
    Failure::refused(with_cause(error))
}

/// Where the lines go.
enum Output {
    Stdout,
    File(String, File),
}

impl Output {
    fn open(path: Option<String>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        // Bodies may hold secrets.
        match File::options().write(true).create(true).truncate(true).mode(0o600).open(&path) {
            Ok(file) => Ok(Self::File(path, file)),
            Err(error) => Err(unwritable(&path, &error)),
        }
    }

    fn write(&mut self, lines: &str) -> Outcome {
        match self {
            Self::Stdout => output::write(lines),
            Self::File(path, file) => file.write_all(lines.as_bytes()).map_err(|error| unwritable(path, &error)),
        }
    }

    /// An export that is complete survives the end of the machine.
    fn close(self) -> Outcome {
        match self {
            Self::Stdout => Ok(()),
            Self::File(path, file) => match file.sync_all() {
                // A pipe or a device cannot be synced.
                Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(unwritable(&path, &error)),
                _ => Ok(()),
            },
        }
    }
}

fn unwritable(path: &str, error: &io::Error) -> Failure {
    Failure::wrong(format_args!("cannot write {path}: {error}"))
}
