//! The ids that open the development token server. Does not know what a request with one of them gets.

use hyper::header::{HeaderMap, HeaderName};

use crate::http::headers::only;
use crate::http::refusal::Refusal;
use crate::jws;

/// The header that LiveKit's clients send to a development token server.
const SANDBOX_ID: HeaderName = HeaderName::from_static("x-sandbox-id");

/// If there are none, no id is required. They are compared as secrets are, in constant time.
#[derive(Debug, Default)]
pub(crate) struct SandboxIds(Vec<jws::Key>);

impl SandboxIds {
    pub(crate) fn new<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        Self(ids.into_iter().filter_map(|id| jws::Key::new(id.as_bytes())).collect())
    }

    /// Checks that `headers` have one of them.
    pub(crate) fn require(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let presented = only(headers, SANDBOX_ID).ok().flatten().and_then(|id| jws::Key::new(id.as_bytes()));
        // All of them are compared, so that the time does not tell which one it was.
        let is_known = |presented| self.0.iter().fold(false, |found, id| found | (*id == presented));
        if self.0.is_empty() || presented.is_some_and(is_known) { Ok(()) } else { Err(Refusal::SandboxId) }
    }
}
