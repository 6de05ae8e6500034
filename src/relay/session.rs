//! Relays to one target while this roomkey holds its lease: starts what the dispatcher decides, tells it what came of it, and commits.
//! Does not know how the lease is got.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::inbox::target::{Replay, TargetError};
use crate::inbox::{Cursor, Filter, Follower, Page, ReadError};
use crate::relay::dispatcher::{Dispatcher, Failure};
use crate::relay::lease::Lease;
use crate::relay::runner::Runner;
use crate::relay::sender::Outcome;
use crate::relay::steering::Steering;
use crate::relay::work::{self, Committing, Done};

/// Between two commits.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
/// The longest sleep, and between two attempts to reach an inbox that fails.
const TICK: Duration = Duration::from_secs(1);
/// Between two renewals of the lease, which lasts 15 s.
const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// Events that the target took and that are not committed as such: after a crash they are sent again. If the inbox cannot commit,
/// there are no more of them.
const MOST_UNCOMMITTED: usize = 4096;
/// How long the end waits for what is in flight.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
const LAG_INTERVAL: Duration = Duration::from_secs(5);
const OLDEST_INTERVAL: Duration = Duration::from_secs(60);
/// The cursor of a target that gets no events moves this often.
const IDLE_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Between two warnings about one outage.
const WARN_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Stopped,
    LeaseLost,
}

/// Something that is done again and again, never twice at a time.
#[derive(Debug)]
struct Recurring {
    interval: Duration,
    due: Instant,
    is_running: bool,
}

impl Recurring {
    fn new(interval: Duration) -> Self {
        Self { interval, due: Instant::now(), is_running: false }
    }

    /// Whether it begins now.
    fn begins(&mut self) -> bool {
        let begins = !self.is_running && self.due <= Instant::now();
        if begins {
            self.is_running = true;
            self.is_due_in(self.interval);
        }
        begins
    }

    fn ends(&mut self, is_ok: bool) {
        self.is_running = false;
        if !is_ok {
            self.is_due_in(TICK);
        }
    }

    fn is_due_in(&mut self, delay: Duration) {
        let now = Instant::now();
        self.due = now.checked_add(delay).unwrap_or(now);
    }
}

pub(super) struct Session<'a> {
    runner: &'a Runner,
    lease: Lease,
    dispatcher: Dispatcher,
    /// `None` while it reads.
    follower: Option<Box<Follower>>,
    work: JoinSet<Done>,
    steered: u64,
    committed_steered: u64,
    /// How many events the target took since the last commit.
    uncommitted: usize,
    reading: Recurring,
    replaying: Recurring,
    committing: Recurring,
    renewing: Recurring,
    steering: Recurring,
    lag: Recurring,
    oldest: Recurring,
    /// Whether there may be something to commit.
    is_touched: bool,
    warned_at: Option<Instant>,
}

