//! Relays to one target while this roomkey holds its lease: starts what the dispatcher decides, and commits. Each task that it starts is
//! in `work`, and what follows from its result in `results`. Does not know how the lease is taken.

mod recurring;
mod results;
mod turns;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::inbox::{Filter, Follower};
use crate::relay::dispatcher::Dispatcher;
use crate::relay::lease::Lease;
use crate::relay::runner::Runner;
use crate::relay::thread::output;
use recurring::{Recurring, TICK};
pub(super) use turns::young_requests;
use turns::{Turns, YOUNG_FOR};
use work::{Committing, Done};

/// Between two commits.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
/// Between two renewals of the lease, which lasts 15 s.
const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// The most events that the target took since the last commit. After a crash they are sent again, so sending stops here while the inbox
/// cannot commit.
const MOST_UNCOMMITTED: usize = 4096;
/// How long the end waits for what is in flight.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at how far the target lags behind.
const LAG_INTERVAL: Duration = Duration::from_secs(5);
/// Between two looks at whether the inbox has deleted an event that is owed.
const OLDEST_INTERVAL: Duration = Duration::from_secs(60);

/// The session cannot go on, because the lease is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease of this target is lost: what was in flight may be sent again")]
pub(super) struct LeaseLost;

pub(super) struct Session<'a> {
    runner: &'a Runner,
    lease: Lease,
    dispatcher: Dispatcher,
    /// `None` while it reads.
    follower: Option<Box<Follower>>,
    work: JoinSet<Done>,
    turns: Turns,
    /// The number of the last request of people that was done.
    steered: u64,
    committed_steered: u64,
    /// How many events the target took since the last commit.
    uncommitted: usize,
    reading: Recurring,
    replaying: Recurring,
    looking_ahead: Recurring,
    committing: Recurring,
    renewing: Recurring,
    steering: Recurring,
    lag: Recurring,
    oldest: Recurring,
    /// Whether there may be something to commit.
    is_dirty: bool,
    /// When the log was last told that the target is down; `None` while it is up.
    warned_at: Option<Instant>,
}

impl<'a> Session<'a> {
    /// A session under `lease`.
    pub(super) fn new(runner: &'a Runner, lease: Lease, dispatcher: Dispatcher) -> Self {
        let follower = runner.inbox.follow(Some(dispatcher.state().cursor), Filter::default());
        let mut renewing = Recurring::new(RENEW_INTERVAL);
        renewing.is_due_in(RENEW_INTERVAL);
        Self {
            runner,
            lease,
            dispatcher,
            follower: Some(Box::new(follower)),
            work: JoinSet::new(),
            turns: Turns::new(Arc::clone(&runner.young)),
            steered: 0,
            committed_steered: 0,
            uncommitted: 0,
            reading: Recurring::new(Duration::ZERO),
            replaying: Recurring::new(Duration::ZERO),
            looking_ahead: Recurring::new(TICK),
            committing: Recurring::new(COMMIT_INTERVAL),
            renewing,
            steering: Recurring::new(TICK),
            lag: Recurring::new(LAG_INTERVAL),
            oldest: Recurring::new(OLDEST_INTERVAL),
            is_dirty: false,
            warned_at: None,
        }
    }

