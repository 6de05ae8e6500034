//! Builds metrics from numbers that are counted elsewhere. Does not know what they count.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram as Buckets, LabelPair, Metric, MetricFamily, MetricType};

use crate::inbox::Histogram;

pub(crate) const MICROS_A_SECOND: f64 = 1e6;

/// A metric and its type.
pub(crate) type Typed = (MetricType, Metric);

pub(crate) fn counter(value: u64) -> Typed {
    let (mut metric, mut counter) = (Metric::default(), Counter::default());
    counter.set_value(float(value));
    metric.set_counter(counter);
    (MetricType::COUNTER, metric)
}

pub(crate) fn gauge(value: u64) -> Typed {
    let mut gauge = Gauge::default();
    gauge.set_value(float(value));
    (MetricType::GAUGE, Metric::from_gauge(gauge))
}

/// Divides the values by `unit`.
pub(crate) fn histogram<const N: usize>(counted: &Histogram<N>, unit: f64) -> Typed {
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
    (MetricType::HISTOGRAM, metric)
}

/// The only metric of its name.
pub(crate) fn single(name: &str, help: &str, metric: Typed) -> MetricFamily {
    family(name, help, [metric])
}

/// The metrics of one name, which differ in their labels. There is at least one, and all have the same type.
pub(crate) fn family(name: &str, help: &str, metrics: impl IntoIterator<Item = Typed>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    let (kinds, metrics): (Vec<_>, Vec<_>) = metrics.into_iter().unzip();
    family.set_field_type(kinds.first().copied().unwrap_or(MetricType::UNTYPED));
    family.set_metric(metrics);
    family
}

/// `metric` with these labels.
pub(crate) fn labelled((kind, mut metric): Typed, labels: &[(&str, &str)]) -> Typed {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    metric.set_label(labels.iter().map(pair).collect());
    (kind, metric)
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float, and counts beyond 2^53 do not occur")]
fn float(value: u64) -> f64 {
    value as f64
}
