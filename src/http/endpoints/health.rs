//! Owns `GET /healthz`, 200 as long as the process answers at all, and `GET /readyz`, 200 as long as it can do its work and means
//! to go on.

use crate::http::Edge;
use crate::http::reply::{self, Refusal, Reply};

/// `{"status":"ok"}`.
pub(crate) fn alive() -> Reply {
    reply::json(r#"{"status":"ok"}"#)
}

/// Likewise, or why not.
pub(crate) fn ready(edge: &Edge) -> Result<Reply, Refusal> {
    if edge.stop.is_announced() {
        return Err(Refusal::Stopping);
    }
    if let Some(worker) = edge.workers.down() {
        return Err(Refusal::WorkerDown(worker));
    }
    edge.inbox.is_ready().map_err(Refusal::NotReady)?;
    Ok(alive())
}
