//! Owns the server's start and end: settings, log, socket, signals.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::cli::opening::{open_inbox, place};
use crate::cli::{fail, key_watch, log, settings};
use crate::clock::{Clock, UnixTime};
use crate::config::{Config, DEFAULT_LIVEKIT_URL, Flags, MAX_CONNECTIONS};
use crate::http::{self, Bind, Edge, Limits, Metrics};
use crate::inbox::Inbox;
use crate::policy::Policy;

/// The signal of a file that is larger than the limit (signal(7), Linux on all but MIPS).
const SIGXFSZ: i32 = 25;
/// For the inbox to end in good order.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Serves until a signal ends it.
pub(super) fn run(flags: Flags) -> ExitCode {
    let read = settings::variables().and_then(|variables| Ok((Config::read(flags, &variables)?, variables.unknown())));
    let (config, unknown) = match read {
        Ok(read) => read,
        Err(error) => return fail(error),
    };
    log::open(config.log_level, config.log_format);
    for (variable, nearest) in unknown {
        warn!(variable, nearest, "there is no such variable, and so it has no effect");
    }
    #[cfg(debug_assertions)]
    if let Some(directory) = std::env::var_os("ROOMKEY_TEST_PANICS") {
        crate::worker::faults::arm(directory.into());
    }
    let runtime = match runtime::Builder::new_multi_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(format_args!("cannot start threads: {error}")),
    };
    let status = runtime.block_on(serve(config));
    // Whatever still runs was given its time.
    runtime.shutdown_background();
    status
}

async fn serve(config: Config) -> ExitCode {
    let (listener, metrics_listener, [terminate, interrupt, hangup]) =
        match (listener(&config), metrics_listener(&config), signals()) {
            (Ok(listener), Ok(metrics_listener), Ok(signals)) => (listener, metrics_listener, signals),
            (Err(sentence), ..) | (_, Err(sentence), _) => return fail(sentence),
            (.., Err(error)) => return fail(format_args!("cannot listen for signals: {error}")),
        };
    let inbox = match open_inbox(&config) {
        Ok(inbox) => inbox,
        Err(error) => return fail(error),
    };
    let new_metrics = || Metrics::new(UnixTime::now());
    let metrics = match metrics_listener.is_some().then(new_metrics).transpose() {
        Ok(metrics) => metrics.map(|metrics| metrics.with_inbox(inbox.clone()).with_log_lines_dropped(log::lines_dropped)),
        Err(error) => return fail(format_args!("cannot count: {error}")),
    };
    let usual = Limits::default();
    let limits = Limits {
        connections: config.max_connections.unwrap_or_else(affordable_connections),
        farewell: config.shutdown_delay,
        // A follower that gets no event is told where it is before that is deleted.
        silence: config.retention.age.checked_div(2).map_or(usual.silence, |half| half.min(usual.silence)),
        ..usual
    };
    let policy = Policy { ttl: config.token_ttl, allow_client_egress: config.allow_client_egress };
    let edge = Edge::new(config.keys.api_keys.clone(), policy, limits, Clock::system())
        .with_livekit_url(&config.livekit_url)
        .with_sandbox_ids(config.sandbox_ids.iter().map(String::as_str))
        .with_cors(config.cors.clone())
        .with_base_path(&config.base_path)
        .with_metrics(metrics)
        .with_inbox(inbox.clone());
    announce(&config, &listener, &edge);
    let is_exposed = listener.local_addr().is_ok_and(|address| !address.ip().to_canonical().is_loopback());
    key_watch::begin(config.keys, &edge, is_exposed, hangup);
    tell_supervisor(NotifyState::Ready);
    http::run(listener, metrics_listener, edge, stop_signal(terminate, interrupt, inbox.clone())).await;
    if timeout(CLOSE_PATIENCE, inbox.close()).await.is_err() {
        warn!("the inbox does not come to an end; what was answered with 200 is safe");
    }
    info!("stopped");
    tokio::select! {
        biased;
        error = inbox.lost() => fail(format_args!("{error}: run the newer version, or give this one another inbox")),
        () = std::future::ready(()) => ExitCode::SUCCESS,
    }
}

/// The socket that a supervisor holds for us (`LISTEN_FDS`), or else one of our own.
fn listener(config: &Config) -> Result<TcpListener, String> {
    let inherited = ListenFd::from_env().take_tcp_listener(0).and_then(|inherited| {
        let Some(inherited) = inherited else { return Ok(None) };
        inherited.set_nonblocking(true)?;
        TcpListener::from_std(inherited).map(Some)
    });
    match inherited {
        Ok(Some(inherited)) => Ok(inherited),
        Ok(None) => http::bind(&config.bind, config.port).map_err(|error| cannot_listen(config, &error)),
        Err(error) => Err(format!("LISTEN_FDS: its first descriptor is no TCP socket that listens: {error}")),
    }
}

fn metrics_listener(config: &Config) -> Result<Option<TcpListener>, String> {
    let Some(address) = config.metrics_bind else { return Ok(None) };
    http::listen(address).map(Some).map_err(|error| format!("METRICS_BIND: cannot listen on {address}: {error}"))
}

/// As many connections as there are descriptors for, the soft limit raised to the hard one, less what the program itself needs.
fn affordable_connections() -> usize {
    const OWN_DESCRIPTORS: u64 = 32;
    let descriptors = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(descriptors) => descriptors,
        Err(error) => {
            warn!(%error, "cannot raise the limit of descriptors");
            rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(1024, |(soft, _)| soft)
        }
    };
    usize::try_from(descriptors.saturating_sub(OWN_DESCRIPTORS)).unwrap_or(MAX_CONNECTIONS).clamp(1, MAX_CONNECTIONS)
}

/// Tells systemd, where it asked (`NOTIFY_SOCKET`).
fn tell_supervisor(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "cannot tell the supervisor");
    }
}

fn signals() -> io::Result<[Signal; 3]> {
    // Without a handler the limit on a file's size ends the process; with one, a write fails as on a full disk.
    drop(signal(SignalKind::from_raw(SIGXFSZ))?);
    Ok([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?])
}

/// Done at the first signal to stop, or when the inbox is lost for good; another signal ends the process at once.
async fn stop_signal(mut terminate: Signal, mut interrupt: Signal, inbox: Inbox) {
    let why = tokio::select! {
        name = next_signal(&mut terminate, &mut interrupt) => name,
        _ = inbox.lost() => "none, the inbox cannot be used",
    };
    tell_supervisor(NotifyState::Stopping);
    info!(signal = why, "stopping: requests under way are answered, a second signal ends at once");
    tokio::spawn(async move {
        let name = next_signal(&mut terminate, &mut interrupt).await;
        warn!(signal = name, "ended at once");
        log::close();
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
    let minting = config.keys.api_keys.minting();
    let address = listener.local_addr().map_or_else(|error| error.to_string(), |address| format!("http://{address}"));
    info!(
        version = env!("CARGO_PKG_VERSION"),
        address,
        paths = edge.paths().collect::<Vec<_>>().join(" "),
        key = minting.name(),
        livekit_url = config.livekit_url,
        inbox = place(&config.inbox),
        policy = "none",
        "listening"
    );
    if config.livekit_url == DEFAULT_LIVEKIT_URL && !minting.is_development() {
        warn!(
            livekit_url = config.livekit_url,
            "clients are told to look for LiveKit on their own machine, with a key that is not for development: set LIVEKIT_URL"
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
