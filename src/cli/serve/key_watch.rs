//! Watches the file of keys: when it is read again, and what is logged. The file is polled, because the system does not report
//! changes of a link above it, or of a file on another machine. Does not know what a file of keys looks like.

use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::config::{KeyFile, KeyFileContent, Keys};
use crate::http::{Edge, Keyring};
use crate::livekit::key::ApiKeys;
use crate::worker::faults;

/// The name of this worker in the log.
const NAME: &str = "key-watcher";
/// The time between two reads. A change counts once two reads agree, because a file may be written in parts.
const PERIOD: Duration = Duration::from_secs(1);

/// The fingerprint of the file, or why it could not be read.
type KeyFileReading = Result<[u8; 32], String>;

/// Warns about dangerous `keys`, and from now on updates the keys of `edge` from their file. `is_exposed` says whether the server
/// listens on more than loopback.
pub(super) fn start(keys: Keys, edge: &Edge, is_exposed: bool, mut hangup: Signal) {
    warn_about_development_key(&keys.api_keys, is_exposed);
    match keys.file {
        Some((file, content)) => {
            warn_about_permissions(&file, &content);
            let (workers, keyring) = (edge.workers.clone(), edge.keyring());
            let mut known = Ok(content.fingerprint());
            tokio::spawn(async move {
                while workers.panicked(NAME, watch(&file, &mut known, &keyring, is_exposed, &mut hangup)).await {}
            });
        }
        None => drop(tokio::spawn(ignore(hangup))),
    }
}

async fn watch(file: &KeyFile, known: &mut KeyFileReading, keyring: &Keyring, is_exposed: bool, hangup: &mut Signal) {
    let mut last = known.clone();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_requested = tokio::select! {
            _ = hangup.recv() => true,
            _ = ticks.tick() => false,
        };
        faults::point(NAME);
        let read = block_in_place(|| file.read().map_err(|error| error.to_string()));
        let reading = read.as_ref().map(KeyFileContent::fingerprint).map_err(Clone::clone);
        if is_requested || reading == last && reading != *known {
            block_in_place(|| reload(file, read, keyring, is_exposed));
            known.clone_from(&reading);
        }
        last = reading;
    }
}

/// Switches to the keys that were read, if they are valid.
fn reload(file: &KeyFile, read: Result<KeyFileContent, String>, keyring: &Keyring, is_exposed: bool) {
    let path = file.path.display();
    let content = read.as_ref().map_err(Clone::clone);
    let keys = content.and_then(|content| file.keys(content).map_err(|error| error.to_string()));
    match keys {
        Ok(keys) => {
            keyring.replace(keys.clone());
            info!(file = %path, key = keys.minting().name(), keys = keys.names().collect::<Vec<_>>().join(" "), "keys reloaded");
            warn_about_development_key(&keys, is_exposed);
        }
        Err(reason) => warn!(file = %path, reason, "the keys stay as they were"),
    }
    if let Ok(content) = &read {
        warn_about_permissions(file, content);
    }
}

/// Without a file, keeps the signal from ending the program.
async fn ignore(mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        info!("there is nothing to read again, because no key comes from a file");
    }
}

/// Even if this key only verifies, anyone can forge webhooks and read the events.
fn warn_about_development_key(keys: &ApiKeys, is_exposed: bool) {
    if keys.have_development() {
        warn!(
            "LiveKit's development key is in use, whose secret everyone knows: before others can reach this server, set LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or remove it from your keys"
        );
        if is_exposed {
            warn!(
                "this server listens on more than loopback, so others may reach it with LiveKit's development key: set SERVER_BIND to 127.0.0.1, or use a key of your own"
            );
        }
    }
}

fn warn_about_permissions(file: &KeyFile, content: &KeyFileContent) {
    if content.is_open_to_others {
        warn!(file = %file.path.display(), "others may read or write this file of secrets: remove their permissions with `chmod o=`");
    }
}
