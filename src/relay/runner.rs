//! The task of one target: takes the target's lease and relays while it holds it. Does not know how the session relays.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::inbox::target::{OwedCounts, OwedEvent, TargetCommit, TargetError, TargetState};
use crate::inbox::{Cursor, Inbox, PageLimit, ReadError};
use crate::relay::dispatcher::{Dispatcher, Limits, Plan};
use crate::relay::lease::{Lease, Moment};
use crate::relay::observed::{Counters, Current};
use crate::relay::sender::Sender;
use crate::relay::session::Session;
use crate::relay::settings::TargetSettings;
use crate::relay::thread::done_by;

/// Between two attempts to take the lease. After a roomkey gives it back, another one has it within a second.
const LEASE_INTERVAL: Duration = Duration::from_millis(500);
/// How long the end waits until the lease is given back.
const GIVE_BACK_PATIENCE: Duration = Duration::from_secs(2);

/// Everything that a target's task needs.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) settings: Arc<TargetSettings>,
    pub(super) limits: Limits,
    /// How many young requests the target may have in flight.
    pub(super) young: Arc<AtomicUsize>,
    pub(super) inbox: Inbox,
    /// The server's own runtime, where the inbox is used.
    pub(super) server: Handle,
    pub(super) clock: Clock,
    pub(super) sender: Arc<Sender>,
    pub(super) counters: Arc<Counters>,
    /// Set to true once it has tried to begin.
    pub(super) begins: watch::Sender<bool>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
enum NoSession {
    #[error("another roomkey holds the lease")]
    Held,
    #[error(transparent)]
    Unwritable(#[from] TargetError),
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    #[error("the end of the inbox is not known now")]
    NoEnd,
}

impl Runner {
    /// Relays until `stop` is true.
    pub(super) async fn run(&self, wake: &Notify, mut stop: watch::Receiver<bool>) {
        let name = &*self.settings.name;
        while !*stop.borrow_and_update() {
            let begun = self.begin().await;
            self.begins.send_replace(true);
            match begun {
                Ok(session) => {
                    self.counters.update(|current| current.holds_lease = true);
                    info!(target = name, "relaying to this target");
                    let end = session.run(wake, &mut stop).await;
                    self.counters.update(|current| *current = Current::default()); // the next holder knows better
                    if let Err(lost) = end {
                        warn!(target = name, "{lost}");
                    }
                }
                Err(error) => {
                    debug!(target = name, %error, "not relaying to this target now");
                    let _ = tokio::time::timeout(LEASE_INTERVAL, stop.changed()).await;
                }
            }
        }
        let (inbox, target) = (self.inbox.clone(), Arc::clone(&self.settings.name));
        let given_back = done_by(&self.server, async move { inbox.give_lease_back(&target).await });
        if !matches!(tokio::time::timeout(GIVE_BACK_PATIENCE, given_back).await, Ok(Ok(()))) {
            warn!(target = name, "the lease of this target cannot be given back: it ends by itself");
        }
    }

    /// Takes the lease, and loads what the last holder committed.
    async fn begin(&self) -> Result<Box<Session<'_>>, NoSession> {
        let Self { settings, limits, inbox, server, clock, .. } = self;
        let begin = Moment::now();
        let LeasedTarget { epoch, state, owed } =
            done_by(server, LeasedTarget::take(inbox.clone(), Arc::clone(settings))).await?;
        let now = clock.now();
        let seed = now.as_millis() ^ u64::from(std::process::id()).rotate_left(32);
        let dispatcher = Dispatcher::new(Plan::of(&settings.options, *limits), state, owed, now, seed);
        Ok(Box::new(Session::new(self, Lease::new(epoch, begin), dispatcher)))
    }
}

/// A target whose lease is taken.
struct LeasedTarget {
    epoch: u64,
    state: TargetState,
    owed: Vec<OwedEvent>,
}

impl LeasedTarget {
    async fn take(inbox: Inbox, settings: Arc<TargetSettings>) -> Result<Self, NoSession> {
        let name = &*settings.name;
        let epoch = inbox.take_lease(name).await?.ok_or(NoSession::Held)?;
        let state = match inbox.target(name).await? {
            Some(state) => state,
            None => create(&inbox, &settings, epoch).await?,
        };
        let owed = inbox.owed(name, None, None, usize::MAX).await?;
        Ok(Self { epoch, state, owed })
    }
}

/// Commits where a new target begins.
async fn create(inbox: &Inbox, settings: &TargetSettings, epoch: u64) -> Result<TargetState, NoSession> {
    let cursor: Cursor = if settings.options.from_oldest {
        let limit = PageLimit { entries: 1, bytes: 1 };
        inbox.read(None, &Arc::default(), limit).await?.after
    } else {
        inbox.latest().await.ok_or(NoSession::NoEnd)?
    };
    let (owed, last_error) = (OwedCounts::default(), String::new());
    let state = TargetState { cursor, is_paused: false, is_down: false, last_error, owed, replays: Vec::new() };
    let target = settings.name.to_string();
    let commit = TargetCommit { target, epoch, state: state.clone(), owed: Vec::new(), settled: Vec::new(), steered: 0 };
    inbox.commit_target(commit).await?;
    Ok(state)
}
