//! Shows as metrics what the relay counts of its targets. Does not count. Only the file of the targets chooses the values of labels.

use prometheus::proto::MetricFamily;

use crate::http::families::{MICROS_A_SECOND, Typed, counter, family, gauge, histogram, labelled};
use crate::inbox::target::OwedState;
use crate::relay::observed::Observed;

const EXPIRED: &str = "Events deleted from the inbox before the target took them. Those that are deleted together before they are read count as one.";

/// The metrics of these targets.
pub(crate) fn relay_families(targets: &[Observed]) -> Vec<MetricFamily> {
    if targets.is_empty() {
        return Vec::new(); // a family is never empty
    }
    let each = |name, help, metric: fn(&Observed) -> Typed| {
        family(name, help, targets.iter().map(|target| labelled(metric(target), &[("target", &target.target)])))
    };
    let attempts = targets.iter().flat_map(|target| {
        let with_outcome =
            |(outcome, count): &(&str, u64)| labelled(counter(*count), &[("outcome", outcome), ("target", &target.target)]);
        target.attempts.iter().map(with_outcome).collect::<Vec<_>>()
    });
    let owed = targets.iter().flat_map(|target| {
        let counts = &target.owed;
        let states = [(OwedState::Held, counts.held), (OwedState::Aside, counts.aside), (OwedState::Dead, counts.dead)];
        states.map(|(state, count)| labelled(gauge(count), &[("state", state.name()), ("target", &target.target)]))
    });
    vec![
        family("roomkey_relay_attempts_total", "Attempts to send an event to a target.", attempts),
        each("roomkey_relay_duration_seconds", "Time that an attempt took.", |target| {
            histogram(&target.duration, MICROS_A_SECOND)
        }),
        each("roomkey_relay_lag_entries", "Events after the target's cursor.", |target| gauge(target.lag.entries)),
        each("roomkey_relay_lag_seconds", "Age of the first event after the target's cursor.", |target| {
            gauge(target.lag.seconds)
        }),
        family("roomkey_relay_owed", "Events up to the target's cursor that it has not taken.", owed),
        each("roomkey_relay_circuit_open", "Whether the target is down.", |target| gauge(target.is_down.into())),
        each("roomkey_relay_lease_held", "Whether this roomkey relays to the target.", |target| gauge(target.holds_lease.into())),
        each("roomkey_relay_expired_total", EXPIRED, |target| counter(target.expired)),
    ]
}
