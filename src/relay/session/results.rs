//! What follows from the result of each task of a session: it tells the dispatcher, the metrics and the log. Does not know when tasks
//! start.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::inbox::target::{Lag, Replay, SteeringRequest, TargetError};
use crate::inbox::{Cursor, Entry, Follower, Page, ReadError};
use crate::relay::dispatcher::Changes;
use crate::relay::runner::Runner;
use crate::relay::sender::Outcome;
use crate::relay::session::work::{Committing, Done};
use crate::relay::session::{LeaseLost, Session};
use crate::relay::settings::Wanted;
use crate::relay::steering::Steering;

/// The cursor of a target that gets no events moves this often.
const IDLE_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Between two warnings about one outage.
const WARN_INTERVAL: Duration = Duration::from_secs(60 * 60);

impl Session<'_> {
    pub(super) fn take(&mut self, done: Done) -> Result<(), LeaseLost> {
        match done {
            Done::Sent(cursor, outcome, duration) => self.sent(cursor, outcome, duration),
            Done::Missing(cursor) => self.dispatcher.is_gone(cursor),
            Done::Unread(cursor) => self.dispatcher.not_read(cursor, self.runner.clock.now()),
            Done::Page(follower, page) => self.read(follower, page),
            Done::Replayed(page) => self.replayed(page),
            Done::Ahead(page) => self.looked_ahead(page),
            Done::Committed(changes, committing, result) => self.committed(&changes, committing, result)?,
            Done::Renewed(result) => self.renewed(result)?,
            Done::Steering(requests) => self.asked(requests.unwrap_or_default()),
            Done::Lag(lag) => self.lags(lag),
            Done::Oldest(oldest) => {
                self.oldest.ends(true);
                oldest.into_iter().for_each(|oldest| self.dispatcher.forget(oldest));
            }
        }
        self.is_dirty = true;
        self.runner.counters.expired.fetch_add(self.dispatcher.take_expired(), Relaxed);
        Ok(())
    }

    fn sent(&mut self, cursor: Cursor, outcome: Outcome, duration: Duration) {
        let Runner { settings, clock, counters, .. } = self.runner;
        counters.attempt(&outcome, duration, settings.options.timeout);
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
            Outcome::Failed(failure) => self.dispatcher.failed(cursor, failure, clock.now()),
        }
        self.watch_circuit();
    }

    /// Logs when the target goes down, every hour while it is, and when it is back.
    pub(super) fn watch_circuit(&mut self) {
        let (name, is_down) = (&*self.runner.settings.name, self.dispatcher.is_down());
        match self.warned_at {
            Some(_) if !is_down => {
                self.warned_at = None;
                info!(target = name, "the target is up again");
            }
            at if is_down && at.is_none_or(|at| at.elapsed() >= WARN_INTERVAL) => {
                self.warned_at = Some(Instant::now());
                let error = &*self.dispatcher.state().last_error;
                warn!(target = name, error, "the target is down: its events wait in the inbox");
            }
            _ => {}
        }
        self.runner.counters.update(|current| current.is_down = is_down);
    }

    fn read(&mut self, mut follower: Box<Follower>, page: Result<Page, ReadError>) {
        self.reading.ends(!is_outage(&page));
        match page {
            Ok(page) => {
                let read_to = self.dispatcher.read_to();
                let next = match page.entries.last() {
                    Some(last) => last.cursor,
                    None if page.next.time().since(read_to.time()) >= IDLE_INTERVAL => page.next,
                    None => read_to,
                };
                self.dispatcher.take(wanted(page.entries, &self.runner.settings.options.wanted), next);
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
        self.replaying.ends(!is_outage(&page));
        match page {
            Ok(page) => self.dispatcher.take_replayed(wanted(page.entries, &self.runner.settings.options.wanted), page.next),
            Err(ReadError::Gone { oldest }) => self.dispatcher.skip_replay_gap(oldest),
            Err(_) => {}
        }
    }

    fn looked_ahead(&mut self, page: Result<Page, ReadError>) {
        self.looking_ahead.ends(true);
        match page {
            Ok(page) => self.dispatcher.take_ahead(wanted(page.entries, &self.runner.settings.options.wanted), page.next),
            Err(ReadError::Gone { oldest }) => self.dispatcher.take_ahead([], oldest),
            Err(_) => {}
        }
    }

    fn committed(&mut self, changes: &Changes, committing: Committing, result: Result<(), TargetError>) -> Result<(), LeaseLost> {
        self.committing.ends(result.is_ok());
        match result {
            Ok(()) => {
                self.committed_steered = committing.steered;
                self.uncommitted = self.uncommitted.saturating_sub(committing.taken);
            }
            Err(TargetError::LeaseLost) => return Err(LeaseLost),
            Err(TargetError::Unavailable) => self.dispatcher.not_committed(changes),
        }
        Ok(())
    }

    fn renewed(&mut self, result: Result<Option<u64>, TargetError>) -> Result<(), LeaseLost> {
        self.renewing.ends(result.is_ok());
        match result {
            Ok(Some(epoch)) if epoch == self.lease.epoch => {}
            Ok(_) | Err(TargetError::LeaseLost) => return Err(LeaseLost),
            Err(TargetError::Unavailable) => {}
        }
        Ok(())
    }

    /// Does what people ask for, unless it is done already.
    fn asked(&mut self, requests: Vec<SteeringRequest>) {
        self.steering.ends(true);
        for SteeringRequest { number, request } in requests {
            if number > self.steered {
                self.steer(&request);
                self.steered = number;
            }
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

    fn lags(&mut self, lag: Result<Lag, ReadError>) {
        self.lag.ends(true);
        self.runner.sender.close_idle();
        self.turns.rest();
        let owed = self.dispatcher.state().owed;
        self.runner.counters.update(|current| (current.lag, current.owed) = (lag.unwrap_or(current.lag), owed));
    }
}

/// Whether the inbox cannot be read now.
fn is_outage(page: &Result<Page, ReadError>) -> bool {
    matches!(page, Err(ReadError::Store(_) | ReadError::NotKept))
}

fn wanted(entries: Vec<Entry>, wanted: &Wanted) -> impl Iterator<Item = Entry> {
    entries.into_iter().filter(|entry| wanted.wants(&entry.room, &entry.event))
}
