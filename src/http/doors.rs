//! Which of the server's doors a key would open, asked about keys that others hold. Does not know whose they are.

use crate::caller::api_token::TokenHash;
use crate::caller::callers::Callers;
use crate::livekit::key::{ApiKey, ApiKeys};

/// Who accepts a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Door {
    #[error("LiveKit has a key of this name too")]
    Name,
    #[error("its secret is that of LiveKit's key {key:?}")]
    Secret { key: String },
    #[error("its secret is that of the policy's caller {caller:?}")]
    Caller { caller: String },
}

impl Door {
    /// The door that `key` opens, whose secret has this `hash`.
    pub(crate) fn opened_by(key: &ApiKey, hash: TokenHash, keys: &ApiKeys, callers: Option<&Callers>) -> Option<Self> {
        if keys.find(key.name()).is_some() {
            return Some(Self::Name);
        }
        let same = keys.names().find(|name| keys.find(name).is_some_and(|other| other.key() == key.key()));
        let by_livekit = same.map(|name| Self::Secret { key: name.to_owned() });
        by_livekit.or_else(|| Some(Self::Caller { caller: callers?.proven_by(key, hash)?.to_owned() }))
    }
}
