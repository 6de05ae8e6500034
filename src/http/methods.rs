//! The methods that a path takes. Does not know any path.

use hyper::Method;
use hyper::header::HeaderValue;

/// The methods that a path takes, as `Allow` and error messages list them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Methods(pub(crate) &'static str);

impl Methods {
    pub(crate) const GET: Self = Self("GET, HEAD, OPTIONS");
    pub(crate) const POST: Self = Self("POST, OPTIONS");

    pub(crate) fn contains(self, method: &Method) -> bool {
        self.0.split(", ").any(|name| name == method.as_str())
    }

    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.0)
    }
}
