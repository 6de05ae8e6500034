//! Owns how metrics show what the inbox counts: its numbers are read when the page is.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram as Buckets, Metric, MetricFamily, MetricType};

use crate::inbox::{Histogram, Inbox};

const MICROS_A_SECOND: f64 = 1e6;

/// An inbox, as a registry of metrics takes it.
#[derive(Debug)]
pub(crate) struct InboxMetrics(pub(crate) Inbox);

impl Collector for InboxMetrics {
    /// None: the names are fixed, and stand here alone.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Self(inbox) = self;
        let statistics = inbox.statistics();
        let mut families = vec![
            counter("committed", "Webhooks that were committed.", &statistics.committed),
            counter("duplicates", "Webhooks that were there before.", &statistics.duplicates),
            counter("conflicts", "Webhooks with the id of another one that is there.", &statistics.conflicts),
            counter("refused", "Webhooks that were told to come again.", &statistics.refused),
            counter("prune_failures", "Times that old webhooks could not be deleted.", &statistics.prune_failures),
            gauge("ready", "Whether webhooks can be committed.", u64::from(inbox.is_ready().is_ok())),
            gauge("followers", "Readers that follow now.", statistics.followers.load(Relaxed)),
            histogram("batch_size", "Webhooks committed at once.", &statistics.batch_size, 1.0),
            histogram("commit_duration_seconds", "Time to commit a batch.", &statistics.commit_micros, MICROS_A_SECOND),
        ];
        if let Some(usage) = inbox.usage() {
            families.push(gauge("entries", "Webhooks that are kept.", usage.entries));
            families.push(gauge("bytes", "Bytes that they take.", usage.bytes));
            families.extend(usage.log_bytes.map(|bytes| gauge("wal_bytes", "Bytes of the log beside them (-wal).", bytes)));
        }
        families
    }
}

fn family(name: &str, help: &str, kind: MetricType, metric: Metric) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(format!("roomkey_inbox_{name}"));
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    family
}

fn counter(name: &str, help: &str, value: &AtomicU64) -> MetricFamily {
    let (mut metric, mut counter) = (Metric::default(), Counter::default());
    counter.set_value(float(value.load(Relaxed)));
    metric.set_counter(counter);
    family(&format!("{name}_total"), help, MetricType::COUNTER, metric)
}

fn gauge(name: &str, help: &str, value: u64) -> MetricFamily {
    let mut gauge = Gauge::default();
    gauge.set_value(float(value));
    family(name, help, MetricType::GAUGE, Metric::from_gauge(gauge))
}

/// With values divided by `unit`.
fn histogram<const N: usize>(name: &str, help: &str, counted: &Histogram<N>, unit: f64) -> MetricFamily {
    let bucket = |(bound, count): (u64, u64)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(float(bound) / unit);
        bucket.set_cumulative_count(count);
        bucket
    };
    let (mut metric, mut buckets) = (Metric::default(), Buckets::default());
    buckets.set_bucket(counted.cumulative().map(bucket).collect());
    buckets.set_sample_count(counted.count());
    buckets.set_sample_sum(float(counted.sum()) / unit);
    metric.set_histogram(buckets);
    family(name, help, MetricType::HISTOGRAM, metric)
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float, and a count beyond 2^53 is none to worry about")]
pub(crate) fn float(value: u64) -> f64 {
    value as f64
}
