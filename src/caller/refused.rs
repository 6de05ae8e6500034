//! Why a request is no caller. Does not know how that is found out.

use std::hash::Hash;
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use crate::caller::credentials::BearerError;
use crate::caller::expectations::ClaimsError;
use crate::caller::jwt::JwtError;

/// Why a request is no caller, not even `anonymous`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Refused {
    /// A credential does not hold.
    #[error("{0}")]
    Unauthorized(#[from] CredentialError),
    /// The application refuses the caller.
    #[error("the application of {caller} refuses the caller")]
    Forbidden { caller: Arc<str> },
    /// Nobody can say now who is calling.
    #[error("{caller} cannot be asked now who is calling")]
    Unknown { caller: Arc<str>, retry_after: Duration },
}

impl Refused {
    pub(super) fn unknown(caller: &Arc<str>, retry_after: Duration) -> Self {
        Self::Unknown { caller: Arc::clone(caller), retry_after }
    }
}

/// Why a credential does not hold. Only for the log: the client learns nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CredentialError {
    #[error("{0}")]
    Bearer(#[from] BearerError),
    #[error("a token that a LiveKit secret signed is for LiveKit alone")]
    LiveKit,
    #[error("the bearer token is of no caller")]
    UnknownBearer,
    #[error("the JWT does not hold: {0}")]
    Jwt(#[from] JwtError),
    #[error("the application says that the bearer is not signed in")]
    NotSignedIn,
    #[error("{0}")]
    Claims(#[from] ClaimsError),
}

impl CredentialError {
    /// The kind of reason, without what the credential says.
    pub(crate) fn kind(&self) -> impl Hash + use<> {
        let jwt = if let Self::Jwt(error) = self { Some(discriminant(error)) } else { None };
        (discriminant(self), jwt)
    }
}
