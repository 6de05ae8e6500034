//! Callers whom an authenticating proxy has proven. Does not know which connections come from the proxy.

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
        let values = self.proxy.headers.iter().filter_map(|(claim, header)| Some((claim, credentials.only(header)?)));
        let is_named = values.clone().any(|(claim, _)| self.expectations.subject.is_named(claim));
        let text = |value| str::from_utf8(value).ok().map(str::trim).filter(|text| !text.is_empty());
        let claims = values.filter_map(|(claim, value)| Some((claim.clone(), Value::from(text(value)?)))).collect();
        match self.expectations.caller(claims, None) {
            Err(ClaimsError::NoSubject) if !is_named => Ok(None),
            caller => caller.map(Some),
        }
    }
}
