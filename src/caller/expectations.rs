//! What a caller's claims must be, however they were proven. Does not know how.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::caller::Caller;
use crate::caller::claim_path::ClaimPath;
use crate::caller::matchers::Matchers;
use crate::clock::UnixTime;

/// What the claims of the caller `name` must be.
#[derive(Debug)]
pub(crate) struct Expectations {
    pub(crate) name: Arc<str>,
    /// The claim that says who it is.
    pub(crate) subject: ClaimPath,
    pub(crate) require: Matchers,
}

impl Expectations {
    /// The caller that `claims` describe until `ends`.
    pub(crate) fn caller(&self, claims: Map<String, Value>, ends: Option<UnixTime>) -> Result<Caller, ClaimsError> {
        let subject = Some(self.subject(&claims)?);
        Ok(Caller { name: Arc::clone(&self.name), subject, claims, ends })
    }

    /// Who the caller with these `claims` is, if they are as they must be.
    pub(crate) fn subject(&self, claims: &Map<String, Value>) -> Result<String, ClaimsError> {
        let subject = match self.subject.find(claims) {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
            _ => return Err(ClaimsError::NoSubject),
        };
        match self.require.mismatch(claims) {
            Some(mismatch) => Err(ClaimsError::Mismatch(mismatch.to_string())),
            None => Ok(subject),
        }
    }
}

/// Why claims are no caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ClaimsError {
    #[error("no claim says who the caller is: it must be a string that is not empty, or an integer")]
    NoSubject,
    /// What `require` misses.
    #[error("{0}")]
    Mismatch(String),
}
