//! Owns the listening socket: binding, accepting, the permits that bound the connections, and the end of all of them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::http::Edge;
use crate::http::connection;
use crate::http::limits::{REFUSAL_LINGER, REFUSALS_AT_ONCE};
use crate::http::reply::Refusal;
use crate::http::stop::Stop;

/// Connections that the kernel completes before we accept them; it cuts this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// How long accepting rests after it failed, at first and at most. Each failure in a row doubles it.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// Which of the machine's addresses are listened on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Bind {
    /// All, of both families; of IPv4 alone where there is no IPv6.
    #[default]
    All,
    /// Those of this address or host name.
    Host(String),
}

/// A socket that listens at `port` of `bind`.
///
/// # Errors
/// Where the host is unknown or the port cannot be had, as the system tells it.
pub fn bind(bind: &Bind, port: u16) -> io::Result<TcpListener> {
    match bind {
        Bind::All => match listen((Ipv6Addr::UNSPECIFIED, port).into()) {
            Err(error) if is_without_ipv6(&error) => listen((Ipv4Addr::UNSPECIFIED, port).into()),
            listener => listener,
        },
        Bind::Host(host) => {
            let mut outcome = Err(io::ErrorKind::AddrNotAvailable.into());
            for address in (host.as_str(), port).to_socket_addrs()? {
                outcome = listen(address);
                if outcome.is_ok() {
                    break;
                }
            }
            outcome
        }
    }
}

fn is_without_ipv6(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    // The port of a server that has just ended can be bound again at once.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves `listener` until `shutdown` is done: then it takes no new connection, ends the idle ones, and gives the requests
/// under way [`Limits::drain`](crate::http::Limits::drain) to finish.
pub async fn run(listener: TcpListener, edge: Edge, shutdown: impl Future<Output = ()>) {
    let edge = Arc::new(edge);
    let stop = Arc::new(Stop::default());
    let most = edge.limits.connections.min(Semaphore::MAX_PERMITS).try_into().unwrap_or(u32::MAX);
    let permits = Arc::new(Semaphore::new(edge.limits.connections));
    tokio::select! {
        () = accept_all(&listener, &edge, &permits, &stop) => {}
        () = shutdown => {}
    }
    drop(listener);
    stop.tell();
    // Each connection holds a permit until its end.
    if timeout(edge.limits.drain, permits.acquire_many(most)).await.is_err() {
        warn!("some requests did not finish in time and are cut");
    }
}

async fn accept_all(listener: &TcpListener, edge: &Arc<Edge>, permits: &Arc<Semaphore>, stop: &Arc<Stop>) {
    let refusals = Arc::new(Semaphore::new(REFUSALS_AT_ONCE));
    let mut back_off = BACK_OFF.0;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(back_off).await;
                back_off = back_off.saturating_mul(2).min(BACK_OFF.1);
                continue;
            }
        };
        back_off = BACK_OFF.0;
        let _ = stream.set_nodelay(true); // slower without it, and nothing worse
        match Arc::clone(permits).try_acquire_owned() {
            Ok(permit) => {
                let (edge, stop) = (Arc::clone(edge), Arc::clone(stop));
                tokio::spawn(async move {
                    connection::serve(stream, &edge, &stop).await;
                    drop(permit);
                });
            }
            Err(_) => refuse(stream, edge, &refusals).await,
        }
    }
}

/// Tells a connection for which there is no place so. Where many are being told, this waits, and so do those in the backlog.
async fn refuse(stream: TcpStream, edge: &Arc<Edge>, refusals: &Arc<Semaphore>) {
    debug!("connection refused: too many");
    let Ok(permit) = Arc::clone(refusals).acquire_owned().await else { return };
    let edge = Arc::clone(edge);
    tokio::spawn(async move {
        connection::refuse(stream, &edge, &Refusal::Overloaded, REFUSAL_LINGER).await;
        drop(permit);
    });
}
