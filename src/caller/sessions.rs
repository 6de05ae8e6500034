//! The JWTs that a caller's keys have verified: a client sends the same one again and again, and a hash takes a small part of the time
//! that a signature takes. Does not know how a JWT is verified.

use std::sync::{Arc, Mutex, Weak};

use crate::caller::Caller;
use crate::caller::api_token::TokenHash;
use crate::caller::jwk::KeySet;
use crate::caller::jwt::Validity;
use crate::caller::kept::Kept;
use crate::clock::UnixTime;
use crate::worker::lock;

/// How much more memory claims take than their text: many are short, and each has a name and a value of its own.
const MEMORY_OF_TEXT: usize = 8;

/// The sessions of one caller.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Proven>);

#[derive(Debug, Default)]
struct Proven {
    /// The keys that verified them; none if the caller's key never changes.
    keys: Weak<KeySet>,
    sessions: Kept<TokenHash, (Arc<Caller>, Validity)>,
}

impl Sessions {
    /// The caller whose token has this hash, if `keys` have verified it, and it is valid at `now`.
    pub(crate) fn find(&self, token: &TokenHash, keys: &Weak<KeySet>, now: UnixTime) -> Option<Arc<Caller>> {
        let proven = lock(&self.0);
        let (caller, validity) = proven.sessions.find(token).filter(|_| proven.keys.ptr_eq(keys))?;
        validity.check(now).is_ok().then(|| Arc::clone(caller))
    }

    /// Keeps what `keys` have verified: a token of so many bytes, with its hash. Other keys verify all again.
    pub(crate) fn keep(
        &self,
        (token, bytes): (TokenHash, usize),
        keys: Weak<KeySet>,
        (caller, validity): (&Arc<Caller>, Validity),
    ) {
        let mut proven = lock(&self.0);
        if !proven.keys.ptr_eq(&keys) {
            *proven = Proven { keys, sessions: Kept::default() };
        }
        proven.sessions.keep(token, (Arc::clone(caller), validity), bytes.saturating_mul(MEMORY_OF_TEXT));
    }
}
