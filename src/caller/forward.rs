//! Asks the application who is calling, no more often than needed: its answers are kept for a while, it is asked one question at a time
//! about the same credentials, and an application that fails is left alone. Does not know what is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hyper::header::HeaderMap;
use hyper::http::request::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::caller::answers::{Answer, KeptAnswers, QuestionHasher, QuestionKey};
use crate::caller::application::{Application, ApplicationError, Question};
use crate::caller::observer::{ForwardOutcome, Observer};
use crate::caller::pace::Pace;
use crate::clock::UnixTime;
use crate::worker::lock;

/// Requests to the application at once.
const IN_FLIGHT: usize = 64;
/// Questions with the same credentials that wait for their turn.
const WAITING: usize = 64;
/// After so many failures in a row the application gets only one request each interval, until one succeeds.
const FAILURES: u32 = 5;
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// A `forward` caller.
#[derive(Debug)]
pub(crate) struct ForwardCaller {
    pub(crate) application: Application,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) hasher: QuestionHasher,
    pub(crate) state: Mutex<ForwardState>,
}

#[derive(Debug, Default)]
pub(crate) struct ForwardState {
    kept: KeptAnswers,
    /// The questions in flight, by their credentials.
    asked: HashMap<QuestionKey, InFlight>,
    failures: u32,
    probe: Pace,
}

/// A question in flight. Whoever asks the same waits for the same answer.
#[derive(Clone, Debug)]
struct InFlight {
    question: QuestionKey,
    answered: watch::Receiver<Option<Answered>>,
    /// A permit for each other question that may wait for its turn.
    places: Arc<Semaphore>,
}

/// The keys of a question.
#[derive(Clone, Copy)]
struct QuestionKeys {
    question: QuestionKey,
    /// The same for all questions with the same credentials, which differ only in their rooms.
    credentials: QuestionKey,
}

impl QuestionKeys {
    fn of(question: &Question, ForwardCaller { application, hasher, .. }: &ForwardCaller) -> Self {
        let key = hasher.key(question.parts());
        let credentials = if application.forward.ask_room { hasher.key(question.credentials()) } else { key };
        Self { question: key, credentials }
    }
}

/// The application's answer to everyone who waits for it; `None` if it says nothing.
type Answered = Option<Answer>;

/// The application cannot say now whether the caller is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoAnswer;

