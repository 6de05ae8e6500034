//! How a caller proves itself: which caller a request's credentials belong to, and what they say of it. Does not know any rule, nor the
//! server's requests.
//!
//! The server sets up [`Callers`](callers::Callers) from the policy's settings, and asks them who a request is, with its
//! [`Credentials`](credentials::Credentials). What a caller claims is the same for all kinds ([`Expectations`](expectations::Expectations)).

mod answers;
pub(crate) mod api_token;
mod application;
pub(crate) mod callers;
pub(crate) mod claim_path;
pub(crate) mod credentials;
pub(crate) mod expectations;
mod forward;
mod jwk;
mod jwt;
mod jwt_caller;
mod kept;
mod key_fetch;
mod keys;
pub(crate) mod matchers;
pub(crate) mod observer;
mod pace;
mod pem;
mod proxy;
mod public_key;
pub(crate) mod refused;
mod sessions;
pub(crate) mod settings;
pub(crate) mod setup;
pub(crate) mod stars;

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::clock::UnixTime;

/// A caller that has proven itself, or `anonymous`.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The section's name.
    pub(crate) name: Arc<str>,
    /// Who it is; `None` for `api-token` and `anonymous`. An integer is written in decimal.
    pub(crate) subject: Option<String>,
    /// Empty for `api-token` and `anonymous`.
    pub(crate) claims: Map<String, Value>,
    /// When the proof ends: the JWT's `exp`.
    pub(crate) ends: Option<UnixTime>,
}

impl Caller {
    pub(crate) fn without_claims(name: Arc<str>) -> Self {
        Self { name, subject: None, claims: Map::new(), ends: None }
    }
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that breaks says so by panicking"
)]
mod tests;
