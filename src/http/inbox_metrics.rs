//! Shows as metrics what the inbox counts: the numbers are read when the metrics are. Does not count.

use std::sync::atomic::Ordering::Relaxed;

use prometheus::proto::MetricFamily;

use crate::http::families::{MICROS_A_SECOND, counter, gauge, histogram, single};
use crate::inbox::Inbox;

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
    let mut families = counters.map(|(name, help, count)| single(name, help, counter(count.load(Relaxed)))).to_vec();
    let commits = histogram(&statistics.commit_micros, MICROS_A_SECOND);
    families.extend([
        single("roomkey_inbox_ready", "Whether webhooks can be committed.", gauge(u64::from(inbox.is_ready().is_ok()))),
        single("roomkey_inbox_followers", "Readers that follow the inbox now.", gauge(statistics.followers.load(Relaxed))),
        single("roomkey_inbox_batch_size", "Webhooks in a commit.", histogram(&statistics.batch_size, 1.0)),
        single("roomkey_inbox_commit_duration_seconds", "Time to commit a batch.", commits),
    ]);
    if let Some(usage) = inbox.usage() {
        families.push(single("roomkey_inbox_entries", "Webhooks stored.", gauge(usage.entries)));
        families.push(single("roomkey_inbox_bytes", "Bytes that they take.", gauge(usage.bytes)));
        let log_bytes = |bytes| single("roomkey_inbox_wal_bytes", "Bytes of the log beside them (-wal).", gauge(bytes));
        families.extend(usage.log_bytes.map(log_bytes));
    }
    families
}
