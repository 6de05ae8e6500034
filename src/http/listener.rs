//! The listening socket, the number of connections, and their end when the server stops. Does not know what happens on them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::http::connection;
use crate::http::edge::Edge;
use crate::http::limits::{METRICS_CONNECTIONS, REFUSAL_LINGER, REFUSALS_AT_ONCE};
use crate::http::refusal::Refusal;
use crate::http::router;
use crate::http::routes::{Listener, Peer};
use crate::worker::faults;

/// Connections that the kernel completes before they are accepted. It lowers this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// The pause after accepting failed: the first, and the longest. Each failure in a row doubles it.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// Which of the machine's addresses to listen on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Bind {
    /// All, IPv4 and IPv6; only IPv4 if the machine has no IPv6.
    #[default]
    All,
    /// This address, or the first of this host name that can be bound.
    Host(String),
}

/// Listens on `port` of `bind`.
///
/// # Errors
/// If the host is unknown or the port cannot be bound: the system's error.
pub fn bind(bind: &Bind, port: u16) -> io::Result<TcpListener> {
    match bind {
        Bind::All => match listen((Ipv6Addr::UNSPECIFIED, port).into()) {
            Err(error) if is_without_ipv6(&error) => listen((Ipv4Addr::UNSPECIFIED, port).into()),
            listener => listener,
        },
        Bind::Host(host) => {
            let none = Err(io::ErrorKind::AddrNotAvailable.into());
            (host.as_str(), port).to_socket_addrs()?.fold(none, |bound, address| bound.or_else(|_| listen(address)))
        }
    }
}

fn is_without_ipv6(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// Listens on `address`.
///
/// # Errors
/// The system's error.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    // So that the port of a server that has just ended can be bound again at once.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves `listener`, and metrics on `metrics`, until `shutdown` completes. Then `/readyz` reports it for
/// [`Limits::farewell`](crate::http::Limits::farewell) while everything else continues. After that, no connection is accepted, idle
/// ones end, and requests in flight have [`Limits::drain`](crate::http::Limits::drain) to finish.
pub async fn run(listener: TcpListener, metrics: Option<TcpListener>, edge: Edge, shutdown: impl Future<Output = ()>) {
    let edge = Arc::new(edge);
    let most = edge.limits.connections.min(Semaphore::MAX_PERMITS).try_into().unwrap_or(u32::MAX);
    let permits = Arc::new(Semaphore::new(edge.limits.connections));
    let metrics_permits = Arc::new(Semaphore::new(METRICS_CONNECTIONS));
    let farewell = async {
        shutdown.await;
        if !edge.limits.farewell.is_zero() {
            edge.stop.announce();
            sleep(edge.limits.farewell).await;
        }
    };
    tokio::select! {
        () = keep_accepting(Some(&listener), &edge, Listener::Public, &permits) => {}
        () = keep_accepting(metrics.as_ref(), &edge, Listener::Metrics, &metrics_permits) => {}
        () = farewell => {}
    }
    take_waiting(listener, &edge, &permits);
    edge.stop.end_connections();
    // Each connection holds a permit until it ends.
    if timeout(edge.limits.drain, permits.acquire_many(most)).await.is_err() {
        warn!("some requests did not finish in time and are cut");
    }
}

async fn keep_accepting(listener: Option<&TcpListener>, edge: &Arc<Edge>, kind: Listener, permits: &Arc<Semaphore>) {
    let Some(listener) = listener else { return std::future::pending().await };
    while edge.workers.panicked(kind.worker(), accept_all(listener, edge, kind, permits)).await {}
}

async fn accept_all(listener: &TcpListener, edge: &Arc<Edge>, kind: Listener, permits: &Arc<Semaphore>) {
    let refusals = Arc::new(Semaphore::new(REFUSALS_AT_ONCE));
    let mut back_off = BACK_OFF.0;
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(back_off).await;
                back_off = back_off.saturating_mul(2).min(BACK_OFF.1);
                continue;
            }
        };
        back_off = BACK_OFF.0;
        faults::point(kind.worker());
        let peer = Peer { listener: kind, client: address.ip().to_canonical() };
        if let Err(stream) = take(stream, peer, edge, permits) {
            refuse(stream, edge, peer, &refusals).await;
        }
    }
}

/// Serves `stream`, or returns it if there are too many connections.
fn take(stream: TcpStream, peer: Peer, edge: &Arc<Edge>, permits: &Arc<Semaphore>) -> Result<(), TcpStream> {
    let _ = stream.set_nodelay(true); // without it, the connection is only slower
    let Ok(permit) = Arc::clone(permits).try_acquire_owned() else { return Err(stream) };
    let edge = Arc::clone(edge);
    let counted = (peer.listener == Listener::Public).then(|| Arc::clone(&edge.open_connections));
    tokio::spawn(async move {
        connection::serve(stream, &edge, peer).await;
        drop((permit, counted));
    });
    Ok(())
}

/// Closes `listener` after taking the connections that the kernel has completed. It would reset them, and lose their requests.
fn take_waiting(listener: TcpListener, edge: &Arc<Edge>, permits: &Arc<Semaphore>) {
    let Ok(listener) = listener.into_std() else { return };
    for _ in 0..BACKLOG {
        let Ok((stream, address)) = listener.accept() else { return };
        let peer = Peer { listener: Listener::Public, client: address.ip().to_canonical() };
        if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
            let _ = take(stream, peer, edge, permits); // one too many is closed, as if it had come later
        }
    }
}

/// Answers one connection too many with 503. If many are being answered, this waits, and the backlog with it.
async fn refuse(stream: TcpStream, edge: &Arc<Edge>, peer: Peer, refusals: &Arc<Semaphore>) {
    debug!("connection refused: too many");
    edge.metrics.as_ref().inspect(|metrics| metrics.connections_refused.inc());
    let Ok(permit) = Arc::clone(refusals).acquire_owned().await else { return };
    let edge = Arc::clone(edge);
    tokio::spawn(async move {
        let reply = router::refuse(&edge, peer, b"", &Refusal::Overloaded);
        connection::refuse(stream, reply, REFUSAL_LINGER).await;
        drop(permit);
    });
}
