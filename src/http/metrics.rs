//! Owns the metrics, in Prometheus' text format, named by its conventions (<https://prometheus.io/docs/practices/naming/>). Labels
//! are bounded: none holds anything that a client can choose.

use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Metric, MetricFamily};
use prometheus::{Encoder, Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::clock::UnixTime;
use crate::http::inbox_metrics::{InboxMetrics, float};
use crate::inbox::Inbox;

/// Upper ends of the buckets of time to answer, in seconds.
const BUCKETS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What is counted.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    webhooks_refused: IntCounterVec,
    tokens_refused: IntCounterVec,
    pub(crate) connections: IntGauge,
    pub(crate) connections_refused: IntCounter,
    connections_cut: IntCounterVec,
    held_bodies: IntGauge,
}

impl Metrics {
    /// All at zero, of a process that started at `start`.
    ///
    /// # Errors
    /// Never: the names are valid and each stands here once.
    pub fn new(start: UnixTime) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone())).map(|()| counters)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let connections_refused =
            IntCounter::new("roomkey_connections_refused_total", "Connections for which there was no place.")?;
        registry.register(Box::new(connections_refused.clone()))?;
        let durations = HistogramOpts::new("roomkey_http_request_duration_seconds", "Time from a request's head to its answer.");
        let durations = HistogramVec::new(durations.buckets(BUCKETS.to_vec()), &["endpoint"])?;
        registry.register(Box::new(durations.clone()))?;
        let started = Gauge::new("process_start_time_seconds", "When the process started, in Unix seconds.")?;
        started.set(start.as_secs_f64());
        registry.register(Box::new(started))?;
        let version = Opts::new("roomkey_build_info", "Always 1; its labels tell what runs.");
        let build = IntGauge::with_opts(version.const_label("version", env!("CARGO_PKG_VERSION")))?;
        build.set(1);
        registry.register(Box::new(build))?;
        Ok(Self {
            requests: counters("roomkey_http_requests_total", "Requests answered.", &["endpoint", "status"])?,
            webhooks_refused: counters("roomkey_webhooks_refused_total", "Webhooks refused.", &["reason"])?,
            tokens_refused: counters("roomkey_tokens_refused_total", "Requests for a token refused.", &["reason"])?,
            connections: gauge("roomkey_connections", "Connections now.")?,
            connections_cut: counters("roomkey_connections_cut_total", "Connections cut for being slow.", &["cause"])?,
            held_bodies: gauge(
                "roomkey_held_body_bytes",
                "Bytes held now of request bodies and of answers that wait for their reader.",
            )?,
            connections_refused,
            durations,
            registry,
        })
    }

    /// Shows what `inbox` counts, too.
    ///
    /// # Errors
    /// Where an inbox is shown already.
    pub fn with_inbox(self, inbox: Inbox) -> prometheus::Result<Self> {
        self.registry.register(Box::new(InboxMetrics(inbox))).map(|()| self)
    }

    /// Shows the log lines that could not be written, which `dropped` counts.
    ///
    /// # Errors
    /// Where they are shown already.
    pub fn with_log_lines_dropped(self, dropped: fn() -> u64) -> prometheus::Result<Self> {
        let zero = IntCounter::new("roomkey_log_lines_dropped_total", "Log lines that could not be written.")?;
        self.registry.register(Box::new(CountedElsewhere { zero, count: dropped })).map(|()| self)
    }

    pub(crate) fn answered(&self, endpoint: &'static str, status: u16, after: Duration) {
        self.requests.with_label_values(&[endpoint, &status.to_string()]).inc();
        self.durations.with_label_values(&[endpoint]).observe(after.as_secs_f64());
    }

    pub(crate) fn refused_webhook(&self, reason: &'static str) {
        self.webhooks_refused.with_label_values(&[reason]).inc();
    }

    pub(crate) fn refused_token(&self, reason: &'static str) {
        self.tokens_refused.with_label_values(&[reason]).inc();
    }

    pub(crate) fn cut(&self, cause: &'static str) {
        self.connections_cut.with_label_values(&[cause]).inc();
    }

    /// The page, with `held` bytes of bodies and answers.
    pub(crate) fn page(&self, held: usize) -> Vec<u8> {
        self.held_bodies.set(held.try_into().unwrap_or(i64::MAX));
        let mut page = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut page);
        debug_assert!(encoded.is_ok(), "every family is well formed");
        page
    }
}

/// A counter whose number is read when the page is.
#[derive(Debug)]
struct CountedElsewhere {
    zero: IntCounter,
    count: fn() -> u64,
}

impl Collector for CountedElsewhere {
    fn desc(&self) -> Vec<&Desc> {
        self.zero.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (mut families, mut metric, mut counter) = (self.zero.collect(), Metric::default(), Counter::default());
        counter.set_value(float((self.count)()));
        metric.set_counter(counter);
        families.iter_mut().for_each(|family| family.set_metric(vec![metric.clone()]));
        families
    }
}
