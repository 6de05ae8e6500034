//! A client from other projects: hyper for HTTP, `sse_stream` for the events.

use std::net::SocketAddr;

use futures_util::StreamExt;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sse_stream::{Sse, SseStream};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::wait::PATIENCE;

pub(super) type Headers<'a> = &'a [(&'a str, &'a str)];

/// Sends a request on a connection of its own, which lives as long as the answer's body.
pub(super) async fn send(address: SocketAddr, method: &str, target: &str, headers: Headers<'_>) -> Response<Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(target).header("host", "test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap());
    timeout(PATIENCE, answer).await.expect("no answer").unwrap()
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: hyper::HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) async fn read(answer: Response<Incoming>) -> Self {
        let (head, body) = answer.into_parts();
        let body = timeout(PATIENCE, body.collect()).await.expect("no end of the answer").unwrap().to_bytes();
        Self { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The message of an error, which is one flat object.
    pub(super) fn error(&self) -> String {
        let Value::Object(object) = self.json() else { panic!("{self:?}") };
        assert_eq!((object.len(), self.header("access-control-allow-origin")), (1, Some("*")), "{self:?}");
        object["errorMessage"].as_str().unwrap().to_owned()
    }

    /// The page: `id` of each of its events, and its `next`.
    pub(super) fn ids(&self) -> (Vec<String>, String) {
        assert_eq!(self.status, 200, "{self:?}");
        let page = self.json();
        let id = |event: &Value| event["event"]["id"].as_str().unwrap().to_owned();
        (page["events"].as_array().unwrap().iter().map(id).collect(), page["next"].as_str().unwrap().to_owned())
    }
}

/// A stream of events.
pub(super) struct Events(SseStream<Incoming>);

impl Events {
    pub(super) fn read(answer: Response<Incoming>) -> Self {
        assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].as_bytes()), (200, &b"text/event-stream"[..]));
        Self(SseStream::new(answer.into_body()))
    }

    /// The next event; `None` if the stream ends properly.
    pub(super) async fn next(&mut self) -> Option<Sse> {
        loop {
            let next = timeout(PATIENCE, self.0.next()).await.expect("neither an event nor an end");
            match next.transpose().expect("the stream breaks off") {
                Some(event) if event.data.is_none() => {}
                event => return event,
            }
        }
    }

    /// The next id without an event.
    pub(super) async fn next_id_alone(&mut self) -> String {
        loop {
            let next = timeout(PATIENCE, self.0.next()).await.expect("no id").expect("it ends").unwrap();
            assert!(next.data.is_none(), "an event: {next:?}");
            if let Some(id) = next.id {
                return id;
            }
        }
    }

    /// The same as [`next`](Self::next), but `None` also if the stream breaks off.
    pub(super) async fn next_or_cut(&mut self) -> Option<Sse> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("neither an event nor an end")?.ok()? {
                event if event.data.is_none() => {}
                event => return Some(event),
            }
        }
    }
}
