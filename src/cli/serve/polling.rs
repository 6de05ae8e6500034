//! Polls files until one changes, because the system does not report changes of a link above a file, or of a file on another machine.
//! Does not know what is in the files.

use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};

use crate::worker::faults;

/// The time between two reads. A change counts once two reads agree, because a file may be written in parts.
const PERIOD: Duration = Duration::from_secs(1);

/// Reads again and again, for the worker `name`. Calls `changed` if what identifies the reading is no longer `known`, or on `hangup`;
/// that returns what is known then.
pub(super) async fn poll<T, Id: Clone + PartialEq>(
    name: &'static str,
    known: &mut Id,
    hangup: &mut Signal,
    read: impl Fn() -> T,
    identify: impl Fn(&T) -> Id,
    mut changed: impl FnMut(T) -> Id,
) {
    let mut last = known.clone();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_requested = tokio::select! {
            _ = hangup.recv() => true,
            _ = ticks.tick() => false,
        };
        faults::point(name);
        let reading = block_in_place(&read);
        let id = identify(&reading);
        if is_requested || id == last && id != *known {
            *known = block_in_place(|| changed(reading));
            last = known.clone();
        } else {
            last = id;
        }
    }
}
