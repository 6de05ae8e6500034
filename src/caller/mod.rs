//! How a caller proves itself: which caller a request's credentials belong to, and what they say of it. Does not know any rule, nor the
//! server's requests.

mod answers;
mod api_token;
mod callers;
pub(crate) mod claim_path;
mod credentials;
mod forward;
mod jwk;
mod jwt;
mod jwt_caller;
mod key_fetch;
mod keys;
pub(crate) mod matchers;
mod observer;
mod pace;
mod pem;
mod proxy;
mod public_key;
pub(crate) mod settings;
mod setup;

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::caller::claim_path::ClaimPath;
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
    fn without_claims(name: Arc<str>) -> Self {
        Self { name, subject: None, claims: Map::new(), ends: None }
    }
}

/// Who the caller is: the claim at `path`, if it is a string that is not empty, or an integer.
fn subject(path: &ClaimPath, claims: &Map<String, Value>) -> Option<String> {
    match path.find(claims)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}
