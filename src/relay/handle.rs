//! The relay as the rest of the program sees it: targets are given to it, and it is stopped. Does not know a single event.

use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::relay::settings::TargetSettings;

/// The relay. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Relay {}

impl Relay {
    pub(crate) fn new(_inbox: Inbox, _clock: Clock) -> Self {
        Self {}
    }

    /// Relays to these targets from now on.
    pub(crate) fn put(&self, _targets: Vec<TargetSettings>) {}

    /// Finishes what is in flight.
    pub(crate) async fn stop(&self) {}
}
