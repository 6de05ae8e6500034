//! `roomkey inbox`: moves the inbox to another place, and restores it from a copy. Does not know how it is stored.

pub(super) mod export;
pub(super) mod import;
mod lines;
pub(super) mod restore;

use std::error::Error;
use std::path::Path;

use clap::Subcommand;

use crate::cli::Failure;
use crate::cli::serve::open_inbox;
use crate::inbox::Why;

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum InboxCommand {
    /// Write all events, to import them into another inbox
    Export(export::ExportInbox),
    /// Add the events of an export, so that their readers continue here
    Import(import::ImportInbox),
    /// Replace the inbox by a copy of an SQLite inbox
    Restore(restore::RestoreInbox),
}

/// The inbox at `path` cannot be used.
fn unusable(path: &Path, why: &Why) -> Failure {
    match why {
        Why::InUse => Failure::wrong(format_args!("another roomkey uses the inbox {}: stop it first", path.display())),
        why => Failure::wrong(open_inbox::cannot_open(path, why)),
    }
}

/// The inbox is none.
fn nowhere() -> Failure {
    Failure::wrong("ROOMKEY_INBOX is none, which keeps nothing: name an inbox")
}

/// An error of an inbox, and what the system or the server says.
fn with_cause(error: &dyn Error) -> String {
    format!("{error}{}", error.source().map(|cause| format!(": {cause}")).unwrap_or_default())
}

/// Such as `1 event`.
fn events(count: u64) -> String {
    format!("{count} event{}", if count == 1 { "" } else { "s" })
}