impl<'a> Session<'a> {
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
            steered: 0,
            committed_steered: 0,
            uncommitted: 0,
            reading: Recurring::new(Duration::ZERO),
            replaying: Recurring::new(Duration::ZERO),
            committing: Recurring::new(COMMIT_INTERVAL),
            renewing,
            steering: Recurring::new(TICK),
            lag: Recurring::new(LAG_INTERVAL),
            oldest: Recurring::new(OLDEST_INTERVAL),
            is_touched: false,
            warned_at: None,
        }
    }

    /// Relays until `stop` says so, or the lease is lost. Dropping the session ends what is in flight.
    pub(super) async fn run(mut self, wake: &Notify, stop: &mut watch::Receiver<bool>) -> End {
        self.watch_circuit(); // it may have been open before
        let mut stops_at = None;
        loop {
            if !self.lease.is_certain() {
                return End::LeaseLost;
            }
            let is_stopping = *stop.borrow_and_update();
            if is_stopping {
                let now = Instant::now();
                let stops_at = *stops_at.get_or_insert(now.checked_add(STOP_PATIENCE).unwrap_or(now));
                if (self.dispatcher.in_flight() == 0 || now >= stops_at) && !self.committing.is_running {
                    return self.last_commit().await;
                }
            } else {
                self.start();
            }
            self.commit();
            let sleep = if is_stopping { COMMIT_INTERVAL } else { self.sleep() };
            tokio::select! {
                Some(done) = self.work.join_next(), if !self.work.is_empty() => {
                    let mut next = Some(done);
                    while let Some(done) = next {
                        let done = done.unwrap_or_else(|error| resume_unwind(error.into_panic()));
                        if self.take(done) == Some(End::LeaseLost) {
                            return End::LeaseLost;
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

    /// Starts everything whose time has come.
    fn start(&mut self) {
        let Runner { inbox, settings, sender, clock, .. } = self.runner;
        let target = || Arc::clone(&settings.name);
        while self.uncommitted < MOST_UNCOMMITTED
            && let Some(start) = self.dispatcher.next(clock.now())
        {
            self.work.spawn(work::attempt(start, Arc::clone(sender), inbox.clone(), clock.clone(), self.lease.clone()));
        }
        if let Some(limit) = self.dispatcher.room()
            && self.reading.begins()
            && let Some(follower) = self.follower.take()
        {
            self.work.spawn(work::follow(follower, limit));
        }
        if let Some((replay, limit)) = self.dispatcher.replay_to_read()
            && self.replaying.begins()
        {
            self.work.spawn(work::replay(inbox.clone(), replay, limit));
        }
        if self.renewing.begins() {
            self.work.spawn(work::renew(inbox.clone(), target()));
        }
        if self.steering.begins() {
            self.work.spawn(work::steering(inbox.clone(), target()));
        }
        if self.lag.begins() {
            self.work.spawn(work::lag(inbox.clone(), self.dispatcher.state().cursor));
        }
        if let Some(first) = self.dispatcher.first_owed()
            && self.oldest.begins()
        {
            self.work.spawn(work::oldest(inbox.clone(), first));
        }
    }

    fn commit(&mut self) {
        if !self.is_touched || !self.committing.begins() {
            return;
        }
        self.is_touched = false;
        let changes = self.dispatcher.changes();
        let changes = changes.or_else(|| (self.steered > self.committed_steered).then(|| self.dispatcher.unchanged()));
        let Some(changes) = changes else {
            self.uncommitted = 0;
            return self.committing.ends(true);
        };
        let committing = Committing { epoch: self.lease.epoch, steered: self.steered, taken: self.uncommitted };
        let Runner { inbox, settings, .. } = self.runner;
        self.work.spawn(work::commit(inbox.clone(), Arc::clone(&settings.name), changes, committing));
    }

    async fn last_commit(mut self) -> End {
        (self.is_touched, self.committing.due) = (true, Instant::now());
        self.commit();
        while self.committing.is_running
            && let Some(Ok(done)) = self.work.join_next().await
        {
            if self.take(done) == Some(End::LeaseLost) {
                return End::LeaseLost;
            }
        }
        End::Stopped
    }

    fn sleep(&self) -> Duration {
        let clock = self.runner.clock.now();
        let wait = self.dispatcher.wakes_at(clock).map_or(TICK, |at| at.since(clock));
        let commit = if self.is_touched { self.committing.due.saturating_duration_since(Instant::now()) } else { TICK };
        let reading = self.reading.due.saturating_duration_since(Instant::now());
        let steering = self.steering.due.saturating_duration_since(Instant::now());
        let waits_for = [
            Some(wait),
            Some(commit).filter(|_| !self.committing.is_running),
            Some(reading).filter(|_| self.follower.is_some() && self.dispatcher.room().is_some()),
            Some(steering).filter(|_| !self.steering.is_running),
        ];
        waits_for.into_iter().flatten().fold(TICK, Duration::min)
    }

    fn take(&mut self, done: Done) -> Option<End> {
        match done {
            Done::Sent(cursor, outcome, duration) => self.sent(cursor, outcome, duration),
            Done::Missing(cursor) => self.dispatcher.is_gone(cursor),
            Done::Unread(cursor) => self.dispatcher.not_read(cursor, self.runner.clock.now()),
            Done::Page(follower, page) => self.read(follower, page),
            Done::Replayed(page) => self.replayed(page),
            Done::Committed(changes, committing, result) => {
                self.committing.ends(result.is_ok());
                match result {
                    Ok(()) => {
                        self.committed_steered = committing.steered;
                        self.uncommitted = self.uncommitted.saturating_sub(committing.taken);
                    }
                    Err(TargetError::LeaseLost) => return Some(End::LeaseLost),
                    Err(TargetError::Unavailable) => self.dispatcher.not_committed(&changes),
                }
                self.is_touched |= result.is_err();
                return None;
            }
            Done::Renewed(at, result) => {
                self.renewing.ends(result.is_ok());
                match result {
                    Ok(Some(epoch)) if epoch == self.lease.epoch => self.lease.renewed(at),
                    Ok(_) | Err(TargetError::LeaseLost) => return Some(End::LeaseLost),
                    Err(TargetError::Unavailable) => {}
                }
                return None;
            }
            Done::Steering(requests) => {
                self.steering.ends(true);
                for request in requests.unwrap_or_default() {
                    if request.number > self.steered {
                        self.steer(&request.request);
                        (self.steered, self.is_touched) = (request.number, true);
                    }
                }
                return None;
            }
            Done::Lag(lag) => {
                self.lag.ends(true);
                let owed = self.dispatcher.state().owed;
                self.runner.counters.update(|current| (current.lag, current.owed) = (lag.unwrap_or(current.lag), owed));
                return None;
            }
            Done::Oldest(oldest) => {
                self.oldest.ends(true);
                oldest.into_iter().for_each(|oldest| self.dispatcher.forget(oldest));
            }
        }
        self.is_touched = true;
        let expired = self.dispatcher.take_expired();
        self.runner.counters.expired.fetch_add(expired, Relaxed);
        None
    }

    fn sent(&mut self, cursor: Cursor, outcome: Outcome, duration: Duration) {
        let Runner { settings, clock, counters, .. } = self.runner;
        counters.attempt(&outcome, duration, settings.timeout);
        match outcome {
            Outcome::Delivered => {
                self.dispatcher.succeeded(cursor);
                self.uncommitted = self.uncommitted.saturating_add(1);
            }
            Outcome::Unsent => self.dispatcher.not_sent(cursor),
            Outcome::Gone => {
                self.dispatcher.not_sent(cursor);
                self.dispatcher.pause(true);
                warn!(target = &*settings.name, %cursor, "the target is paused, because it answered 410: resume it once it wants events");
            }
            Outcome::Failed { kind, status, error, retry_after } => {
                self.dispatcher.failed(cursor, Failure { kind, status, error, retry_after }, clock.now());
            }
        }
        self.watch_circuit();
    }

    /// Logs when the target goes down, every hour while it is, and when it is back.
    fn watch_circuit(&mut self) {
        let (name, is_down) = (&*self.runner.settings.name, self.dispatcher.is_down());
        match self.warned_at {
            Some(_) if !is_down => {
                self.warned_at = None;
                info!(target = name, "the target is up again");
            }
            at if is_down && at.is_none_or(|at| at.elapsed() >= WARN_INTERVAL) => {
                self.warned_at = Some(Instant::now());
                warn!(
                    target = name,
                    error = self.dispatcher.state().last_error,
                    "the target is down: its events wait in the inbox"
                );
            }
            _ => {}
        }
        self.runner.counters.update(|current| current.is_down = is_down);
    }

    fn read(&mut self, mut follower: Box<Follower>, page: Result<Page, ReadError>) {
        let wanted = &self.runner.settings.wanted;
        self.reading.ends(!matches!(page, Err(ReadError::Store(_) | ReadError::NotKept)));
        match page {
            Ok(page) => {
                let read_to = self.dispatcher.read_to();
                let next = match page.entries.last() {
                    Some(last) => last.cursor,
                    None if page.next.time().since(read_to.time()) >= IDLE_INTERVAL => page.next,
                    None => read_to,
                };
                let entries = page.entries.into_iter().filter(|entry| wanted.wants(&entry.room, &entry.event));
                self.dispatcher.take(entries, next);
            }
            Err(ReadError::Gone { oldest }) => {
                warn!(target = &*self.runner.settings.name, %oldest, "events were deleted before they were sent: they have expired");
                self.dispatcher.skip_gap(oldest);
                follower.skip_to(oldest);
            }
            Err(_) => {}
        }
        self.follower = Some(follower);
    }

    fn replayed(&mut self, page: Result<Page, ReadError>) {
        let wanted = &self.runner.settings.wanted;
        self.replaying.ends(!matches!(page, Err(ReadError::Store(_) | ReadError::NotKept)));
        match page {
            Ok(page) => {
                let entries = page.entries.into_iter().filter(|entry| wanted.wants(&entry.room, &entry.event));
                self.dispatcher.take_replayed(entries, page.next);
            }
            Err(ReadError::Gone { oldest }) => self.dispatcher.skip_replay_gap(oldest),
            Err(_) => {}
        }
    }

    fn steer(&mut self, request: &str) {
        let name = &*self.runner.settings.name;
        match Steering::parse(request) {
            Ok(Steering::Retry { cursors }) => cursors.into_iter().for_each(|cursor| self.dispatcher.retry(cursor)),
            Ok(Steering::RetryAll(state)) => self.dispatcher.retry_all(state),
            Ok(Steering::Skip { cursors }) => cursors.into_iter().for_each(|cursor| self.dispatcher.skip(cursor)),
            Ok(Steering::Pause) => self.dispatcher.pause(true),
            Ok(Steering::Resume) => self.dispatcher.pause(false),
            Ok(Steering::Replay { after, until }) => {
                if !self.dispatcher.replay(Replay { after, until }) {
                    warn!(target = name, "too many replays wait: this one is left out");
                }
            }
            Err(error) => warn!(target = name, %error, "this request is left out"),
        }
    }
}
