//! Opens the inbox at the start. Says in words where it is, and why it cannot be used. Does not know what is in it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf, absolute};

use crate::clock::Clock;
use crate::config::InboxPlace;
use crate::inbox::{Inbox, Retention, Why};

/// Opens the inbox. The error is a sentence.
pub(super) fn open_inbox(place: &InboxPlace, retention: Retention) -> Result<Inbox, String> {
    match place {
        InboxPlace::None => Ok(Inbox::none()),
        InboxPlace::Redis(url) => Inbox::redis(url.clone(), retention, Clock::system())
            .map_err(|error| format!("cannot start threads for the inbox: {error}")),
        InboxPlace::Sqlite(path) => {
            Inbox::sqlite(path, retention, Clock::system()).map_err(|error| cannot_open(path, &error.why))
        }
    }
}

/// An absolute path, an address without user and password, or none.
pub(in crate::cli) fn place(inbox: &InboxPlace) -> String {
    match inbox {
        InboxPlace::None => "none".to_owned(),
        InboxPlace::Redis(url) => url.to_string(),
        InboxPlace::Sqlite(path) => full(path).display().to_string(),
    }
}

fn full(path: &Path) -> PathBuf {
    absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Why the file at `path` cannot be used, in a sentence.
pub(in crate::cli) fn cannot_open(path: &Path, why: &Why) -> String {
    let path = full(path);
    // Only for the system's errors does it matter where the file is.
    let directory = path.parent().filter(|_| matches!(why, Why::Io(_) | Why::NoLog | Why::Store(_)));
    let directory = directory.map(|directory| format!("; {}", describe(directory))).unwrap_or_default();
    let path = path.display();
    let remedy = match why {
        Why::InUse => "stop that one, or ",
        Why::NotRegular => "",
        _ => "make it usable, or ",
    };
    format!("the inbox {path} cannot be used: {why}{directory}: {remedy}set ROOMKEY_INBOX to another place")
}

/// The permissions and the owner of `directory`.
fn describe(directory: &Path) -> String {
    let name = directory.display();
    match fs::metadata(directory) {
        Ok(metadata) => {
            let (mode, owner, group) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
            let own = fs::metadata("/proc/self").map(|own| format!(", and roomkey runs as user {}", own.uid()));
            let own = own.unwrap_or_default();
            format!("its directory {name} has mode {mode:04o} and belongs to user {owner} and group {group}{own}")
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => format!("its directory {name} does not exist"),
        Err(error) => format!("its directory {name} cannot be examined: {error}"),
    }
}
