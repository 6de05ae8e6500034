//! What the server counts of its callers: fetches of keys, and questions to applications. Does not know how callers are proven.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use crate::caller::observer::{ForwardOutcome, KeyFetchOutcome, Observer};

/// Upper bounds of the buckets for an application's time to answer, in seconds. The longest is the longest timeout.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

#[derive(Clone, Debug)]
pub(crate) struct CallerMetrics {
    key_fetches: IntCounterVec,
    key_ages: GaugeVec,
    forward_requests: IntCounterVec,
    forward_durations: HistogramVec,
    forward_cache_hits: IntCounterVec,
}

impl CallerMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counters =
            |name: &str, help: &str, labels: &[&str]| add(registry, IntCounterVec::new(Opts::new(name, help), labels)?);
        let durations =
            HistogramOpts::new("roomkey_caller_forward_duration_seconds", "Time until an application answered who is calling.");
        Ok(Self {
            key_fetches: counters("roomkey_caller_key_fetches_total", "Fetches of an issuer's keys.", &["caller", "outcome"])?,
            key_ages: add(
                registry,
                GaugeVec::new(
                    Opts::new("roomkey_caller_keys_age_seconds", "Time since an issuer's keys were last fetched."),
                    &["caller"],
                )?,
            )?,
            forward_requests: counters(
                "roomkey_caller_forward_requests_total",
                "Questions to an application who is calling.",
                &["caller", "outcome"],
            )?,
            forward_durations: add(registry, HistogramVec::new(durations.buckets(BUCKETS.to_vec()), &["caller"])?)?,
            forward_cache_hits: counters(
                "roomkey_caller_forward_cache_hits_total",
                "Kept answers of an application that were used again.",
                &["caller"],
            )?,
        })
    }

    /// Sets how old the keys of each issuer are. Issuers that are no longer listed are left out.
    pub(crate) fn set_key_ages<'a>(&self, ages: impl Iterator<Item = (&'a str, Duration)>) {
        self.key_ages.reset();
        ages.for_each(|(caller, age)| self.key_ages.with_label_values(&[caller]).set(age.as_secs_f64()));
    }
}

impl Observer for CallerMetrics {
    fn keys_fetched(&self, caller: &str, outcome: KeyFetchOutcome) {
        self.key_fetches.with_label_values(&[caller, outcome.label()]).inc();
    }

    fn application_asked(&self, caller: &str, outcome: ForwardOutcome, took: Option<Duration>) {
        self.forward_requests.with_label_values(&[caller, outcome.label()]).inc();
        took.inspect(|took| self.forward_durations.with_label_values(&[caller]).observe(took.as_secs_f64()));
    }

    fn answer_reused(&self, caller: &str) {
        self.forward_cache_hits.with_label_values(&[caller]).inc();
    }
}

/// Has `registry` show `metric`.
pub(crate) fn add<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> prometheus::Result<M> {
    registry.register(Box::new(metric.clone())).map(|()| metric)
}
