//! Puts a policy into force while the server runs. Does not know where the policy comes from, nor when it changes.

use std::io;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::caller::api_token::TokenHash;
use crate::caller::callers::Callers;
use crate::caller::observer::Observer;
use crate::caller::settings::SecretSource;
use crate::caller::setup::{SetupError, Surroundings};
use crate::clock::Clock;
use crate::http::doors::Door;
use crate::http::keyring::Keyring;
use crate::http::policies::{ActivePolicy, Policies};
use crate::livekit::key::{ApiKey, ApiKeys};
use crate::policy::file::PolicyFile;
use crate::worker::Workers;

/// The policy of an [`Edge`](crate::http::Edge), which may already be running.
pub(crate) struct PolicySwitch {
    pub(super) policies: Policies,
    pub(super) clock: Clock,
    pub(super) keyring: Keyring,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) workers: Workers,
}

impl PolicySwitch {
    /// Uses `file` for every request from now on. `read` reads the secrets and files that it names. Call it within a runtime.
    ///
    /// # Errors
    /// If a caller cannot be set up. The policy until now stays in force.
    pub(crate) fn put(
        &self,
        file: PolicyFile,
        read: &dyn Fn(&SecretSource) -> io::Result<Zeroizing<Vec<u8>>>,
    ) -> Result<(), PolicySwitchError> {
        let previous = self.policies.current();
        let surroundings = Surroundings {
            read,
            clock: self.clock.clone(),
            observer: Arc::clone(&self.observer),
            workers: &self.workers,
            previous: previous.as_deref().map(|policy| &policy.callers),
        };
        let callers = Callers::new(file.callers, &surroundings)?;
        check(&callers, &self.keyring.current().api_keys)?;
        self.policies.replace(ActivePolicy { callers, rules: file.rules });
        Ok(())
    }

    /// The door that `key` opens now, whose secret has this `hash`.
    pub(crate) fn door(&self, key: &ApiKey, hash: TokenHash) -> Option<Door> {
        let policy = self.policies.current();
        Door::opened_by(key, hash, &self.keyring.current().api_keys, policy.as_deref().map(|policy| &policy.callers))
    }

    /// Whether `keys` can be used with the present policy.
    ///
    /// # Errors
    /// If a caller has the secret of one of them.
    pub(crate) fn check_keys(&self, keys: &ApiKeys) -> Result<(), PolicySwitchError> {
        self.policies.current().map_or(Ok(()), |policy| check(&policy.callers, keys))
    }
}

/// A caller that knows the secret of a LiveKit key could mint every token itself.
fn check(callers: &Callers, keys: &ApiKeys) -> Result<(), PolicySwitchError> {
    match callers.with_secret_of(keys) {
        Some(caller) => Err(PolicySwitchError::LiveKitSecret { caller: caller.to_owned() }),
        None => Ok(()),
    }
}

/// Why a policy cannot be put into force. Never contains a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PolicySwitchError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("callers.{caller}: its secret is that of a LiveKit key, which could mint every token: give it a secret of its own")]
    LiveKitSecret { caller: String },
}

impl PolicySwitchError {
    /// The caller that cannot be set up.
    pub(crate) fn caller(&self) -> &str {
        match self {
            Self::Setup(error) => &error.caller,
            Self::LiveKitSecret { caller } => caller,
        }
    }
}
