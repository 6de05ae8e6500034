//! How a caller proves itself: which caller a request's credentials belong to, and what they say of it. Does not know any rule, nor the
//! server's requests.

pub(crate) mod claim_path;
pub(crate) mod matchers;
pub(crate) mod settings;

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
