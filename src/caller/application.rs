//! The application whose sessions are credentials: what it is asked, and what its answers mean. Does not know how often it is asked.

use std::time::Duration;

use bytes::Bytes;
use form_urlencoded::byte_serialize;
use hyper::header::{ACCEPT, AUTHORIZATION, COOKIE, HeaderMap, HeaderValue};
use hyper::http::request::Builder;
use hyper::{Method, Response, StatusCode};
use serde_json::Value;

use crate::caller::Caller;
use crate::caller::answers::Answer;
use crate::caller::credentials::{Bearer, Credentials};
use crate::caller::expectations::{ClaimsError, Expectations};
use crate::caller::settings::Forward;
use crate::client::{self, ExchangeError, ExchangeLimits, Target};
use crate::json;

/// Time to connect to the application.
const CONNECT: Duration = Duration::from_secs(1);
/// Bytes of its answer.
const ANSWER_BYTES: usize = 64 * 1024;
/// How long an answer is kept that does not sign in: long enough for a page that asks several times.
const REFUSAL_KEPT: Duration = Duration::from_secs(1);

/// The application of a `forward` caller.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) expectations: Expectations,
    pub(crate) forward: Forward,
    pub(crate) target: Target,
}

/// What a request brings for the application.
pub(crate) struct Question {
    authorization: Option<HeaderValue>,
    cookies: Option<HeaderValue>,
    room: Option<String>,
}

impl Question {
    /// All that makes it another question.
    pub(crate) fn parts(&self) -> [Option<&[u8]>; 3] {
        let [authorization, cookies] = self.credentials();
        [authorization, cookies, self.room.as_deref().map(str::as_bytes)]
    }

    pub(crate) fn credentials(&self) -> [Option<&[u8]>; 2] {
        [&self.authorization, &self.cookies].map(|value| value.as_ref().map(HeaderValue::as_bytes))
    }
}

impl Application {
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

    /// Sends `request`, and returns the answer and how long it may be kept.
    pub(crate) async fn ask(&self, request: Builder) -> Result<(Answer, Duration), ApplicationError> {
        let limits = ExchangeLimits { connect: CONNECT, total: self.forward.timeout, answer_bytes: ANSWER_BYTES };
        self.read(self.target.exchange(request, limits).await?)
    }

    /// The request that asks `question`, with the headers that tell the application about the client's request.
    pub(crate) fn request(&self, question: &Question, passed_on: HeaderMap) -> Builder {
        let mut path = self.target.path().to_owned();
        if let Some(room) = &question.room {
            path.push_str(if self.target.has_query() { "&room=" } else { "?room=" });
            path.push_str(&byte_serialize(room.as_bytes()).collect::<String>().replace('+', "%20"));
        }
        let mut request = self.target.request(Method::GET, &path).header(ACCEPT, "application/json");
        let credentials = [(AUTHORIZATION, question.authorization.clone()), (COOKIE, question.cookies.clone())];
        let passed_on = passed_on.into_iter().filter_map(|(name, value)| Some((name?, Some(value))));
        for (name, value) in credentials.into_iter().chain(passed_on) {
            request = value.into_iter().fold(request, |request, value| request.header(name.clone(), value));
        }
        request
    }

    /// Reads an answer of the application.
    fn read(&self, response: Response<Bytes>) -> Result<(Answer, Duration), ApplicationError> {
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
            status => return Err(ApplicationError::Status(status)),
        };
        Ok((answer, REFUSAL_KEPT))
    }

    /// The caller that `json` describes. Something else, such as `null`, says that nobody is signed in.
    fn caller(&self, json: &[u8]) -> Result<Result<Caller, ClaimsError>, ApplicationError> {
        match json::unique(json).or(Err(ApplicationError::NotJson))? {
            Value::Object(claims) => Ok(self.expectations.caller(claims, None)),
            _ => Ok(Err(ClaimsError::NoSubject)),
        }
    }

    /// The caller that the application has signed in, by its answer.
    pub(crate) fn signed_in(&self, answer: &[u8]) -> Result<Caller, ClaimsError> {
        self.caller(answer).unwrap_or(Err(ClaimsError::NoSubject))
    }
}

/// Why the application says nothing about a caller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ApplicationError {
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("the answer is {0}, which says nothing about the caller")]
    Status(StatusCode),
    #[error("the answer is not JSON with unique names")]
    NotJson,
}

impl ApplicationError {
    /// Whether the application is at fault. If a bad request were too, anyone could suspend it for all others.
    pub(crate) fn is_the_applications(&self) -> bool {
        match self {
            Self::Exchange(ExchangeError::Request(_)) => false,
            Self::Status(status) => !status.is_client_error(),
            Self::Exchange(_) | Self::NotJson => true,
        }
    }
}
