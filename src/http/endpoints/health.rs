//! `GET /healthz`: 200 as long as the process answers. `GET /readyz`: 200 as long as it can do its work and is not about to stop.

use crate::http::edge::Edge;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};

/// `{"status":"ok"}`.
pub(crate) fn alive() -> Reply {
    reply::json(r#"{"status":"ok"}"#)
}

/// The same, or the reason why the server is not ready.
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
