//! The methods that a path takes, as `Allow` and error messages list them. Does not know any path.

use std::fmt;

use hyper::Method;
use hyper::header::HeaderValue;

/// The methods that a path takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Methods(&'static [Method]);

impl Methods {
    pub(crate) const GET: Self = Self(&[Method::GET, Method::HEAD, Method::OPTIONS]);
    pub(crate) const POST: Self = Self(&[Method::POST, Method::OPTIONS]);

    pub(crate) fn contains(self, method: &Method) -> bool {
        self.0.contains(method)
    }

    /// The value of `Allow`.
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(Method::as_str).collect();
        f.write_str(&names.join(", "))
    }
}
