//! Watches the file of keys: what happens when it changes, and what is logged. Does not know what a file of keys looks like.

use tokio::signal::unix::Signal;
use tracing::{info, warn};

use crate::cli::serve::polling::poll;
use crate::config::{KeyFile, KeyFileContent, Keys};
use crate::http::{Edge, Keyring, PolicySwitch};
use crate::livekit::key::ApiKeys;

/// The name of this worker in the log.
const NAME: &str = "key-watcher";

/// The fingerprint of the file, or why it could not be read.
type KeyFileReading = Result<[u8; 32], String>;

/// Warns about dangerous `keys`, and from now on updates the keys of `edge` from their file. `is_exposed` says whether the server
/// listens on more than loopback.
pub(super) fn start(keys: Keys, edge: &Edge, is_exposed: bool, mut hangup: Signal) {
    warn_about(&keys, is_exposed);
    let Some((file, content)) = keys.file else { return };
    let (workers, keyring, switch) = (edge.workers.clone(), edge.keyring(), edge.policy_switch());
    let mut known = Ok(content.fingerprint());
    tokio::spawn(async move {
        let read = || file.read().map_err(|error| error.to_string());
        let changed = |reading| {
            let id = fingerprint(&reading);
            reload(&file, reading, (&keyring, &switch), is_exposed);
            id
        };
        while workers.panicked(NAME, poll(NAME, &mut known, &mut hangup, read, fingerprint, changed)).await {}
    });
}

/// Warns about dangerous `keys`.
pub(super) fn warn_about(keys: &Keys, is_exposed: bool) {
    warn_about_development_key(&keys.api_keys, is_exposed);
    if let Some((file, content)) = &keys.file {
        warn_about_permissions(file, content);
    }
}

fn fingerprint(reading: &Result<KeyFileContent, String>) -> KeyFileReading {
    reading.as_ref().map(KeyFileContent::fingerprint).map_err(Clone::clone)
}

/// Switches to the keys that were read, if they are valid.
fn reload(file: &KeyFile, read: Result<KeyFileContent, String>, server: (&Keyring, &PolicySwitch), is_exposed: bool) {
    let (keyring, switch) = server;
    let path = file.path.display();
    let content = read.as_ref().map_err(Clone::clone);
    let keys = content.and_then(|content| file.keys(content).map_err(|error| error.to_string()));
    let keys = keys.and_then(|keys| switch.check_keys(&keys).map(|()| keys).map_err(|error| error.to_string()));
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
