//! Sets up callers, and asks who a request is. Does not know what a test expects.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use zeroize::Zeroizing;

use super::signing::ISSUER;
use super::{NOW, fixture};
use crate::caller::Caller;
use crate::caller::callers::Callers;
use crate::caller::claim_path::ClaimPath;
use crate::caller::credentials::Credentials;
use crate::caller::matchers::Matchers;
use crate::caller::observer::{ForwardOutcome, KeyFetchOutcome, Observer};
use crate::caller::refused::Refused;
use crate::caller::settings::{
    Algorithm, ApiToken, CallerSettings, Forward, Issued, Jwt, JwtKey, Oidc, Proof, Proxy, Reach, SecretSource,
};
use crate::caller::setup::{SetupError, Surroundings};
use crate::clock::{Clock, UnixTime};
use crate::livekit::key::{ApiKey, ApiKeys};
use crate::worker::Workers;

/// A secret of a `jwt` caller, and LiveKit's.
pub(super) const SECRET: &str = "a-secret-of-a-session-0123456789abcdef";
pub(super) const LIVEKIT_SECRET: &str = "the-secret-of-livekit-0123456789abcdef";

pub(super) fn path(claim: &str) -> ClaimPath {
    claim.split('.').map(str::to_owned).collect::<Vec<_>>().into()
}

pub(super) fn caller(name: &str, proof: Proof) -> CallerSettings {
    CallerSettings { name: name.to_owned(), proof, subject: path("sub"), require: Matchers::default() }
}

pub(super) fn issued(issuer: &str, audience: &str) -> Issued {
    Issued { issuer: issuer.to_owned(), audience: vec![audience.to_owned()], audience_claim: path("aud") }
}

pub(super) fn reach() -> Reach {
    Reach { ca_file: None, plaintext: false }
}

/// An `oidc` caller whose keys are at `jwks_url`.
pub(super) fn oidc(name: &str, issuer: &str, jwks_url: &str) -> CallerSettings {
    let algorithms = vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];
    let jwks_url = Some(jwks_url.parse().unwrap());
    caller(name, Proof::Oidc(Oidc { issued: issued(issuer, "app"), jwks_url, algorithms, reach: reach() }))
}

pub(super) fn secret_jwt(name: &str, issuer: &str) -> CallerSettings {
    let key = JwtKey::Secret(SecretSource::Env("SECRET".into()));
    caller(name, Proof::Jwt(Jwt { issued: issued(issuer, "app"), key }))
}

/// A `jwt` caller with the key in this file of `fixtures/callers`.
pub(super) fn file_jwt(name: &str, file: &str) -> CallerSettings {
    let key = JwtKey::PublicKeyFile(file.into());
    caller(name, Proof::Jwt(Jwt { issued: issued(ISSUER, "app"), key }))
}

pub(super) fn api_token(name: &str, variable: &str) -> CallerSettings {
    caller(name, Proof::ApiToken(ApiToken::Secret(SecretSource::Env(variable.into()))))
}

pub(super) fn application(url: &str) -> Forward {
    Forward {
        url: url.parse().unwrap(),
        cookies: vec!["sid".into(), "remember".into()],
        authorization: false,
        timeout: Duration::from_secs(2),
        cache: Duration::from_secs(10),
        ask_room: false,
        reach: reach(),
    }
}