    /// Relays until `stop` is true. Dropping the session ends what is in flight.
    ///
    /// # Errors
    /// If the lease is lost.
    pub(super) async fn run(mut self: Box<Self>, wake: &Notify, stop: &mut watch::Receiver<bool>) -> Result<(), LeaseLost> {
        self.watch_circuit(); // it may have been open before
        let mut stops_at = None;
        loop {
            if !self.lease.is_certain() {
                return Err(LeaseLost);
            }
            let is_stopping = *stop.borrow_and_update();
            if is_stopping {
                let now = Instant::now();
                let stops_at = *stops_at.get_or_insert(now.checked_add(STOP_PATIENCE).unwrap_or(now));
                if (self.dispatcher.in_flight() == 0 || now >= stops_at) && !self.committing.is_running() {
                    return self.last_commit().await;
                }
            } else {
                self.start();
            }
            self.renew();
            self.commit();
            let sleep = if is_stopping { COMMIT_INTERVAL } else { self.sleep() };
            tokio::select! {
                Some(done) = self.work.join_next(), if !self.work.is_empty() => {
                    let mut next = Some(done);
                    while let Some(done) = next {
                        if let Some(done) = output(done) {
                            self.take(done)?;
                        }
                        next = self.work.try_join_next();
                    }
                }
                () = wake.notified() => self.steering.is_due_in(Duration::ZERO),
                _ = stop.changed(), if !is_stopping => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Starts everything that is due.
    fn start(&mut self) {
        let Runner { inbox, settings, sender, clock, server, .. } = self.runner;
        let target = || Arc::clone(&settings.name);
        while self.uncommitted < MOST_UNCOMMITTED
            && self.turns.is_free()
            && let Some(start) = self.dispatcher.next(clock.now())
        {
            let inbox = (inbox.clone(), server.clone());
            let attempt = work::attempt(start, Arc::clone(sender), inbox, clock.clone(), self.lease.clone());
            self.work.spawn(self.turns.during(Box::pin(attempt)));
        }
        if let Some(limit) = self.dispatcher.page_to_read()
            && self.reading.begins()
            && let Some(follower) = self.follower.take()
        {
            self.ask_inbox(work::follow(follower, limit));
        }
        if let Some((replay, limit)) = self.dispatcher.replay_to_read()
            && self.replaying.begins()
        {
            self.ask_inbox(work::replay(inbox.clone(), replay, limit));
        }
        if let Some((after, limit)) = self.dispatcher.ahead_to_read()
            && self.looking_ahead.begins()
        {
            self.ask_inbox(work::ahead(inbox.clone(), after, limit));
        }
        if self.steering.begins() {
            self.ask_inbox(work::steering(inbox.clone(), target()));
        }
        if self.lag.begins() {
            self.ask_inbox(work::lag(inbox.clone(), self.dispatcher.state().cursor));
        }
        if self.oldest.begins() {
            match self.dispatcher.first_owed() {
                Some(first) => self.ask_inbox(work::oldest(inbox.clone(), first)),
                None => self.oldest.ends(true),
            }
        }
    }

    /// Starts `work` that uses the inbox.
    fn ask_inbox(&mut self, work: impl Future<Output = Done> + Send + 'static) {
        self.work.spawn_on(work, &self.runner.server);
    }

    /// Renews the lease when that is due, also while the session stops: what is in flight may take longer than the lease is certain.
    fn renew(&mut self) {
        if self.renewing.begins() {
            let Runner { inbox, settings, .. } = self.runner;
            self.ask_inbox(work::renew(inbox.clone(), Arc::clone(&settings.name), self.lease.clone()));
        }
    }

    /// Starts a commit, if one is due and there is something to commit.
    fn commit(&mut self) {
        if !self.is_dirty || !self.committing.begins() {
            return;
        }
        self.is_dirty = false;
        let Some(changes) = self.dispatcher.changes(self.steered > self.committed_steered) else {
            self.uncommitted = 0;
            return self.committing.ends(true);
        };
        let committing = Committing { epoch: self.lease.epoch, steered: self.steered, taken: self.uncommitted };
        let Runner { inbox, settings, .. } = self.runner;
        self.ask_inbox(work::commit(inbox.clone(), Arc::clone(&settings.name), changes, committing));
    }

    /// Commits what is left, and waits for that.
    async fn last_commit(mut self: Box<Self>) -> Result<(), LeaseLost> {
        self.is_dirty = true;
        self.committing.is_due_in(Duration::ZERO);
        self.commit();
        while self.committing.is_running()
            && let Some(Ok(done)) = self.work.join_next().await
        {
            self.take(done)?;
        }
        Ok(())
    }

    /// How long nothing is due.
    fn sleep(&self) -> Duration {
        let now = self.runner.clock.now();
        let send = self.dispatcher.wakes_at(now).map_or(TICK, |at| at.since(now));
        let commit = if self.is_dirty { self.committing.sleep() } else { TICK };
        let read = if self.dispatcher.page_to_read().is_some() { self.reading.sleep() } else { TICK };
        let turn = if self.turns.is_free() { TICK } else { YOUNG_FOR };
        [send, commit, read, turn, self.steering.sleep()].into_iter().fold(TICK, Duration::min)
    }
}
