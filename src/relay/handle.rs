//! The handle to the relay, through which everything else uses it: one task for each target, on the relay's thread. Does not know how
//! events are sent.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::relay::dispatcher::Limits;
use crate::relay::observed::{Counters, Observed};
use crate::relay::runner::Runner;
use crate::relay::sender::Sender;
use crate::relay::session::young_requests;
use crate::relay::settings::TargetSettings;
use crate::relay::thread::{NAME, RelayThread};
use crate::worker::lock;

/// How long the start waits for an inbox that does not answer.
const BEGIN_PATIENCE: Duration = Duration::from_secs(2);

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Relay(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    inbox: Inbox,
    clock: Clock,
    thread: RelayThread,
    /// How many young requests each target may have in flight.
    young: Arc<AtomicUsize>,
    targets: Mutex<Targets>,
}

#[derive(Debug, Default)]
struct Targets {
    running: Vec<Running>,
    /// Those that are no longer wanted, and finish what is in flight.
    stopping: Vec<Running>,
    is_stopped: bool,
}

/// The task of a target.
#[derive(Debug)]
struct Running {
    settings: Arc<TargetSettings>,
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    counters: Arc<Counters>,
    /// Whether it has tried to begin.
    begun: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Relay {
    /// A relay without targets.
    ///
    /// # Errors
    /// If its thread cannot be started.
    pub(crate) fn new(inbox: Inbox, clock: Clock) -> io::Result<Self> {
        let thread = RelayThread::start(&inbox.workers())?;
        Ok(Self(Arc::new(Inner { inbox, clock, thread, young: Arc::default(), targets: Mutex::default() })))
    }

    /// Relays to these targets from now on, and to no others. Targets with the same settings as before go on undisturbed. The state of
    /// the others stays in the inbox.
    pub(crate) fn put(&self, settings: Vec<TargetSettings>) {
        let mut targets = lock(&self.0.targets);
        if targets.is_stopped {
            return;
        }
        let limits = Limits::of_one_of(settings.len());
        self.0.young.store(young_requests(settings.len()), Relaxed);
        let mut before = std::mem::take(&mut targets.running);
        before.append(&mut targets.stopping);
        targets.running = settings
            .into_iter()
            .map(|settings| {
                let place = before.iter().position(|running| running.settings.name == settings.name);
                match place.map(|place| before.swap_remove(place)) {
                    Some(running) if *running.settings == settings && !*running.stop.borrow() => running,
                    replaced => self.start(settings, limits, replaced),
                }
            })
            .collect();
        before.iter().for_each(Running::stop);
        before.retain(|running| !running.task.is_finished());
        targets.stopping = before;
    }

    /// Starts the task of a target, after the one that it replaces.
    fn start(&self, settings: TargetSettings, limits: Limits, before: Option<Running>) -> Running {
        let (inbox, clock) = (self.0.inbox.clone(), self.0.clock.clone());
        let (settings, wake) = (Arc::new(settings), Arc::new(Notify::new()));
        let (stop, stopped) = watch::channel(false);
        let counters = before.as_ref().map_or_else(|| Arc::new(Counters::new()), |before| Arc::clone(&before.counters));
        let sender = Arc::new(Sender::new(&settings));
        let (begins, begun) = watch::channel(false);
        let counted = Arc::clone(&counters);
        let (server, young) = (self.0.thread.server.clone(), Arc::clone(&self.0.young));
        let runner =
            Runner { settings: Arc::clone(&settings), limits, young, inbox, server, clock, sender, counters: counted, begins };
        let task = self.0.thread.tasks.spawn({
            let (wake, workers) = (Arc::clone(&wake), self.0.inbox.workers());
            async move {
                if let Some(before) = before {
                    before.stop();
                    let _ = before.task.await;
                }
                while workers.panicked(NAME, runner.run(&wake, stopped.clone())).await {}
            }
        });
        Running { settings, wake, stop, counters, begun, task }
    }

    /// Waits until each target has begun, if the inbox works: a new target gets every event that is committed after this.
    pub(crate) async fn begun(&self) {
        let begun: Vec<_> = lock(&self.0.targets).running.iter().map(|running| running.begun.clone()).collect();
        let all = async {
            for mut target in begun {
                let _ = target.wait_for(|has_begun| *has_begun).await; // or its task has ended
            }
        };
        let _ = tokio::time::timeout(BEGIN_PATIENCE, all).await;
    }

    /// The names of the targets.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        lock(&self.0.targets).running.iter().map(|running| Arc::clone(&running.settings.name)).collect()
    }

    /// Has `target` look at once at what people ask it to do.
    pub(crate) fn wake(&self, target: &str) {
        lock(&self.0.targets).running.iter().filter(|running| &*running.settings.name == target).for_each(|running| {
            running.wake.notify_one();
        });
    }

    pub(crate) fn observed(&self) -> Vec<Observed> {
        let observed = |running: &Running| running.counters.observed(Arc::clone(&running.settings.name));
        lock(&self.0.targets).running.iter().map(observed).collect()
    }

    #[cfg(test)]
    pub(super) fn tasks(&self) -> Vec<tokio::task::Id> {
        lock(&self.0.targets).running.iter().map(|running| running.task.id()).collect()
    }

    /// Finishes what is in flight, within limits, and gives the leases back.
    pub(crate) async fn stop(&self) {
        let Targets { running, stopping, .. } =
            std::mem::replace(&mut *lock(&self.0.targets), Targets { is_stopped: true, ..Targets::default() });
        running.iter().for_each(Running::stop);
        for running in running.into_iter().chain(stopping) {
            if running.task.await.is_err() {
                warn!(target = &*running.settings.name, "the task of this target was ended");
            }
        }
    }
}

impl Running {
    fn stop(&self) {
        self.stop.send_replace(true);
    }
}