pub(super) fn proxy(name: &str, headers: &[(&str, &'static str)]) -> CallerSettings {
    let headers = headers.iter().map(|(claim, header)| ((*claim).to_owned(), HeaderName::from_static(header)));
    caller(name, Proof::Proxy(Proxy { headers: headers.collect() }))
}

/// Reads variables that the tests know, and files of `fixtures/callers`.
pub(super) fn read(source: &SecretSource) -> io::Result<Zeroizing<Vec<u8>>> {
    let bytes = match source {
        SecretSource::Env(name) if name == "SECRET" => SECRET.into(),
        SecretSource::Env(name) if name == "LIVEKIT_SECRET" => LIVEKIT_SECRET.into(),
        SecretSource::Env(name) if name == "API_TOKEN" => "opaque-token-of-the-backend".into(),
        SecretSource::Env(name) if name == "SHORT" => "short".into(),
        SecretSource::Env(name) if name == "EMPTY" => Vec::new(),
        SecretSource::Env(_) => return Err(io::Error::other("it is not set")),
        SecretSource::File(path) => fixture(PathBuf::from("callers").join(path).to_str().unwrap()),
    };
    Ok(Zeroizing::new(bytes))
}

/// What the callers reported.
#[derive(Debug, Default)]
pub(super) struct Reports {
    pub(super) fetches: Mutex<Vec<KeyFetchOutcome>>,
    pub(super) questions: Mutex<Vec<ForwardOutcome>>,
    pub(super) reused: Mutex<usize>,
}

impl Observer for Reports {
    fn keys_fetched(&self, _: &str, outcome: KeyFetchOutcome) {
        self.fetches.lock().unwrap().push(outcome);
    }

    fn application_asked(&self, _: &str, outcome: ForwardOutcome, _: Option<Duration>) {
        self.questions.lock().unwrap().push(outcome);
    }

    fn answer_reused(&self, _: &str) {
        *self.reused.lock().unwrap() += 1;
    }
}

pub(super) fn at(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds)
}

/// Callers, and what they reported.
pub(super) struct Subject {
    pub(super) callers: Callers,
    pub(super) reports: Arc<Reports>,
}

/// Sets up the callers. Their clock stands at [`NOW`].
pub(super) fn set_up(settings: Vec<CallerSettings>, previous: Option<&Callers>) -> Result<Subject, SetupError> {
    let reports = Arc::new(Reports::default());
    let surroundings = Surroundings {
        read: &read,
        clock: Clock::from_fn(|| at(NOW)),
        observer: Arc::clone(&reports) as _,
        workers: &Workers::default(),
        previous,
    };
    Ok(Subject { callers: Callers::new(settings, &surroundings)?, reports })
}

pub(super) fn callers(settings: Vec<CallerSettings>) -> Subject {
    set_up(settings, None).unwrap()
}

/// A request, as far as callers see it.
#[derive(Clone, Debug)]
pub(super) struct Asks {
    headers: HeaderMap,
    may_use_cookies: bool,
    is_from_trusted_proxy: bool,
    room: Option<String>,
    pub(super) at: UnixTime,
}

impl Asks {
    pub(super) fn new() -> Self {
        Self { headers: HeaderMap::new(), may_use_cookies: true, is_from_trusted_proxy: false, room: None, at: at(NOW) }
    }

    pub(super) fn bearer(token: &str) -> Self {
        Self::new().header("authorization", &format!("Bearer {token}"))
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub(super) fn without_cookies(mut self) -> Self {
        self.may_use_cookies = false;
        self
    }

    pub(super) fn behind_trusted_proxy(mut self) -> Self {
        self.is_from_trusted_proxy = true;
        self
    }

    pub(super) fn room(mut self, room: &str) -> Self {
        self.room = Some(room.to_owned());
        self
    }

    pub(super) fn at(mut self, seconds: u64) -> Self {
        self.at = at(seconds);
        self
    }

    pub(super) async fn with<T>(&self, then: impl AsyncFnOnce(&Credentials<'_>) -> T) -> T {
        let livekit_keys = ApiKeys::single(ApiKey::new("APIlivekit", LIVEKIT_SECRET).unwrap());
        let passed_on = || {
            let id = (HeaderName::from_static("x-request-id"), HeaderValue::from_static("r1"));
            let client = (HeaderName::from_static("x-forwarded-for"), HeaderValue::from_static("192.0.2.7"));
            [id, client].into_iter().collect()
        };
        let Self { headers, may_use_cookies, is_from_trusted_proxy, room, .. } = self;
        then(&Credentials {
            headers,
            may_use_cookies: *may_use_cookies,
            is_from_trusted_proxy: *is_from_trusted_proxy,
            room: room.as_deref(),
            livekit_keys: &livekit_keys,
            passed_on: &passed_on,
        })
        .await
    }

    pub(super) async fn of(&self, callers: &Callers) -> Result<Arc<Caller>, Refused> {
        self.with(async |credentials| {
            let caller = callers.identify(credentials, self.at).await;
            if let Some(known) = callers.identify_now(credentials, self.at).transpose() {
                assert_eq!(format!("{known:?}"), format!("{caller:?}"), "what is known at once is the same");
            }
            caller
        })
        .await
    }

    pub(super) async fn needs_room(&self, callers: &Callers) -> bool {
        self.with(async |credentials| callers.need_room(credentials, self.at)).await
    }
}

/// The name and the subject of a caller, to compare.
pub(super) fn who(caller: &Result<Arc<Caller>, Refused>) -> (String, Option<String>) {
    let caller = caller.as_ref().unwrap();
    (caller.name.to_string(), caller.subject.clone())
}

/// The name and the subject that a test expects.
pub(super) fn named(name: &str, subject: &str) -> (String, Option<String>) {
    (name.to_owned(), Some(subject.to_owned()))
}

/// A JWK set of these keys.
pub(super) fn jwks(keys: &[Value]) -> String {
    serde_json::json!({ "keys": keys }).to_string()
}
