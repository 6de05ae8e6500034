//! Owns the watch over the file that keys come from: when it is read again, and what is told of it. A file is polled, for what
//! is changed may be a link above it, or a file on another machine, of which no system tells.

use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::config::{KeyFile, KeyFileContent, Keys};
use crate::http::{Edge, Keyring};
use crate::livekit::key::ApiKeys;
use crate::worker::faults;

/// What watches, as the log names it.
const NAME: &str = "key-watcher";
/// Between two looks at the file. A change counts once two of them agree on it, for a file may be written bit by bit.
const PERIOD: Duration = Duration::from_secs(1);

/// What a look at the file showed, without its secrets, or why it showed nothing.
type Sight = Result<[u8; 32], String>;

/// Warns of what is dangerous about `keys`, and keeps the keys of `edge` as their file is from now on. `is_exposed` tells whether the
/// server listens on more than loopback.
pub(super) fn begin(keys: Keys, edge: &Edge, is_exposed: bool, mut hangup: Signal) {
    warn_of_development_key(&keys.api_keys, is_exposed);
    match keys.file {
        Some((file, content)) => {
            warn_of_others(&file, &content);
            let (workers, keyring) = (edge.workers().clone(), edge.keyring());
            let mut known = Ok(content.fingerprint());
            tokio::spawn(async move {
                while workers.panicked(NAME, watch(&file, &mut known, &keyring, is_exposed, &mut hangup)).await {}
            });
        }
        None => drop(tokio::spawn(ignore(hangup))),
    }
}

async fn watch(file: &KeyFile, known: &mut Sight, keyring: &Keyring, is_exposed: bool, hangup: &mut Signal) {
    let mut seen = known.clone();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_asked = tokio::select! {
            _ = hangup.recv() => true,
            _ = ticks.tick() => false,
        };
        faults::point(NAME);
        let read = block_in_place(|| file.read().map_err(|error| error.to_string()));
        let sight = read.as_ref().map(KeyFileContent::fingerprint).map_err(Clone::clone);
        if is_asked || sight == seen && sight != *known {
            block_in_place(|| take_in(file, read, keyring, is_exposed));
            known.clone_from(&sight);
        }
        seen = sight;
    }
}

/// Answers with the keys that stand there now, where they can be used.
fn take_in(file: &KeyFile, read: Result<KeyFileContent, String>, keyring: &Keyring, is_exposed: bool) {
    let path = file.path().display();
    let content = read.as_ref().map_err(Clone::clone);
    let keys = content.and_then(|content| file.keys(content).map_err(|error| error.to_string()));
    match keys {
        Ok(keys) => {
            keyring.replace(keys.clone());
            info!(file = %path, key = keys.minting().name(), keys = keys.names().collect::<Vec<_>>().join(" "), "keys taken in");
            warn_of_development_key(&keys, is_exposed);
        }
        Err(reason) => warn!(file = %path, reason, "the keys stay as they were"),
    }
    if let Ok(content) = &read {
        warn_of_others(file, content);
    }
}

/// Without a file, lets the signal not end the program, as it would otherwise.
async fn ignore(mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        info!("there is nothing to read again, for no key comes from a file");
    }
}

/// One that only verifies lets everyone forge webhooks, and read what they brought.
fn warn_of_development_key(keys: &ApiKeys, is_exposed: bool) {
    if keys.have_development() {
        warn!(
            "LiveKit's development key is in use, whose secret everyone knows: before others can reach this, set LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or take it out of the keys that you list"
        );
        if is_exposed {
            warn!(
                "this listens on more than loopback, so others may reach it with LiveKit's development key: set SERVER_BIND to 127.0.0.1, or use a key of your own"
            );
        }
    }
}

fn warn_of_others(file: &KeyFile, content: &KeyFileContent) {
    if content.is_open_to_others() {
        warn!(file = %file.path().display(), "others may read or write this file of secrets: take that away with `chmod o=`");
    }
}
