//! `roomkey serve`: puts the server together from the settings, starts it and stops it. Does not know what a request is.

pub(super) mod check;
mod key_watch;
mod listeners;
pub(super) mod open_inbox;
mod policy_watch;
mod polling;
mod relay_watch;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{Level, info, warn};

use crate::cli::stop_signals::{StopSignals, listen_for};
use crate::cli::{Failure, Outcome, log};
use crate::clock::{Clock, UnixTime};
use crate::config::{Config, DEFAULT_LIVEKIT_URL, FileSource, Flags, MAX_CONNECTIONS, RelaySource, RelayTargets, Variables};
use crate::http::{self, Edge, Limits, Metrics};
use crate::inbox::{Inbox, Retention};
use crate::policy::Policy;
use crate::relay::handle::Relay;
use open_inbox::{open_inbox, place};

/// The signal for a file that is larger than the limit (signal(7), Linux on all but MIPS).
const SIGXFSZ: i32 = 25;
/// How long the end waits for the inbox to close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Serves until a signal ends it.
pub(super) fn run(flags: Flags) -> Outcome {
    let variables = Arc::new(Variables::read()?);
    let config = Config::read(flags, &variables)?;
    log::open(config.log_level, config.log_format);
    #[cfg(debug_assertions)]
    if let Some(directory) = std::env::var_os("ROOMKEY_TEST_PANICS") {
        crate::worker::faults::arm(directory.into());
    }
    let runtime = runtime::Builder::new_multi_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(|error| Failure::wrong(format_args!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(serve(config, variables));
    runtime.shutdown_background(); // everything that still runs has had its time to end
    outcome
}

async fn serve(config: Config, variables: Arc<Variables>) -> Outcome {
    let listener = listeners::server(&config).map_err(Failure::wrong)?;
    let metrics_listener = listeners::metrics(&config).map_err(Failure::wrong)?;
    let (stop_signals, hangup) = (StopSignals::listen()?, listen_for(SignalKind::hangup())?);
    // Without a handler, the limit on a file's size would end the process; with one, a write fails as on a full disk.
    drop(listen_for(SignalKind::from_raw(SIGXFSZ))?);
    let retention = retention(&config);
    let inbox = open_inbox(&config.inbox, retention).map_err(Failure::wrong)?;
    let relay = config.relay.is_some().then(|| Relay::new(inbox.clone(), Clock::system())).transpose();
    let relay = relay.map_err(|error| Failure::wrong(format_args!("cannot start a thread for the relay: {error}")))?;
    let edge = edge(&config, retention, &inbox, relay.clone(), metrics_listener.is_some())?;
    if let Some(source) = policy(&config, &variables, &edge)? {
        policy_watch::start(source, config.surroundings(), &edge, listen_for(SignalKind::hangup())?);
    }
    if let Some((source, read)) = targets(&config, &variables, &edge)?
        && let Some(relay) = relay.clone()
    {
        relay_watch::start(source, read, relay.clone(), &edge, listen_for(SignalKind::hangup())?);
        relay.begun().await;
    }
    warn_about_variables(&config, &variables);

    announce(&config, &listener, &edge);
    let is_exposed = listener.local_addr().is_ok_and(|address| !address.ip().to_canonical().is_loopback());
    if config.policy.is_none() && config.relay.is_none() && config.keys.file.is_none() {
        tokio::spawn(ignore(listen_for(SignalKind::hangup())?));
    }
    key_watch::start(config.keys, &edge, is_exposed, hangup);
    notify_supervisor(NotifyState::Ready);
    let (stopping, stops) = oneshot::channel::<()>();
    let stopped = stopped(stop_signals, inbox.clone(), stopping);
    tokio::join!(http::run(listener, metrics_listener, edge, stopped), stop(relay, stops));
    if timeout(CLOSE_PATIENCE, inbox.close()).await.is_err() {
        warn!("the inbox does not close; every webhook that got a 200 is safe");
    }
    info!("stopped");
    match timeout(Duration::ZERO, inbox.lost()).await {
        Ok(error) => Err(Failure::wrong(format_args!("{error}: run the newer version, or give this one another inbox"))),
        Err(_) => Ok(()),
    }
}

/// Stops the relay as soon as the server stops, so that another roomkey can go on at once.
async fn stop(relay: Option<Relay>, stops: oneshot::Receiver<()>) {
    let _ = stops.await;
    if let Some(relay) = relay {
        relay.stop().await;
    }
}

fn retention(config: &Config) -> Retention {
    Retention { age: config.inbox_keep, bytes: config.inbox_max_size }
}

fn edge(config: &Config, retention: Retention, inbox: &Inbox, relay: Option<Relay>, has_metrics: bool) -> Result<Edge, Failure> {
    let metrics = has_metrics.then(|| Metrics::new(UnixTime::now())).transpose();
    let metrics = metrics.map_err(|error| Failure::wrong(format_args!("cannot set up the metrics: {error}")))?;
    let metrics = metrics
        .map(|metrics| metrics.with_inbox(inbox.clone()).with_relay(relay.clone()).with_log_lines_dropped(log::lines_dropped));
    let defaults = Limits::default();
    let limits = Limits {
        connections: connections(config.max_connections),
        idle: config.idle_timeout,
        farewell: config.shutdown_delay,
        // A follower without events must learn a newer cursor before its own is deleted.
        silence: retention.age.checked_div(2).map_or(defaults.silence, |half| half.min(defaults.silence)),
        ..defaults
    };
    let policy = Policy { ttl: config.token_ttl, allow_client_egress: config.allow_client_egress };
    let edge = Edge::new(config.keys.api_keys.clone(), policy, limits, Clock::system())
        .with_livekit_url(&config.livekit_url)
        .with_sandbox_ids(config.sandbox_id.iter().map(String::as_str))
        .with_cors(config.cors_origin.clone())
        .with_trusted_proxies(config.trusted_proxies.iter().copied())
        .with_proxy_protocol(config.proxy_protocol)
        .with_access_log(config.access_log && config.log_level >= Level::INFO)
        .with_base_path(&config.base_path)
        .with_metrics(metrics)
        .with_inbox(inbox.clone())
        .with_relay(relay);
    Ok(edge)
}

/// Puts the policy into force, if there is one.
fn policy(config: &Config, variables: &Arc<Variables>, edge: &Edge) -> Result<Option<FileSource>, Failure> {
    let source = config.policy.as_ref().map(|path| FileSource::new(path.clone(), Arc::clone(variables)));
    match &source {
        Some(source) => policy_watch::load(source, config.surroundings(), &edge.policy_switch())
            .map_err(|unusable| Failure::wrong(format_args!("the policy {}: {unusable}", source.path().display())))?,
        None => warn!(
            "there is no policy, so anyone who reaches this server gets a token for any room: say with --policy (ROOMKEY_POLICY) who may"
        ),
    }
    Ok(source)
}

/// Warns about what is perhaps not meant in the variables, once all known ones were read.
fn warn_about_variables(config: &Config, variables: &Variables) {
    if config.access_log && config.log_level < Level::INFO {
        warn!(
            "the access log has no effect, because its lines are of level info: set LOG_LEVEL to info, or leave ACCESS_LOG out"
        );
    }
    for (variable, nearest) in variables.unknown() {
        warn!(variable, nearest, "this variable is not a setting, so it has no effect");
    }
}

/// The targets of the relay, if there are any.
fn targets(config: &Config, variables: &Arc<Variables>, edge: &Edge) -> Result<Option<(RelaySource, RelayTargets)>, Failure> {
    let Some(path) = &config.relay else { return Ok(None) };
    let source = RelaySource::new(path.clone(), Arc::clone(variables), config.inbox_keep);
    let read = relay_watch::load(&source, &edge.policy_switch())
        .map_err(|unusable| Failure::wrong(format_args!("the targets {}: {unusable}", path.display())))?;
    Ok(Some((source, read)))
}

/// What the log calls a file that may not be set.
fn file(path: &Option<PathBuf>) -> Cow<'_, str> {
    path.as_deref().map_or("none".into(), Path::to_string_lossy)
}

/// The most connections: as many as are `wanted`, if the limit of descriptors allows them.
fn connections(wanted: Option<usize>) -> usize {
    let affordable = affordable_connections();
    let wanted = wanted.unwrap_or(affordable);
    if wanted > affordable {
        warn!(
            MAX_CONNECTIONS = wanted,
            affordable,
            "the limit of descriptors allows fewer connections than MAX_CONNECTIONS: raise it (ulimit -n), or lower MAX_CONNECTIONS"
        );
    }
    wanted.min(affordable)
}

/// The connections that the limit of descriptors allows, once it is raised as far as possible, less what the program itself needs.
fn affordable_connections() -> usize {
    const OWN_DESCRIPTORS: u64 = 32;
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
        warn!(%error, "cannot raise the limit of descriptors");
        rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(1024, |(soft, _)| soft)
    });
    usize::try_from(descriptors.saturating_sub(OWN_DESCRIPTORS)).unwrap_or(MAX_CONNECTIONS).clamp(1, MAX_CONNECTIONS)
}

