//! Asks the application who is calling, with the credentials of its own session. Does not know what other callers there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use form_urlencoded::byte_serialize;
use hyper::header::{ACCEPT, AUTHORIZATION, COOKIE, HeaderMap, HeaderValue};
use hyper::http::request::Builder;
use hyper::{Method, Response, StatusCode};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::caller::Caller;
use crate::caller::answers::{Answer, KeptAnswers, QuestionHasher, QuestionKey};
use crate::caller::credentials::{Bearer, Credentials};
use crate::caller::expectations::{ClaimsError, Expectations};
use crate::caller::observer::{ForwardOutcome, Observer};
use crate::caller::pace::Pace;
use crate::caller::settings::Forward;
use crate::client::{self, ExchangeError, ExchangeLimits, Target};
use crate::clock::UnixTime;
use crate::json::{self, Unambiguous};

/// Time to connect to the application.
const CONNECT: Duration = Duration::from_secs(1);
/// Bytes of its answer.
const ANSWER_BYTES: usize = 64 * 1024;
/// How long an answer is kept that does not sign in: long enough for a page that asks several times.
const REFUSAL_KEPT: Duration = Duration::from_secs(1);
/// Requests to the application at once.
const IN_FLIGHT: usize = 64;
/// After so many failures in a row the application gets only one request each interval, until one succeeds.
const FAILURES: u32 = 5;
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// A `forward` caller.
#[derive(Debug)]
pub(crate) struct ForwardCaller {
    pub(crate) expectations: Expectations,
    pub(crate) forward: Forward,
    pub(crate) target: Target,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) hasher: QuestionHasher,
    pub(crate) state: Mutex<ForwardState>,
}

#[derive(Debug, Default)]
pub(crate) struct ForwardState {
    kept: KeptAnswers,
    /// The questions in flight. Whoever asks the same waits for the same answer.
    asked: HashMap<QuestionKey, watch::Receiver<Option<Answered>>>,
    failures: u32,
    probe: Pace,
}

/// The application's answer to everyone who waits for it; `None` if it says nothing.
type Answered = Option<Answer>;

/// What a request brings for the application.
pub(crate) struct Question {
    authorization: Option<HeaderValue>,
    cookies: Option<HeaderValue>,
    room: Option<String>,
}

/// The application cannot say now whether the caller is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoAnswer;

impl ForwardCaller {
    /// What `credentials` ask of the application; `None` if there is no session of its own in them. A bearer token that the
    /// application does not take is none, whatever the cookies are.
    pub(crate) fn question(&self, credentials: &Credentials<'_>, bearer: Option<Bearer<'_>>) -> Option<Question> {
        if bearer.is_some() && !self.forward.authorization {
            return None;
        }
        let (authorization, cookies) = (bearer.map(|bearer| bearer.header.clone()), credentials.cookies(&self.forward.cookies));
        let room = credentials.room.filter(|_| self.forward.ask_room).map(str::to_owned);
        (authorization.is_some() || cookies.is_some()).then_some(Question { authorization, cookies, room })
    }

