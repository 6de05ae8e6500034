//! Owns `GET /healthz`: 200 as long as the process answers at all.

use crate::http::reply::{self, Reply};

/// `{"status":"ok"}`.
pub(crate) fn answer() -> Reply {
    reply::json(r#"{"status":"ok"}"#)
}
