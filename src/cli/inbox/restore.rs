//! `roomkey inbox restore`: puts a backup in the place of the inbox. Does not know the files.

use std::path::PathBuf;

use crate::cli::inbox::{events, unusable};
use crate::cli::{Failure, Outcome, input, print};
use crate::config::{InboxFlags, InboxPlace, Variables};
use crate::inbox::{self, RestoreError, Restored};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sqlite3 roomkey.db \"VACUUM INTO 'copy.db'\"
      Back up the inbox, also while roomkey uses it
  roomkey inbox restore copy.db
      Stop roomkey first

All of the copy is checked before anything is replaced, and it stays unchanged. The old inbox is kept, with .before-restore at
the end of its name. Run it as the user that roomkey runs as.
Status 1 if the copy is damaged, of a newer roomkey, or not an inbox. Status 2 if it cannot be read, or if the inbox is in use.")]
pub(in crate::cli) struct RestoreInbox {
    /// The copy of an SQLite inbox
    copy: PathBuf,
    #[command(flatten)]
    flags: InboxFlags,
}

pub(in crate::cli) fn run(arguments: RestoreInbox) -> Outcome {
    let InboxPlace::Sqlite(path) = arguments.flags.read(&Variables::read()?)? else {
        return Err(Failure::wrong("only an inbox in SQLite can be restored from a copy: Redis has backups of its own"));
    };
    let copy = arguments.copy.display();
    match inbox::restore(&path, &arguments.copy) {
        Ok(Restored { entries, end, kept }) => {
            let kept = kept.map(|kept| format!("; the old inbox is {}", kept.display())).unwrap_or_default();
            print(format_args!("restored {}, complete up to {end}{kept}", events(entries)))
        }
        Err(RestoreError::Inbox(why)) => Err(unusable(&path, &why)),
        Err(RestoreError::Unreadable(error)) => Err(input::unreadable(&copy.to_string(), &error)),
        Err(error @ RestoreError::Kept(_)) => Err(Failure::refused(error)),
        Err(error) => Err(Failure::refused(format_args!("{copy} cannot be restored: {error}"))),
    }
}
