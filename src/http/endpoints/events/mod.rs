//! `GET /events`: the events after a cursor, as a page of JSON or as Server-Sent Events. Does not know how events are stored.

mod accept;
mod access;
mod batches;
mod caller_watch;
mod frames;
pub(crate) mod large_bodies;
mod page;
mod permission;
mod query;
mod reader_log;
mod sse;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY};
use hyper::{Method, Request, Uri};

use crate::http::content::Content;
use crate::http::edge::Edge;
use crate::http::headers::list;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, JSON, Reply};
use crate::http::trace::Trace;
use access::Access;
use batches::BatchReader;
use query::{Beginning, Query};
use reader_log::ReaderLog;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

pub(crate) async fn answer(edge: &Edge, trace: &Trace, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    let query = Query::parse(request.uri().query().unwrap_or_default())?;
    let access = Access::check(edge, trace, request.headers(), query.value("access_token"), query.value("room")).await?;
    let filter = access.filter(query.value("room"), query.events.clone())?;
    let start = query.start(request.headers())?;
    let (limit, wait, is_named) = (query.limit()?, query.wait()?, query.is_named()?);
    let is_stream = accept::wants_stream(request.headers());
    // RFC 9112, section 9.6.
    let is_last = list(request.headers(), CONNECTION).any(|option| option.eq_ignore_ascii_case("close"));
    let is_head = request.method() == Method::HEAD; // reads nothing
    release_head(request);
    let (room, grant) = (filter.room.clone(), access.grant());
    let log = ReaderLog { trace: trace.clone(), reader: access.reader, grant, room, start };

    let redacts = access.room.is_some(); // secrets are for those who may read everything
    let events = BatchReader::new(edge, start, filter, access.allowance, redacts).await;
    let (mut content, content_type) = if is_stream {
        let told = if let Beginning::After(_, cursor) = start { Some(cursor) } else { None };
        (sse::stream(events, is_named, told, access.permission, edge.limits.silence).await?, EVENT_STREAM)
    } else {
        (page::page(events, limit, wait, access.permission).await?, JSON)
    };
    match &mut content {
        _ if is_head => {}
        Content::Stream(stream) if is_stream => stream.on_end = Some(Box::new(log.stream(Arc::clone(&edge.stop)))),
        _ => log.page(&edge.page_readers),
    }
    let mut reply = reply::private(content, content_type);
    let headers = reply.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    // Otherwise nginx would hold a stream back until its buffer is full.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    if is_last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(reply)
}

/// Drops the request's head, because it keeps hyper's read buffer. Only what the router needs later is copied.
fn release_head(request: &mut Request<Incoming>) {
    let origin = request.headers().get(ORIGIN).and_then(|origin| HeaderValue::from_bytes(origin.as_bytes()).ok());
    *request.headers_mut() = HeaderMap::new();
    if let Some(origin) = origin {
        request.headers_mut().insert(ORIGIN, origin);
    }
    *request.uri_mut() = Uri::try_from(request.uri().path().to_owned()).unwrap_or_default();
}
