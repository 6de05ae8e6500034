//! Puts the policy into force, at the start and whenever its file, or one that it names, changes. Does not know what a policy says.

use tokio::signal::unix::Signal;
use tracing::{info, warn};

use crate::cli::serve::polling::poll;
use crate::config::{FileError, FileSource};
use crate::http::{Edge, PolicySwitch, PolicySwitchError};
use crate::policy::check::{self, Surroundings};
use crate::policy::file::PolicyFile;
use crate::policy::file::problem::{Finding, Position};

/// The name of this worker in the log.
const NAME: &str = "policy-watcher";

/// From now on puts each change of the policy, which [`load`] has read from `source`, into force.
pub(super) fn start(source: FileSource, surroundings: Surroundings, edge: &Edge, mut hangup: Signal) {
    let (switch, workers) = (edge.policy_switch(), edge.tokens.workers.clone());
    let mut known = source.last_fingerprint();
    tokio::spawn(async move {
        let reload = |_| {
            let path = source.path().display();
            match load(&source, surroundings, &switch) {
                Ok(()) => info!(file = %path, "policy reloaded"),
                Err(unusable) => warn!(file = %path, reason = %unusable, "the policy stays as it was"),
            }
            source.last_fingerprint()
        };
        let read = || source.fingerprint();
        while workers.panicked(NAME, poll(NAME, &mut known, &mut hangup, read, |id| *id, reload)).await {}
    });
}

/// Puts the policy into force, and warns about what is perhaps not meant.
///
/// # Errors
/// If it cannot be used.
pub(super) fn load(source: &FileSource, surroundings: Surroundings, switch: &PolicySwitch) -> Result<(), Unusable> {
    let file = source.read(|text, folder| PolicyFile::parse(text, folder).map_err(|broken| broken.mistakes))?;
    let mistakes = check::mistakes(file.placed_callers(), surroundings);
    if !mistakes.is_empty() {
        return Err(FileError::Mistakes(mistakes).into());
    }
    let findings = check::findings(&file, surroundings);
    let places: Vec<_> = file.placed_callers().map(|(caller, at)| (caller.name.clone(), at)).collect();
    switch.put(file, &|secret| source.secret(secret)).map_err(|error| {
        let place = places.iter().find(|(name, _)| name == error.caller());
        Unusable::Caller { at: place.map(|(_, at)| *at).unwrap_or_default(), error }
    })?;
    for Finding { at, about } in findings.iter().filter(|finding| finding.is_warning()) {
        warn!(file = %source.path().display(), at = %at, "{about}");
    }
    Ok(())
}

/// Why the policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{at}: {error}")]
    Caller { at: Position, error: PolicySwitchError },
}
