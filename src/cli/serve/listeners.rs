//! Opens the sockets of the server, and explains why one cannot be opened. Does not know what is served on them.

use std::io;

use listenfd::ListenFd;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::http::{self, Bind};

/// The socket that a supervisor passed on (`LISTEN_FDS`), or else a new one.
pub(super) fn server(config: &Config) -> Result<TcpListener, String> {
    let unusable = |error| format!("LISTEN_FDS: its first descriptor is not a listening TCP socket: {error}");
    let Some(inherited) = ListenFd::from_env().take_tcp_listener(0).map_err(unusable)? else {
        return http::bind(&config.server_bind, config.server_port).map_err(|error| cannot_listen(config, &error));
    };
    inherited.set_nonblocking(true).map_err(unusable)?;
    TcpListener::from_std(inherited).map_err(unusable)
}

pub(super) fn metrics(config: &Config) -> Result<Option<TcpListener>, String> {
    let Some(address) = config.metrics_bind else { return Ok(None) };
    http::listen(address).map(Some).map_err(|error| format!("METRICS_BIND: cannot listen on {address}: {error}"))
}

fn cannot_listen(config: &Config, error: &io::Error) -> String {
    let host = match &config.server_bind {
        Bind::All => "all interfaces",
        Bind::Host(host) => host,
    };
    let port = format!("port {} of {host}", config.server_port);
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{port} is in use: stop the program that uses it, or set SERVER_PORT to another port")
        }
        io::ErrorKind::PermissionDenied => format!("this user may not use {port}: set SERVER_PORT to 1024 or more"),
        io::ErrorKind::AddrNotAvailable => {
            format!("{host} is not an address of this machine: set SERVER_BIND to one of its addresses")
        }
        _ if error.raw_os_error().is_none() => {
            format!("{host} is not known: set SERVER_BIND to an address or host name of this machine")
        }
        _ => format!("cannot listen on {port}: {error}: check SERVER_BIND and SERVER_PORT"),
    }
}
