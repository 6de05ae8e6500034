//! `GET /metrics`, on the metrics listener.

use std::sync::Arc;

use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::http::content::Content;
use crate::http::edge::Edge;
use crate::http::refusal::Refusal;
use crate::http::reply::Reply;

/// Prometheus' text format, version 0.0.4.
pub(crate) fn answer(edge: &Edge) -> Result<Reply, Refusal> {
    let metrics = edge.metrics.as_ref().ok_or(Refusal::NoSuchPath)?;
    if let Some(policy) = edge.policies.current() {
        metrics.callers.set_key_ages(policy.callers.key_ages(edge.clock.now()));
    }
    let connections = Arc::strong_count(&edge.open_connections).saturating_sub(1);
    let held = edge.tokens.budget.held().saturating_add(edge.webhook_budget.held());
    let mut reply = Reply::new(Content::Whole(metrics.page(connections, held).into()));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    Ok(reply)
}
