//! Owns the route table and a request's way through it: head, path, method, endpoint, and the answer's way out past CORS.
//! Does not know what an endpoint does.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, Response};
use tracing::{debug, error};

use crate::http::endpoints::{health, token, webhook};
use crate::http::pulse::Pulse;
use crate::http::reply::{self, Refusal, Reply, ReplyBody};
use crate::http::{Edge, cors};

/// What is served where. A path begins with one slash; more in front of it count as one.
const ROUTES: [Route; 4] = [
    Route { path: "/token", methods: Methods("POST, OPTIONS"), endpoint: Endpoint::Token },
    Route { path: "/webhook", methods: Methods("POST, OPTIONS"), endpoint: Endpoint::Webhook },
    Route { path: "/livekit/webhook", methods: Methods("POST, OPTIONS"), endpoint: Endpoint::Webhook },
    Route { path: "/healthz", methods: Methods("GET, HEAD, OPTIONS"), endpoint: Endpoint::Health },
];

/// A path, what may be done there, and what does it.
struct Route {
    path: &'static str,
    methods: Methods,
    endpoint: Endpoint,
}

#[derive(Clone, Copy)]
enum Endpoint {
    Token,
    Webhook,
    Health,
}

/// The methods that a path takes, as `Allow` lists them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Methods(&'static str);

impl Methods {
    fn contains(self, method: &Method) -> bool {
        self.0.split(", ").any(|each| each == method.as_str())
    }

    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.0)
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The paths that are served, for people to read.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|route| route.path)
}

/// Answers `request`. Whatever goes wrong in it, even a panic, ends this request alone.
pub(crate) async fn answer(edge: Arc<Edge>, pulse: Arc<Pulse>, request: Request<Incoming>) -> Response<ReplyBody> {
    let in_flight = pulse.answering();
    let origin = cors::origin(request.headers());
    let answered = match caught(dispatch(&edge, request)).await {
        Some(answered) => answered,
        None => {
            error!("a request panicked and was answered with 500");
            Err(Refusal::Panic)
        }
    };
    let mut reply = answered.unwrap_or_else(|refusal| {
        debug!(status = refusal.status().as_u16(), reason = %refusal, "refused");
        refusal.reply()
    });
    edge.cors.admit(origin.as_ref(), reply.headers_mut());
    reply.map(|bytes| ReplyBody::new(bytes, in_flight))
}

async fn dispatch(edge: &Edge, request: Request<Incoming>) -> Result<Reply, Refusal> {
    if head_bytes(&request) > edge.limits.head_bytes {
        return Err(Refusal::HeadTooLarge);
    }
    let path = request.uri().path().trim_start_matches('/');
    let route = ROUTES.iter().find(|route| route.path.strip_prefix('/') == Some(path)).ok_or(Refusal::NoSuchPath)?;
    if !route.methods.contains(request.method()) {
        return Err(Refusal::Method(route.methods));
    }
    if request.method() == Method::OPTIONS {
        let mut reply = reply::no_content(ALLOW, route.methods.header());
        edge.cors.preflight(route.methods, reply.headers_mut());
        return Ok(reply);
    }
    match route.endpoint {
        Endpoint::Token => token::answer(edge, request).await,
        Endpoint::Webhook => webhook::answer(edge, request).await,
        Endpoint::Health => Ok(health::answer()),
    }
}

/// The size of a request's head on the wire, but for optional white space.
fn head_bytes(request: &Request<Incoming>) -> usize {
    let target = request.uri().path_and_query().map_or(1, |target| target.as_str().len());
    let authority = request.uri().authority().map_or(0, |authority| authority.as_str().len().saturating_add("http://".len()));
    let first_line = [request.method().as_str().len(), authority, target, "  HTTP/1.1\r\n".len()];
    let fields = request.headers().iter().flat_map(|(name, value)| [name.as_str().len(), value.len(), ": \r\n".len()]);
    first_line.into_iter().chain(fields).fold("\r\n".len(), usize::saturating_add)
}

/// The output of `future`; `None` where it panics.
async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        let poll = AssertUnwindSafe(|| Pin::as_mut(&mut future).poll(cx));
        match std::panic::catch_unwind(poll) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}
