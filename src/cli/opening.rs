//! Owns the opening of the inbox at the start: where it is, in words, and why it cannot be used.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf, absolute};

use crate::clock::Clock;
use crate::config::{Config, InboxPlace};
use crate::inbox::{Inbox, OpenError, Why};

/// The inbox of the settings.
///
/// # Errors
/// Where it cannot be used: the sentence that says so.
pub(super) fn open_inbox(config: &Config) -> Result<Inbox, String> {
    match &config.inbox {
        InboxPlace::None => Ok(Inbox::none()),
        InboxPlace::Redis(url) => Inbox::redis(url.clone(), config.retention, Clock::system())
            .map_err(|error| format!("cannot start threads for the inbox: {error}")),
        InboxPlace::Sqlite(path) => {
            Inbox::sqlite(path, config.retention, Clock::system()).map_err(|error| sentence(&whole(path), &error))
        }
    }
}

/// Where it is: an absolute path, an address without user and password, or none.
pub(super) fn place(inbox: &InboxPlace) -> String {
    match inbox {
        InboxPlace::None => "none".to_owned(),
        InboxPlace::Redis(url) => url.to_string(),
        InboxPlace::Sqlite(path) => whole(path).display().to_string(),
    }
}

fn whole(path: &Path) -> PathBuf {
    absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn sentence(path: &Path, error: &OpenError) -> String {
    // Only the system's reasons have to do with where the file is.
    let directory = path.parent().filter(|_| matches!(error.why, Why::Io(_) | Why::NoLog | Why::Store(_))).map(told);
    let directory = directory.map_or_else(String::new, |told| format!("; {told}"));
    let path = path.display();
    format!("the inbox {path} cannot be used: {}{directory}: make it usable, or set ROOMKEY_INBOX to another place", error.why)
}

/// The permissions of `directory`, and whose they are.
fn told(directory: &Path) -> String {
    let name = directory.display();
    match fs::metadata(directory) {
        Ok(metadata) => {
            let (mode, owner, group) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
            let ours = fs::metadata("/proc/self")
                .map_or_else(|_| String::new(), |own| format!(", and roomkey runs as user {}", own.uid()));
            format!("its directory {name} has mode {mode:04o} and belongs to user {owner} and group {group}{ours}")
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => format!("its directory {name} does not exist"),
        Err(error) => format!("its directory {name} cannot be looked at: {error}"),
    }
}