/// Keeps the signal to read files again from ending the program.
async fn ignore(mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        info!("there is nothing to read again, because neither keys nor a policy nor targets come from a file");
    }
}

/// Tells systemd about `state`, if it asked for that (`NOTIFY_SOCKET`).
fn notify_supervisor(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "cannot notify the supervisor");
    }
}

/// Waits for a signal to stop, or until the inbox is lost for good. A second signal then ends the process at once.
async fn stopped(mut signals: StopSignals, inbox: Inbox, stopping: oneshot::Sender<()>) {
    let signal = tokio::select! {
        name = signals.next() => name,
        _ = inbox.lost() => "none, the inbox cannot be used",
    };
    drop(stopping);
    notify_supervisor(NotifyState::Stopping);
    info!(signal, "stopping: requests in progress are answered, a second signal ends at once");
    tokio::spawn(async move {
        let signal = signals.next().await;
        warn!(signal, "ended at once");
        log::close();
        std::process::exit(1);
    });
}

/// Logs what a person wants to know at the start, in one line.
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
        policy = file(&config.policy).as_ref(),
        relay = file(&config.relay).as_ref(),
        "listening"
    );
    warn_about_livekit_url(config);
}

fn warn_about_livekit_url(config: &Config) {
    if config.livekit_url == DEFAULT_LIVEKIT_URL && !config.keys.api_keys.minting().is_development() {
        warn!(
            livekit_url = config.livekit_url,
            "clients will look for LiveKit on their own machine, although the key is not the development key: set LIVEKIT_URL"
        );
    }
}
