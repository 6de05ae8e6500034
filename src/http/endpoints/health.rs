//! `GET /healthz`: 200 as long as the process answers. `GET /readyz`: 200 as long as it can do all of its work and is not about to
//! stop; `/readyz/tokens` and `/readyz/webhooks` are about one half of the work. Does not know who asks.

use crate::http::edge::Edge;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::worker::Workers;

/// `{"status":"ok"}`.
pub(crate) fn alive() -> Reply {
    reply::json(r#"{"status":"ok"}"#)
}

/// The same, or the reason why the server is not ready. Issuers of callers do not count: their outage is not the server's.
pub(crate) fn ready(edge: &Edge) -> Result<Reply, Refusal> {
    serves(edge)?;
    run(&edge.tokens.workers)?;
    takes_webhooks(edge)
}

/// Whether tokens are handed out. Not while no caller of the policy can be identified.
pub(crate) fn ready_for_tokens(edge: &Edge) -> Result<Reply, Refusal> {
    serves(edge)?;
    run(&edge.tokens.workers)?;
    match edge.policies.current() {
        Some(policy) if policy.lacks_all_keys(edge.clock.now()) => Err(Refusal::NoIssuerKeys),
        _ => Ok(alive()),
    }
}

/// Whether webhooks are taken. Without an inbox they always are.
pub(crate) fn ready_for_webhooks(edge: &Edge) -> Result<Reply, Refusal> {
    serves(edge)?;
    takes_webhooks(edge)
}

fn takes_webhooks(edge: &Edge) -> Result<Reply, Refusal> {
    edge.inbox.is_ready().map_err(Refusal::NotReady)?;
    Ok(alive())
}

/// What everything needs.
fn serves(edge: &Edge) -> Result<(), Refusal> {
    if edge.stop.is_announced() { Err(Refusal::Stopping) } else { run(&edge.workers) }
}

fn run(workers: &Workers) -> Result<(), Refusal> {
    workers.down().map_or(Ok(()), |worker| Err(Refusal::WorkerDown(worker)))
}
