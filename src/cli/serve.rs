//! Owns the server's start and end: settings, log, socket, signals.

use std::io;
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::cli::{fail, settings};
use crate::clock::Clock;
use crate::config::{Config, Flags, LogFormat};
use crate::http::{self, Bind, Edge, Limits};
use crate::policy::Policy;

/// Serves until a signal ends it.
pub(super) fn run(flags: Flags) -> ExitCode {
    let config = match settings::read(|variables| Config::read(flags, variables)) {
        Ok(config) => config,
        Err(error) => return fail(error),
    };
    init_log(&config);
    let runtime = match runtime::Builder::new_multi_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(format_args!("cannot start threads: {error}")),
    };
    let status = runtime.block_on(serve(config));
    // Whatever still runs was given its time.
    runtime.shutdown_background();
    status
}

fn init_log(config: &Config) {
    let log =
        tracing_subscriber::fmt().with_max_level(config.log_level).with_target(false).with_writer(io::stderr).with_ansi(false);
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

async fn serve(config: Config) -> ExitCode {
    let (listener, [terminate, interrupt]) = match (http::bind(&config.bind, config.port), signals()) {
        (Ok(listener), Ok(signals)) => (listener, signals),
        (Err(error), _) => return fail(cannot_listen(&config, &error)),
        (_, Err(error)) => return fail(format_args!("cannot listen for signals: {error}")),
    };
    let policy = Policy { ttl: config.token_ttl };
    let edge = Edge::new(config.keys.clone(), policy, config.cors.clone(), Limits::default(), Clock::system());
    announce(&config, &listener, &edge);
    http::run(listener, edge, stop_signal(terminate, interrupt)).await;
    info!("stopped");
    ExitCode::SUCCESS
}

fn signals() -> io::Result<[Signal; 2]> {
    Ok([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?])
}

/// Done at the first signal to stop; the second one ends the process at once.
async fn stop_signal(mut terminate: Signal, mut interrupt: Signal) {
    let name = next_signal(&mut terminate, &mut interrupt).await;
    info!(signal = name, "stopping: requests under way are answered, a second signal ends at once");
    tokio::spawn(async move {
        let name = next_signal(&mut terminate, &mut interrupt).await;
        warn!(signal = name, "ended at once");
        std::process::exit(1);
    });
}

async fn next_signal(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// What a person wants to know at the start, in one line.
fn announce(config: &Config, listener: &TcpListener, edge: &Edge) {
    let minting = config.keys.minting();
    let address = listener.local_addr().map_or_else(|error| error.to_string(), |address| format!("http://{address}"));
    info!(
        version = env!("CARGO_PKG_VERSION"),
        address,
        paths = edge.paths().collect::<Vec<_>>().join(" "),
        key = minting.name(),
        "listening"
    );
    if minting.is_development() {
        warn!(
            "LiveKit's development key is in use, whose secret everyone knows: set LIVEKIT_API_KEY and LIVEKIT_API_SECRET before others can reach this"
        );
    }
}

fn cannot_listen(config: &Config, error: &io::Error) -> String {
    let host = match &config.bind {
        Bind::All => "all interfaces",
        Bind::Host(host) => host,
    };
    let port = config.port;
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("port {port} of {host} is in use: stop the program that has it, or set SERVER_PORT to another one")
        }
        io::ErrorKind::PermissionDenied => {
            format!("port {port} of {host} is not allowed to this user: set SERVER_PORT to one of 1024 or more")
        }
        io::ErrorKind::AddrNotAvailable => format!("{host} is no address of this machine: set SERVER_BIND to one that is"),
        _ if error.raw_os_error().is_none() => {
            format!("{host} is not known: set SERVER_BIND to an address or host name of this machine")
        }
        _ => format!("cannot listen on port {port} of {host}: {error}: see SERVER_BIND and SERVER_PORT"),
    }
}
