//! Watches whether a caller may still read: again whenever the policy changes, and for the application's own sessions as often as their
//! answers are kept. Does not know what is read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::caller::Caller;
use crate::caller::refused::Refused;
use crate::clock::Clock;
use crate::http::caller_headers::CallerHeaders;
use crate::http::keyring::Keyring;
use crate::http::policies::{ActivePolicy, PolicyChanges};
use crate::http::refusal::Refusal;
use crate::http::trace::Trace;
use crate::policy::rule::EventsRight;

/// How long a reader stays connected while nobody can say whether its session goes on: it may have ended.
const UNKNOWN_GRACE: Duration = Duration::from_secs(4);
/// The shortest time between two questions about one reader, and the time until the next one after nobody could answer.
const MIN_PERIOD: Duration = Duration::from_secs(1);
/// Time for a kept answer to end before the next question.
const SLACK: Duration = Duration::from_millis(50);

/// Whether a caller may still read. The watch ends with the last clone.
#[derive(Clone, Debug)]
pub(super) struct CallerWatch {
    holds: watch::Receiver<bool>,
    _task: Arc<Task>,
}

#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A caller that reads, and what it takes to prove it again.
pub(super) struct ReadingCaller {
    pub(super) caller: Arc<Caller>,
    /// The room that it asked for.
    pub(super) room: Option<String>,
    /// Whether it may read all rooms.
    pub(super) reads_all: bool,
    pub(super) headers: CallerHeaders<'static>,
    pub(super) trace: Trace,
    pub(super) keyring: Keyring,
    pub(super) clock: Clock,
}

impl CallerWatch {
    /// `policies` has seen the policy that allowed it.
    pub(super) fn new(caller: ReadingCaller, policies: PolicyChanges) -> Self {
        let (sender, holds) = watch::channel(true);
        let task = tokio::spawn(async move {
            caller.until_refused(policies).await;
            sender.send_replace(false);
        });
        Self { holds, _task: Arc::new(Task(task.abort_handle())) }
    }

    pub(super) fn holds(&self) -> bool {
        // If the task panicked, nobody watches any more.
        *self.holds.borrow() && self.holds.has_changed().is_ok()
    }

    /// Completes when it no longer holds.
    pub(super) async fn changed(&mut self) {
        let _ = self.holds.wait_for(|holds| !holds).await; // an error means the same
    }
}

impl ReadingCaller {
    async fn until_refused(mut self, mut policies: PolicyChanges) {
        let (mut asked, mut unknown_since) = (Instant::now(), None);
        loop {
            let Some(policy) = policies.borrow().clone() else { return };
            let period = match unknown_since {
                Some(_) => Some(MIN_PERIOD),
                None => policy.callers.ask_again_after(&self.caller.name).map(|kept| kept.max(MIN_PERIOD).saturating_add(SLACK)),
            };
            let next = period.and_then(|period| asked.checked_add(period));
            let is_changed = tokio::select! {
                changed = policies.changed() => if changed.is_err() { return } else { true },
                () = sleep_until(next.unwrap_or(asked)), if next.is_some() => false,
            };
            let Some(policy) = policies.borrow_and_update().clone() else { return };
            // A session goes on until it is asked about again. If all were asked about now, they would be too many.
            if is_changed && policy.callers.ask_again_after(&self.caller.name).is_some() {
                if self.may_read(&policy, &self.caller) { continue } else { return }
            }
            let (keyring, now) = (&self.keyring, self.clock.now());
            asked = Instant::now();
            match self.headers.identify_at((keyring, now), &self.trace, &policy, self.room.as_deref()).await {
                Ok(caller) if self.may_read(&policy, &caller) => (self.caller, unknown_since) = (caller, None),
                Err(Refusal::Caller(Refused::Unknown { .. })) if self.may_read(&policy, &self.caller) => {
                    if unknown_since.get_or_insert(asked).elapsed() >= UNKNOWN_GRACE {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// Whether `caller` is still the same, with the same right or a wider one.
    fn may_read(&self, policy: &ActivePolicy, caller: &Caller) -> bool {
        let is_same = caller.name == self.caller.name && caller.subject == self.caller.subject;
        is_same
            && match policy.rules.events(caller, self.room.as_deref()) {
                EventsRight::All => true,
                EventsRight::Room => !self.reads_all,
                EventsRight::None => false,
            }
    }
}
