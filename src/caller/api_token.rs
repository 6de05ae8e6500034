//! Opaque tokens of servers, of which only the hash is kept. Does not know where the hashes come from.

use std::sync::Arc;

use hmac::digest::CtOutput;
use sha2::{Digest, Sha256};

/// The hash of a token, compared in constant time.
type TokenHash = CtOutput<Sha256>;

/// The callers' tokens.
#[derive(Debug, Default)]
pub(crate) struct ApiTokens(Vec<(Arc<str>, TokenHash)>);

impl ApiTokens {
    /// Adds the token of `caller` whose SHA-256 is `hash`.
    pub(crate) fn add(&mut self, caller: Arc<str>, hash: [u8; 32]) {
        self.0.push((caller, TokenHash::new(hash.into())));
    }

    /// The caller whose token is `bearer`; the first one if there are several. Compares all, so that the time says nothing.
    pub(crate) fn find(&self, bearer: &str) -> Option<&Arc<str>> {
        if self.0.is_empty() {
            return None; // most policies have no such caller
        }
        let hash = TokenHash::new(Sha256::digest(bearer));
        let equal = self.0.iter().filter(|(_, known)| *known == hash).map(|(caller, _)| caller);
        equal.fold(None, |first, caller| first.or(Some(caller)))
    }
}
