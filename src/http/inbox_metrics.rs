//! Shows as metrics what is counted elsewhere: the numbers are read when the metrics are. Does not count.

use std::sync::atomic::Ordering::Relaxed;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram as Buckets, Metric, MetricFamily, MetricType};

use crate::inbox::{Histogram, Inbox};

const MICROS_A_SECOND: f64 = 1e6;

/// The metrics of `inbox`.
pub(crate) fn inbox_families(inbox: &Inbox) -> Vec<MetricFamily> {
    let statistics = inbox.statistics();
    let counters = [
        ("roomkey_inbox_committed_total", "Webhooks committed.", &statistics.committed),
        ("roomkey_inbox_duplicates_total", "Webhooks that were already stored.", &statistics.duplicates),
        ("roomkey_inbox_conflicts_total", "Webhooks with the id of another one that is stored.", &statistics.conflicts),
        ("roomkey_inbox_refused_total", "Webhooks refused for now.", &statistics.refused),
        ("roomkey_inbox_prune_failures_total", "Failed attempts to delete old webhooks.", &statistics.prune_failures),
    ];
    let mut families = counters.map(|(name, help, count)| counter(name, help, count.load(Relaxed))).to_vec();
    families.extend([
        gauge("roomkey_inbox_ready", "Whether webhooks can be committed.", u64::from(inbox.is_ready().is_ok())),
        gauge("roomkey_inbox_followers", "Readers that follow the inbox now.", statistics.followers.load(Relaxed)),
        histogram("roomkey_inbox_batch_size", "Webhooks in a commit.", &statistics.batch_size, 1.0),
        histogram("roomkey_inbox_commit_duration_seconds", "Time to commit a batch.", &statistics.commit_micros, MICROS_A_SECOND),
    ]);
    if let Some(usage) = inbox.usage() {
        families.push(gauge("roomkey_inbox_entries", "Webhooks stored.", usage.entries));
        families.push(gauge("roomkey_inbox_bytes", "Bytes that they take.", usage.bytes));
        let log_bytes = |bytes| gauge("roomkey_inbox_wal_bytes", "Bytes of the log beside them (-wal).", bytes);
        families.extend(usage.log_bytes.map(log_bytes));
    }
    families
}

fn family(name: &str, help: &str, kind: MetricType, metric: Metric) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    family
}

pub(crate) fn counter(name: &str, help: &str, value: u64) -> MetricFamily {
    let (mut metric, mut counter) = (Metric::default(), Counter::default());
    counter.set_value(float(value));
    metric.set_counter(counter);
    family(name, help, MetricType::COUNTER, metric)
}

fn gauge(name: &str, help: &str, value: u64) -> MetricFamily {
    let mut gauge = Gauge::default();
    gauge.set_value(float(value));
    family(name, help, MetricType::GAUGE, Metric::from_gauge(gauge))
}

/// Divides the values by `unit`.
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

#[expect(clippy::cast_precision_loss, reason = "a metric is a float, and counts beyond 2^53 do not occur")]
fn float(value: u64) -> f64 {
    value as f64
}
