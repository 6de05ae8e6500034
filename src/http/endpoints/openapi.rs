//! Owns `GET /openapi.json`, which describes every path that is served to everyone: <https://spec.openapis.org/oas/v3.1.1>.

use crate::http::reply::{self, Reply};

/// By hand; a test holds its paths, their methods and its version against the server.
const DOCUMENT: &str = include_str!("openapi.json");

/// The document.
pub(crate) fn answer() -> Reply {
    reply::json(DOCUMENT)
}
