//! `GET /openapi.json`: a description of all public paths (<https://spec.openapis.org/oas/v3.1.1>).

use crate::http::reply::{self, Reply};

/// Written by hand. A test compares its paths, methods and version with the server.
const DOCUMENT: &str = include_str!("openapi.json");

pub(crate) fn answer() -> Reply {
    reply::json(DOCUMENT)
}