impl ForwardCaller {
    /// What the application says to `question`. Only one request with the same credentials is in flight, so that one client cannot fill all
    /// places by asking about many rooms. A question about another room waits for its turn, up to `timeout`.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        question: Question,
        passed_on: &(dyn Fn() -> HeaderMap + Sync),
        now: UnixTime,
    ) -> Result<Answer, NoAnswer> {
        let keys = QuestionKeys::of(&question, self);
        let (begin, mut waited) = (Instant::now(), Duration::ZERO);
        loop {
            match self.begin(&question, keys, passed_on, now.saturating_add(waited))? {
                Begun::Kept(answer) => return Ok(answer),
                Begun::Asked(mut answered) => {
                    let answer = answered.wait_for(Option::is_some).await.map_err(|_| NoAnswer)?;
                    return answer.clone().flatten().ok_or(NoAnswer);
                }
                Begun::AfterAnother(mut other, _place) => {
                    let left = self.application.forward.timeout.saturating_sub(waited);
                    // That one may have no answer; this one is asked nevertheless.
                    drop(timeout(left, other.wait_for(Option::is_some)).await.map_err(|_| self.not_asked(ForwardOutcome::Busy))?);
                }
            }
            waited = begin.elapsed();
        }
    }

    fn begin(
        self: &Arc<Self>,
        question: &Question,
        keys: QuestionKeys,
        passed_on: &(dyn Fn() -> HeaderMap + Sync),
        now: UnixTime,
    ) -> Result<Begun, NoAnswer> {
        let mut state = self.lock();
        if let Some(answer) = state.kept.find(&keys.question, now) {
            self.observer.answer_reused(self.name());
            return Ok(Begun::Kept(answer.clone()));
        }
        let other = match state.asked.get(&keys.credentials) {
            Some(asked) if asked.question == keys.question => return Ok(Begun::Asked(asked.answered.clone())),
            other => other.cloned(),
        };
        if state.failures >= FAILURES && (other.is_some() || !state.probe.allows(now, PROBE_INTERVAL)) {
            return Err(self.not_asked(ForwardOutcome::Suspended));
        }
        if let Some(InFlight { answered, places, .. }) = other {
            let place = places.try_acquire_owned().map_err(|_| self.not_asked(ForwardOutcome::Busy))?;
            return Ok(Begun::AfterAnother(answered, place));
        }
        if state.asked.len() >= IN_FLIGHT {
            return Err(self.not_asked(ForwardOutcome::Busy));
        }
        let (sender, answered) = watch::channel(None);
        let places = Arc::new(Semaphore::new(WAITING));
        let asked = InFlight { question: keys.question, answered: answered.clone(), places };
        state.asked.insert(keys.credentials, asked);
        drop(state);
        let asking = Asking { caller: Arc::clone(self), keys };
        let request = self.application.request(question, passed_on());
        // On its own, because whoever asked first may hang up while others wait for the same answer.
        tokio::spawn(async move { sender.send_replace(Some(asking.ask(request, now).await)) });
        Ok(Begun::Asked(answered))
    }

    fn not_asked(&self, outcome: ForwardOutcome) -> NoAnswer {
        self.observer.application_asked(self.name(), outcome, None);
        NoAnswer
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.application.expectations.name
    }

    fn lock(&self) -> MutexGuard<'_, ForwardState> {
        lock(&self.state)
    }
}

/// How a question begins.
enum Begun {
    Kept(Answer),
    Asked(watch::Receiver<Option<Answered>>),
    /// Not asked yet: another question with the same credentials is in flight, whose answer comes here. The permit is this one's place.
    AfterAnother(watch::Receiver<Option<Answered>>, OwnedSemaphorePermit),
}

/// A question in flight. It is over when this is dropped.
struct Asking {
    caller: Arc<ForwardCaller>,
    keys: QuestionKeys,
}

impl Asking {
    async fn ask(self, request: Builder, now: UnixTime) -> Answered {
        let (caller, begin) = (&*self.caller, Instant::now());
        let answer = caller.application.ask(request).await;
        caller.observer.application_asked(caller.name(), outcome(&answer), Some(begin.elapsed()));
        self.record(answer, now.saturating_add(begin.elapsed()))
    }

    fn record(&self, answer: Result<(Answer, Duration), ApplicationError>, now: UnixTime) -> Answered {
        let (name, mut state) = (&**self.caller.name(), self.caller.lock());
        let was_suspended = state.failures >= FAILURES;
        match answer {
            Ok((answer, lifetime)) => {
                state.failures = 0;
                state.kept.keep(self.keys.question, answer.clone(), now, lifetime);
                if was_suspended {
                    info!(caller = name, "the application answers again");
                }
                Some(answer)
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(u32::from(error.is_the_applications()));
                debug!(caller = name, reason = %error, "the application does not say who is calling");
                if !was_suspended && state.failures >= FAILURES {
                    warn!(caller = name, reason = %error, "the application fails, so it is asked only once a second");
                }
                None
            }
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.caller.lock().asked.remove(&self.keys.credentials);
    }
}

fn outcome(answer: &Result<(Answer, Duration), ApplicationError>) -> ForwardOutcome {
    match answer {
        Ok((Answer::SignedIn(_), _)) => ForwardOutcome::SignedIn,
        Ok((Answer::NotSignedIn, _)) => ForwardOutcome::NotSignedIn,
        Ok((Answer::Forbidden, _)) => ForwardOutcome::Forbidden,
        Err(_) => ForwardOutcome::Failed,
    }
}
