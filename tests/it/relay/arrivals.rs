//! What has arrived at targets, in short, and what has to hold of it. Does not know what the targets answer.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::site::{id, room};
use crate::harness::receiver::{Received, Receiver, Reply};
use crate::harness::wait::eventually;

/// An event that a target took.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) id: String,
    pub(super) room: String,
    pub(super) cursor: i64,
    pub(super) is_late: bool,
    pub(super) at: Instant,
}

/// Everything that a target took, in order. Its clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals(Arc<Mutex<Vec<Arrival>>>);

impl Arrivals {
    /// A target that takes everything.
    pub(super) async fn accepting() -> (Receiver, Self) {
        let arrivals = Self::default();
        let receiver = Receiver::start(arrivals.taking()).await;
        receiver.forget();
        (receiver, arrivals)
    }

    /// Has a target take everything.
    pub(super) fn taking(&self) -> impl FnMut(&Received) -> Reply + Send + use<> {
        let arrivals = self.clone();
        move |received| arrivals.take(received)
    }

    /// Takes an event.
    pub(super) fn take(&self, received: &Received) -> Reply {
        let cursor = i64::from_str_radix(received.header("roomkey-cursor").unwrap(), 16).unwrap();
        let is_late = received.header("roomkey-late").is_some();
        let arrival = Arrival { id: id(received), room: room(received), cursor, is_late, at: received.at };
        self.0.lock().unwrap().push(arrival);
        Reply::Status(200)
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(super) fn all(&self) -> Vec<Arrival> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn ids(&self) -> BTreeSet<String> {
        self.0.lock().unwrap().iter().map(|arrival| arrival.id.clone()).collect()
    }

    /// How many different events arrived.
    pub(super) fn events(&self) -> usize {
        self.0.lock().unwrap().iter().map(|arrival| arrival.cursor).collect::<HashSet<_>>().len()
    }

    /// How many times an event arrived again.
    pub(super) fn repeated(&self) -> usize {
        self.count() - self.events()
    }

    /// Waits until so many different events have arrived.
    pub(super) async fn reach(&self, events: usize) {
        eventually("the events arrive", async || self.events() >= events).await;
    }

    /// Asserts that each room got its events in the order of the inbox, and none was late. What was sent again counts once.
    #[track_caller]
    pub(super) fn assert_order(&self) {
        let (mut seen, mut last) = (BTreeSet::new(), BTreeMap::new());
        for Arrival { id, room, cursor, is_late, .. } in self.all() {
            assert!(!is_late, "{id} is late");
            if seen.insert(cursor) {
                let last = last.insert(room, cursor);
                assert!(last < Some(cursor), "{id} came after {last:?}");
            }
        }
    }
}
