//! Opaque tokens of servers, of which only the hash is kept. Does not know where the hashes come from.

use std::sync::Arc;

use hmac::digest::CtOutput;
use sha2::{Digest, Sha256};

use crate::caller::Caller;
use crate::jws;

/// The SHA-256 of a bearer token.
pub(crate) type TokenHash = [u8; 32];

/// The callers' tokens, whose hashes are compared in constant time.
#[derive(Debug, Default)]
pub(crate) struct ApiTokens(Vec<(Arc<Caller>, CtOutput<Sha256>)>);

/// The hash of the token in a request.
pub(crate) fn token_hash(token: &[u8]) -> TokenHash {
    jws::to_bytes(jws::sha256(token))
}

/// The same hash, of a token that the server keeps no copy of. What hashing copies is wiped, which takes longer.
pub(crate) fn secret_hash(secret: &[u8]) -> TokenHash {
    Sha256::digest(secret).into()
}

impl ApiTokens {
    /// Adds the token of `caller` with this hash.
    pub(crate) fn add(&mut self, caller: Arc<str>, hash: TokenHash) {
        self.0.push((Arc::new(Caller::without_claims(caller)), CtOutput::new(hash.into())));
    }

    /// The caller whose token has this hash; the first one if there are several. Compares all, so that the time says nothing.
    pub(crate) fn find(&self, hash: TokenHash) -> Option<&Arc<Caller>> {
        let hash = CtOutput::new(hash.into());
        let equal = self.0.iter().filter(|(_, known)| *known == hash).map(|(caller, _)| caller);
        equal.fold(None, |first, caller| first.or(Some(caller)))
    }
}
