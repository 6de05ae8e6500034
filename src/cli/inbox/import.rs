//! `roomkey inbox import`: adds the events of an export, and says how far it came. Does not know the form of an export.

use crate::cli::inbox::lines::{ExportLine, ExportReader, WrongLine};
use crate::cli::inbox::{events, nowhere, unusable, with_cause};
use crate::cli::{Failure, Outcome, input, print};
use crate::config::{InboxFlags, InboxPlace, Variables};
use crate::inbox::{Cursor, ImportError, Imported, Importer};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey inbox import events.jsonl --inbox redis://localhost:6379
  roomkey inbox export --inbox redis://localhost:6379 | roomkey inbox import --inbox sqlite:roomkey.db

Events keep their cursors, so their readers continue here. Import into a new inbox, before a server uses it. If the import is
interrupted, run it again: events that are there already are not added twice. Signatures are not verified again, so import
only what you trust. Run it as the user that roomkey runs as.
Status 1 if the export is incomplete or has a wrong line, or if the inbox cannot be reached or refuses its events. What was
imported before that stays. Status 2 if another roomkey uses the SQLite file.")]
pub(in crate::cli) struct ImportInbox {
    /// The export; - is stdin
    #[arg(default_value = "-")]
    file: String,
    #[command(flatten)]
    flags: InboxFlags,
}

/// Why an import ends early.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("line {number} {why}")]
    Line { number: u64, why: WrongLine },
    #[error("{}", with_cause(.0))]
    Inbox(#[from] ImportError),
}

pub(in crate::cli) fn run(arguments: ImportInbox) -> Outcome {
    let place = arguments.flags.read(&Variables::read()?)?;
    let (name, file) = input::open(&arguments.file)?;
    let stopped = |stopped: Stopped, so_far: Imported| {
        Failure::refused(format_args!("{name}: {stopped}; {} imported before that", events(so_far.new)))
    };
    // Nothing is created for a file that is no export.
    let begun = ExportReader::begin(file).map_err(|why| stopped(Stopped::Line { number: 1, why }, Imported::default()))?;
    let (mut export, begin) = begun;
    let mut importer = match place {
        InboxPlace::None => return Err(nowhere()),
        InboxPlace::Redis(url) => Importer::redis(url).map_err(Failure::wrong)?,
        InboxPlace::Sqlite(path) => Importer::sqlite(&path).map_err(|error| unusable(&path, &error.why))?,
    };
    let mut import = || -> Result<Cursor, Stopped> {
        importer.begin(begin)?;
        loop {
            match export.next().map_err(|why| Stopped::Line { number: export.number, why })? {
                ExportLine::Event(entry) => importer.add(entry)?,
                ExportLine::End(end) => {
                    importer.finish(end)?;
                    return Ok(end);
                }
            }
        }
    };
    let end = import();
    let Imported { new, known, different } = importer.imported();
    let end = end.map_err(|why| stopped(why, importer.imported()))?;
    let different =
        if different == 0 { String::new() } else { format!(", {different} were there with another body, which stays") };
    print(format_args!("imported {}, {known} were there already{different}, complete up to {end}", events(new)))
}
