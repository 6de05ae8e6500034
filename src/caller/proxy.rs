//! Callers whom an authenticating proxy has proven. Does not know which connections come from the proxy.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::caller::claim_path::ClaimPath;
use crate::caller::credentials::Credentials;
use crate::caller::matchers::{Matchers, Mismatch};
use crate::caller::settings::Proxy;
use crate::caller::{Caller, subject};

/// A `proxy` caller.
#[derive(Debug)]
pub(crate) struct ProxyCaller {
    pub(crate) name: Arc<str>,
    pub(crate) subject: ClaimPath,
    pub(crate) require: Matchers,
    pub(crate) proxy: Proxy,
}

impl ProxyCaller {
    /// The caller that the proxy's headers name; `None` if they name none. A header that is there twice does not count.
    pub(crate) fn identify(&self, credentials: &Credentials<'_>) -> Option<Result<Caller, Mismatch>> {
        let claim = |(claim, header)| Some((String::clone(claim), Value::from(credentials.only(header)?)));
        let claims: Map<_, _> = self.proxy.headers.iter().map(|(name, header)| (name, header)).filter_map(claim).collect();
        let subject = Some(subject(&self.subject, &claims)?);
        Some(match self.require.mismatch(&claims) {
            Some(mismatch) => Err(mismatch),
            None => Ok(Caller { name: Arc::clone(&self.name), subject, claims, ends: None }),
        })
    }
}
