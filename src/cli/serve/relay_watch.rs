//! Gives the relay its targets, at the start and whenever their file, or one that it names, changes. Does not know what a target is.

use std::sync::Mutex;

use tokio::signal::unix::Signal;
use tracing::{info, warn};

use crate::cli::serve::polling::poll;
use crate::config::{RelayError, RelaySource, RelayTargets, TargetKey};
use crate::http::{Door, Edge, PolicySwitch};
use crate::policy::file::problem::Finding;
use crate::relay::handle::Relay;
use crate::worker::lock;

/// The name of this worker in the log.
const NAME: &str = "relay-watcher";

/// Gives `relay` the targets that [`load`] has read from `source`, and from now on each change. The keys and the policy of `edge` may
/// change too: then a target's key may open a door.
pub(super) fn start(source: RelaySource, read: RelayTargets, relay: Relay, edge: &Edge, mut hangup: Signal) {
    let (switch, workers) = (edge.policy_switch(), edge.workers.clone());
    relay.put(read.targets);
    let keys = Mutex::new(read.keys);
    tokio::spawn(async move {
        let doors = || lock(&keys).iter().map(|key| door(key, &switch)).collect::<Vec<_>>();
        let mut known = (source.last_fingerprint(), doors());
        let reload = |_| {
            let path = source.path().display();
            match load(&source, &switch) {
                Ok(read) => {
                    let names = read.targets.iter().map(|target| &*target.name).collect::<Vec<_>>().join(" ");
                    info!(file = %path, targets = names, "targets reloaded");
                    relay.put(read.targets);
                    *lock(&keys) = read.keys;
                }
                Err(unusable) => warn!(file = %path, reason = %unusable, "the targets stay as they were"),
            }
            (source.last_fingerprint(), doors())
        };
        let read = || (source.fingerprint(), doors());
        while workers.panicked(NAME, poll(NAME, &mut known, &mut hangup, read, Clone::clone, reload)).await {}
    });
}

/// Reads the targets, and warns about what is perhaps not meant.
///
/// # Errors
/// If they cannot be used.
pub(super) fn load(source: &RelaySource, switch: &PolicySwitch) -> Result<RelayTargets, RelayError> {
    let read = source.read(&|key| door(key, switch))?;
    for Finding { at, about } in &read.findings {
        warn!(file = %source.path().display(), at = %at, "{about}");
    }
    Ok(read)
}

fn door(TargetKey { key, hash }: &TargetKey, switch: &PolicySwitch) -> Option<Door> {
    switch.door(key, *hash)
}