    /// What the application says to `question`. Only one request with the same credentials is in flight.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        question: Question,
        passed_on: &(dyn Fn() -> HeaderMap + Sync),
        now: UnixTime,
    ) -> Result<Answer, NoAnswer> {
        let mut answered = match self.begin(question, passed_on, now)? {
            Begun::Kept(answer) => return Ok(answer),
            Begun::Asked(answered) => answered,
        };
        let answer = answered.wait_for(Option::is_some).await.map_err(|_| NoAnswer)?;
        answer.clone().flatten().ok_or(NoAnswer)
    }

    fn begin(
        self: &Arc<Self>,
        question: Question,
        passed_on: &(dyn Fn() -> HeaderMap + Sync),
        now: UnixTime,
    ) -> Result<Begun, NoAnswer> {
        let parts = [
            question.authorization.as_ref().map(HeaderValue::as_bytes),
            question.cookies.as_ref().map(HeaderValue::as_bytes),
            question.room.as_deref().map(str::as_bytes),
        ];
        let key = self.hasher.key(parts);
        let mut state = self.lock();
        if let Some(answer) = state.kept.find(&key, now) {
            self.observer.answer_reused(self.name());
            return Ok(Begun::Kept(answer.clone()));
        }
        if let Some(answered) = state.asked.get(&key) {
            return Ok(Begun::Asked(answered.clone()));
        }
        let not_asked = |outcome| {
            self.observer.application_asked(self.name(), outcome, None);
            NoAnswer
        };
        if state.failures >= FAILURES && !state.probe.allows(now, PROBE_INTERVAL) {
            return Err(not_asked(ForwardOutcome::Suspended));
        }
        if state.asked.len() >= IN_FLIGHT {
            return Err(not_asked(ForwardOutcome::Busy));
        }
        let (sender, answered) = watch::channel(None);
        state.asked.insert(key, answered.clone());
        drop(state);
        let request = self.request(question, passed_on());
        let asking = Asking { caller: Arc::clone(self), key };
        // On its own, because whoever asked first may hang up while others wait for the same answer.
        tokio::spawn(async move { sender.send_replace(Some(asking.ask(request, now).await)) });
        Ok(Begun::Asked(answered))
    }

    fn request(&self, question: Question, passed_on: HeaderMap) -> Builder {
        let mut path = self.target.path().to_owned();
        if let Some(room) = &question.room {
            path.push_str(if self.target.has_query() { "&room=" } else { "?room=" });
            path.push_str(&byte_serialize(room.as_bytes()).collect::<String>().replace('+', "%20"));
        }
        let mut request = self.target.request(Method::GET, &path).header(ACCEPT, "application/json");
        let credentials = [(AUTHORIZATION, question.authorization), (COOKIE, question.cookies)];
        let passed_on = passed_on.into_iter().filter_map(|(name, value)| Some((name?, Some(value))));
        for (name, value) in credentials.into_iter().chain(passed_on) {
            request = value.into_iter().fold(request, |request, value| request.header(name.clone(), value));
        }
        request
    }

    /// Reads an answer of the application.
    fn read(&self, response: Response<Bytes>) -> Result<(Answer, Duration), ForwardError> {
        let (head, body) = response.into_parts();
        let status = head.status;
        let answer = match status {
            StatusCode::OK => match self.caller(&body)? {
                Err(ClaimsError::NoSubject) => Answer::NotSignedIn,
                _ => {
                    let fresh = client::freshness(&head.headers).unwrap_or(Duration::MAX);
                    return Ok((Answer::SignedIn(body.as_ref().into()), self.forward.cache.min(fresh)));
                }
            },
            StatusCode::NO_CONTENT | StatusCode::UNAUTHORIZED => Answer::NotSignedIn,
            StatusCode::FORBIDDEN => Answer::Forbidden,
            status if status.is_redirection() => Answer::NotSignedIn, // to a login page
            status => return Err(ForwardError::Status(status)),
        };
        Ok((answer, REFUSAL_KEPT))
    }

    /// The caller that `json` describes. Something else, such as `null`, says that nobody is signed in.
    fn caller(&self, json: &[u8]) -> Result<Result<Caller, ClaimsError>, ForwardError> {
        json::from_utf8::<Unambiguous>(json).or(Err(ForwardError::NotJson))?;
        let claims = json::from_utf8::<Map<String, Value>>(json).or(Err(ClaimsError::NoSubject));
        Ok(claims.and_then(|claims| self.expectations.caller(claims, None)))
    }

    /// The caller that the application has signed in, by its answer.
    pub(crate) fn signed_in(&self, answer: &[u8]) -> Result<Caller, ClaimsError> {
        self.caller(answer).unwrap_or(Err(ClaimsError::NoSubject))
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.expectations.name
    }

    fn lock(&self) -> MutexGuard<'_, ForwardState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a question begins.
enum Begun {
    Kept(Answer),
    Asked(watch::Receiver<Option<Answered>>),
}

/// A question in flight. It is over when this is dropped.
struct Asking {
    caller: Arc<ForwardCaller>,
    key: QuestionKey,
}

impl Asking {
    async fn ask(self, request: Builder, now: UnixTime) -> Answered {
        let (caller, begin) = (&*self.caller, Instant::now());
        let limits = ExchangeLimits { connect: CONNECT, total: caller.forward.timeout, answer_bytes: ANSWER_BYTES };
        let response = caller.target.exchange(request, limits).await.map_err(ForwardError::from);
        let answer = response.and_then(|response| caller.read(response));
        caller.observer.application_asked(caller.name(), outcome(&answer), Some(begin.elapsed()));
        self.record(answer, now.saturating_add(begin.elapsed()))
    }

    fn record(&self, answer: Result<(Answer, Duration), ForwardError>, now: UnixTime) -> Answered {
        let (name, mut state) = (&**self.caller.name(), self.caller.lock());
        let was_suspended = state.failures >= FAILURES;
        match answer {
            Ok((answer, lifetime)) => {
                state.failures = 0;
                state.kept.keep(self.key, answer.clone(), now, lifetime);
                if was_suspended {
                    info!(caller = name, "the application answers again");
                }
                Some(answer)
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
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
        self.caller.lock().asked.remove(&self.key);
    }
}

fn outcome(answer: &Result<(Answer, Duration), ForwardError>) -> ForwardOutcome {
    match answer {
        Ok((Answer::SignedIn(_), _)) => ForwardOutcome::SignedIn,
        Ok((Answer::NotSignedIn, _)) => ForwardOutcome::NotSignedIn,
        Ok((Answer::Forbidden, _)) => ForwardOutcome::Forbidden,
        Err(_) => ForwardOutcome::Failed,
    }
}

/// Why the application says nothing about a caller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum ForwardError {
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("the answer is {0}, which says nothing about the caller")]
    Status(StatusCode),
    #[error("the answer is not JSON with unique names")]
    NotJson,
}
