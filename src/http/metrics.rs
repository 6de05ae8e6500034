//! The metrics, with names after Prometheus' conventions (<https://prometheus.io/docs/practices/naming/>). No client can choose the
//! value of a label. Does not know what the inbox counts.

use std::time::Duration;

use prometheus::{Encoder, Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::clock::UnixTime;
use crate::http::caller_metrics::{CallerMetrics, add};
use crate::http::families::{counter, single};
use crate::http::inbox_metrics::inbox_families;
use crate::http::relay_metrics::relay_families;
use crate::inbox::Inbox;
use crate::jws;
use crate::livekit::token_verifier::TokenError;
use crate::relay::handle::Relay;

/// Upper bounds of the buckets for the time to answer, in seconds.
const BUCKETS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What the server counts.
#[derive(Clone, Debug)]
#[must_use]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    webhooks_refused: IntCounterVec,
    tokens_refused: IntCounterVec,
    policy_decisions: IntCounterVec,
    pub(crate) callers: CallerMetrics,
    connections: IntGauge,
    pub(crate) connections_refused: IntCounter,
    connections_cut: IntCounterVec,
    held_bodies: IntGauge,
    inbox: Option<Inbox>,
    relay: Option<Relay>,
    log_lines_dropped: Option<fn() -> u64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum RefusalCounter {
    Tokens,
    Webhooks,
}

/// The metrics could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the metrics")]
pub struct MetricsError(#[from] prometheus::Error);

impl Metrics {
    /// Metrics of a process that started at `start`, all at zero.
    ///
    /// # Errors
    /// Never, because all names are valid and each is used once.
    pub fn new(start: UnixTime) -> Result<Self, MetricsError> {
        let registry = &Registry::new();
        let started = Gauge::new("process_start_time_seconds", "When the process started, in Unix seconds.")?;
        add(registry, started)?.set(start.as_secs_f64());
        let version = Opts::new("roomkey_build_info", "Always 1. The labels say which version runs.");
        add(registry, IntGauge::with_opts(version.const_label("version", env!("CARGO_PKG_VERSION")))?)?.set(1);
        let gauge = |name, help| add(registry, IntGauge::new(name, help)?);
        let counters =
            |name: &str, help: &str, labels: &[&str]| add(registry, IntCounterVec::new(Opts::new(name, help), labels)?);
        let durations = HistogramOpts::new("roomkey_http_request_duration_seconds", "Time from a request's head to its answer.");
        Ok(Self {
            requests: counters("roomkey_http_requests_total", "Requests answered.", &["endpoint", "status"])?,
            durations: add(registry, HistogramVec::new(durations.buckets(BUCKETS.to_vec()), &["endpoint"])?)?,
            webhooks_refused: counters("roomkey_webhooks_refused_total", "Webhooks refused.", &["reason"])?,
            tokens_refused: counters("roomkey_tokens_refused_total", "Requests for a token refused.", &["reason"])?,
            policy_decisions: counters(
                "roomkey_policy_decisions_total",
                "Requests for a token that the policy decided about.",
                &["caller", "rule", "outcome"],
            )?,
            callers: CallerMetrics::register(registry)?,
            connections: gauge("roomkey_connections", "Open connections.")?,
            connections_refused: add(
                registry,
                IntCounter::new("roomkey_connections_refused_total", "Connections refused because there were too many.")?,
            )?,
            connections_cut: counters("roomkey_connections_cut_total", "Connections that the server cut.", &["cause"])?,
            held_bodies: gauge(
                "roomkey_held_body_bytes",
                "Bytes of request bodies and of answers that clients have not read yet.",
            )?,
            registry: registry.clone(),
            inbox: None,
            relay: None,
            log_lines_dropped: None,
        })
    }

    /// Adds the metrics of `inbox`.
    pub fn with_inbox(self, inbox: Inbox) -> Self {
        Self { inbox: Some(inbox), ..self }
    }

    /// Adds the metrics of `relay`.
    pub(crate) fn with_relay(self, relay: Option<Relay>) -> Self {
        Self { relay, ..self }
    }

    /// Adds the number of log lines that could not be written.
    pub fn with_log_lines_dropped(self, dropped: fn() -> u64) -> Self {
        Self { log_lines_dropped: Some(dropped), ..self }
    }

    pub(crate) fn answered(&self, endpoint: &'static str, status: u16, after: Duration) {
        self.requests.with_label_values(&[endpoint, &status.to_string()]).inc();
        self.durations.with_label_values(&[endpoint]).observe(after.as_secs_f64());
    }

    pub(crate) fn refused(&self, counter: RefusalCounter, reason: &'static str) {
        let counter = match counter {
            RefusalCounter::Tokens => &self.tokens_refused,
            RefusalCounter::Webhooks => &self.webhooks_refused,
        };
        counter.with_label_values(&[reason]).inc();
    }

    /// The rule is empty if none matches.
    pub(crate) fn decided(&self, caller: &str, rule: &str, outcome: &'static str) {
        self.policy_decisions.with_label_values(&[caller, rule, outcome]).inc();
    }

    pub(crate) fn cut(&self, cause: &'static str) {
        self.connections_cut.with_label_values(&[cause]).inc();
    }

    /// All metrics as text, with `held` bytes of bodies and answers.
    pub(crate) fn page(&self, connections: usize, held: usize) -> Vec<u8> {
        self.connections.set(connections.try_into().unwrap_or(i64::MAX));
        self.held_bodies.set(held.try_into().unwrap_or(i64::MAX));
        let mut families = self.registry.gather();
        families.extend(self.inbox.iter().flat_map(inbox_families));
        families.extend(self.relay.iter().flat_map(|relay| relay_families(&relay.observed())));
        families.extend(self.log_lines_dropped.map(|dropped| {
            single("roomkey_log_lines_dropped_total", "Log lines that could not be written.", counter(dropped()))
        }));
        let mut page = Vec::new();
        let encoded = TextEncoder::new().encode(&families, &mut page);
        debug_assert!(encoded.is_ok(), "every family is well formed");
        page
    }
}

/// The reason why a token is refused.
pub(crate) fn token_label(error: &TokenError) -> &'static str {
    match error {
        TokenError::Jws(jws::Error::Signature) => "signature",
        TokenError::Jws(jws::Error::Malformed) => "malformed",
        TokenError::Jws(_) => "jws",
        TokenError::Claims => "claims",
        TokenError::UnknownKey { .. } => "unknown_key",
        TokenError::NoExpiry => "no_expiry",
        TokenError::Expired { .. } => "expired",
        TokenError::NotYetValid { .. } => "not_yet_valid",
    }
}
