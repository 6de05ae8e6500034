//! An application's endpoint that takes every event at once, on a thread of its own. Does not know who sends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Runs until the process ends.
pub(crate) struct Receiver {
    address: SocketAddr,
    taken: Arc<AtomicUsize>,
    arrivals: mpsc::Receiver<Instant>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let (sender, arrivals) = mpsc::channel();
        let (bound, address) = mpsc::channel();
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&taken);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                bound.send(listener.local_addr().expect("it is bound")).expect("the bench waits for it");
                loop {
                    let (stream, _) = listener.accept().await.expect("connections");
                    stream.set_nodelay(true).expect("a TCP connection");
                    let (sender, taken) = (sender.clone(), Arc::clone(&counted));
                    let service = service_fn(move |request| take(request, sender.clone(), Arc::clone(&taken)));
                    tokio::spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(stream), service).await });
                }
            });
        });
        Self { address: address.recv().expect("the receiver starts"), taken, arrivals }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// When the next event arrives.
    pub(crate) fn next(&self) -> Result<Instant, String> {
        self.arrivals.recv_timeout(Duration::from_secs(10)).map_err(|_| "an event does not arrive".to_owned())
    }

    /// Waits until `count` events have arrived since the last call of this function, and returns when the first and the last one did.
    pub(crate) fn wait_for(&self, count: usize) -> Result<(Instant, Instant), String> {
        let first = self.next()?;
        let mut last = first;
        for _ in 1..count {
            last = self.next()?;
        }
        Ok((first, last))
    }

    /// Waits until no event arrives any more, and forgets them.
    pub(crate) fn rest(&self) {
        loop {
            let before = self.taken.load(Relaxed);
            thread::sleep(Duration::from_millis(300));
            if self.taken.load(Relaxed) == before {
                break;
            }
        }
        while self.arrivals.try_recv().is_ok() {}
    }
}

async fn take(
    request: Request<Incoming>,
    sender: mpsc::Sender<Instant>,
    taken: Arc<AtomicUsize>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let _ = request.into_body().collect().await;
    taken.fetch_add(1, Relaxed);
    let _ = sender.send(Instant::now()); // nobody listens at the end
    Ok(Response::new(Full::default()))
}
