//! Callers whom an authenticating proxy has proven. Does not know which connections come from the proxy.

use hyper::header::HeaderName;
use serde_json::Value;

use crate::caller::Caller;
use crate::caller::credentials::Credentials;
use crate::caller::expectations::{ClaimsError, Expectations};
use crate::caller::settings::Proxy;

/// A `proxy` caller.
#[derive(Debug)]
pub(crate) struct ProxyCaller {
    pub(crate) expectations: Expectations,
    pub(crate) proxy: Proxy,
}

impl ProxyCaller {
    /// The caller that the proxy's headers name; `None` if they name none. A header that is there twice does not count.
    ///
    /// # Errors
    /// If the headers name a caller that cannot be one.
    pub(crate) fn identify(&self, credentials: &Credentials<'_>) -> Result<Option<Caller>, ClaimsError> {
        let headers = self.proxy.headers.iter();
        let has_subject =
            |(claim, header): &(String, HeaderName)| self.expectations.subject.is_named(claim) && credentials.has_one(header);
        let is_named = self.proxy.headers.iter().any(has_subject);
        let claims =
            headers.filter_map(|(claim, header)| Some((claim.clone(), Value::from(credentials.only(header)?)))).collect();
        match self.expectations.caller(claims, None) {
            Err(ClaimsError::NoSubject) if !is_named => Ok(None),
            caller => caller.map(Some),
        }
    }
}
