//! Owns the route table and a request's way through it: head, path, method, endpoint, and the answer's way out past CORS.
//! Does not know what an endpoint does.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::task::Poll;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, Response};
use tracing::{debug, error};

use crate::http::endpoints::{health, token, webhook};
use crate::http::pulse::InFlight;
use crate::http::reply::{self, Refusal, Reply, ReplyBody};
use crate::http::{Edge, cors};

/// What is served where. A path begins with one slash; more in front of it count as one.
const ROUTES: [Route; 4] = [
    Route { path: "/token", methods: POST, endpoint: Endpoint::Token },
    Route { path: "/webhook", methods: POST, endpoint: Endpoint::Webhook },
    Route { path: "/livekit/webhook", methods: POST, endpoint: Endpoint::Webhook },
    Route { path: "/healthz", methods: GET, endpoint: Endpoint::Health },
];

const GET: Methods = Methods(&[Method::GET, Method::HEAD, Method::OPTIONS]);
const POST: Methods = Methods(&[Method::POST, Method::OPTIONS]);

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

/// The methods that a path takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Methods(&'static [Method]);

impl Methods {
    /// As `Allow` lists them.
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(Method::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

/// The paths that are served, for people to read.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|route| route.path)
}

/// Answers `request`. Whatever goes wrong in it, even a panic, ends this request alone.
pub(crate) async fn answer(edge: &Edge, in_flight: InFlight, mut request: Request<Incoming>) -> Response<ReplyBody> {
    let answered = match caught(dispatch(edge, &mut request)).await {
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
    edge.cors.admit(cors::origin(request.headers()), reply.headers_mut());
    reply.map(|bytes| ReplyBody::new(bytes, in_flight))
}

async fn dispatch(edge: &Edge, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    if head_bytes(request) > edge.limits.head_bytes {
        return Err(Refusal::HeadTooLarge);
    }
    let path = request.uri().path().trim_start_matches('/');
    let route = ROUTES.iter().find(|route| route.path.strip_prefix('/') == Some(path)).ok_or(Refusal::NoSuchPath)?;
    if !route.methods.0.contains(request.method()) {
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
