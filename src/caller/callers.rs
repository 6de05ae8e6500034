//! The callers of a policy, and which of them a request is. Does not know what a caller may have.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName};
use memchr::memchr;

use crate::caller::Caller;
use crate::caller::answers::Answer;
use crate::caller::api_token::{ApiTokens, TokenHash, token_hash};
use crate::caller::application::Question;
use crate::caller::credentials::{Bearer, Credentials, cookies_named};
use crate::caller::forward::ForwardCaller;
use crate::caller::jwt::{JwtError, UnverifiedJwt};
use crate::caller::jwt_caller::{JwtCaller, TokenKeys};
use crate::caller::keys::IssuerKeys;
use crate::caller::proxy::ProxyCaller;
use crate::caller::refused::{CredentialError, Refused};
use crate::caller::settings::ANONYMOUS;
use crate::clock::UnixTime;
use crate::jws;
use crate::livekit::key::{ApiKey, ApiKeys};

/// After how long a request is worth repeating: when the issuer's keys are not there, and when the application does not answer.
const KEYS_RETRY_AFTER: Duration = Duration::from_secs(5);
const APPLICATION_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The callers of a policy. Each kind keeps the order of the policy file.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    pub(super) api_tokens: ApiTokens,
    pub(super) jwt: Vec<JwtCaller>,
    pub(super) forward: Vec<Arc<ForwardCaller>>,
    pub(super) proxy: Vec<ProxyCaller>,
}

/// Where the way of a request's credentials leads, as far as is known without waiting.
enum Way<'a> {
    Identified(Arc<Caller>),
    Jwt(&'a JwtCaller, UnverifiedJwt<'a>, TokenHash),
    /// The applications to ask, one after the other, until one knows the caller.
    Applications {
        questions: Vec<(&'a Arc<ForwardCaller>, Question)>,
        has_bearer: bool,
    },
}

impl Callers {
    /// Which caller a request with `credentials` is; `None` if that takes [waiting](Self::identify).
    pub(crate) fn identify_now(&self, credentials: &Credentials<'_>, now: UnixTime) -> Result<Option<Arc<Caller>>, Refused> {
        match self.way(credentials, now)? {
            Way::Identified(caller) => Ok(Some(caller)),
            Way::Jwt(caller, jwt, hash) => match caller.verify(jwt, hash, now) {
                Err(error) if caller.may_wait(&error) => Ok(None),
                verified => verified.map(Some).map_err(|error| refused(caller, error)),
            },
            Way::Applications { .. } => Ok(None),
        }
    }

    /// Which caller a request with `credentials` is. Asks the application, or waits for the issuer's keys, if that is needed.
    pub(crate) async fn identify(&self, credentials: &Credentials<'_>, now: UnixTime) -> Result<Arc<Caller>, Refused> {
        match self.way(credentials, now)? {
            Way::Identified(caller) => Ok(caller),
            Way::Jwt(caller, jwt, hash) => {
                caller.wait_for_key(&jwt, now).await;
                caller.verify(jwt, hash, now).map_err(|error| refused(caller, error))
            }
            Way::Applications { questions, has_bearer } => ask(questions, has_bearer, credentials.passed_on, now).await,
        }
    }

    /// Whether the room has to be known before [`identify`](Self::identify), because the application is asked about it. Never true
    /// without a credential.
    pub(crate) fn need_room(&self, credentials: &Credentials<'_>, now: UnixTime) -> bool {
        self.way(credentials, now).is_ok_and(|way| match way {
            Way::Applications { questions, .. } => questions.iter().any(|(caller, _)| caller.application.forward.ask_room),
            Way::Identified(_) | Way::Jwt(..) => false,
        })
    }

    /// Whether `headers` have one in which an authenticating proxy names a caller.
    pub(crate) fn are_named_in(&self, headers: &HeaderMap) -> bool {
        self.proxy.iter().any(|caller| caller.proxy.headers.iter().any(|(_, header)| headers.contains_key(header)))
    }

    /// Whether an authenticating proxy names a caller in the header `name`.
    pub(crate) fn are_named_by(&self, name: &HeaderName) -> bool {
        self.proxy.iter().any(|caller| caller.proxy.headers.iter().any(|(_, header)| header == name))
    }

    /// How often it has to be asked again who `caller` is, because its session may end at any time.
    pub(crate) fn ask_again_after(&self, caller: &str) -> Option<Duration> {
        let caller = self.forward.iter().find(|each| **each.name() == *caller)?;
        Some(caller.application.forward.cache)
    }

    /// Whether an application's own session can be a credential, with its cookies.
    pub(crate) fn use_sessions(&self) -> bool {
        !self.forward.is_empty()
    }

    /// Whether a request with these headers has a cookie that is a credential, so that it matters which page sent it.
    pub(crate) fn have_cookie_in(&self, headers: &HeaderMap) -> bool {
        self.forward.iter().any(|caller| cookies_named(headers, &caller.application.forward.cookies).next().is_some())
    }

    /// Whether `caller` is identified by an issuer's keys, and they are not there at `now`.
    pub(crate) fn lack_keys_of(&self, caller: &str, now: UnixTime) -> bool {
        self.issuer_keys().any(|(name, keys)| name == caller && keys.current(now).is_none())
    }

    /// A caller whose secret is that of one of LiveKit's `keys`, so that LiveKit's tokens would be its credentials. To be checked when
    /// either changes, so that no request has to.
    pub(crate) fn with_secret_of(&self, keys: &ApiKeys) -> Option<&str> {
        let is_livekits = |caller: &&JwtCaller| match &caller.keys {
            TokenKeys::Secret(secret) => all(keys).any(|key| key.key() == secret),
            TokenKeys::Fixed(_) | TokenKeys::Fetched(..) => false,
        };
        self.jwt.iter().find(is_livekits).map(|caller| &*caller.expectations.name)
    }

    /// A caller that `key` would prove: its secret signs the caller's JWTs, or is its API token, whose `hash` is given.
    pub(crate) fn proven_by(&self, key: &ApiKey, hash: TokenHash) -> Option<&str> {
        let signs = |caller: &&JwtCaller| matches!(&caller.keys, TokenKeys::Secret(secret) if secret == key.key());
        let of_jwt = self.jwt.iter().find(signs).map(|caller| &*caller.expectations.name);
        of_jwt.or_else(|| self.api_tokens.find(hash).map(|caller| &*caller.name))
    }

    /// How old the keys of each issuer are at `now`, by the caller's name.
    pub(crate) fn key_ages(&self, now: UnixTime) -> impl Iterator<Item = (&str, Duration)> {
        self.issuer_keys().filter_map(move |(name, keys)| Some((name, keys.age(now)?)))
    }

    pub(super) fn issuer_keys(&self) -> impl Iterator<Item = (&str, &Arc<IssuerKeys>)> {
        self.jwt.iter().filter_map(|caller| match &caller.keys {
            TokenKeys::Fetched(keys, _) => Some((&*caller.expectations.name, keys)),
            TokenKeys::Secret(_) | TokenKeys::Fixed(_) => None,
        })
    }

    fn way<'a>(&'a self, credentials: &Credentials<'a>, now: UnixTime) -> Result<Way<'a>, CredentialError> {
        let bearer = credentials.bearer()?;
        if let Some(bearer) = bearer {
            let hash = token_hash(bearer.bytes());
            let api_token = self.api_tokens.find(hash);
            // No caller has a LiveKit secret (see `with_secret_of`), so that a LiveKit token is no caller's JWT.
            if api_token.is_none()
                && let Some(way) = self.way_of_jwt(bearer, hash, now)
            {
                return Ok(way);
            }
            if is_livekits(bearer, credentials.livekit_keys) {
                return Err(CredentialError::LiveKit);
            }
            if let Some(caller) = api_token {
                return Ok(Way::Identified(Arc::clone(caller)));
            }
        }
        let question = |caller: &'a Arc<ForwardCaller>| Some((caller, caller.application.question(credentials, bearer)?));
        let questions: Vec<_> = self.forward.iter().filter_map(question).collect();
        if !questions.is_empty() {
            return Ok(Way::Applications { questions, has_bearer: bearer.is_some() });
        }
        if bearer.is_some() {
            return Err(CredentialError::UnknownBearer);
        }
        let proxies = self.proxy.iter().filter(|_| credentials.is_from_trusted_proxy);
        let proven = proxies.map(|caller| caller.identify(credentials)).find_map(Result::transpose).transpose()?;
        Ok(Way::Identified(proven.map_or_else(anonymous, Arc::new)))
    }

    /// `None` if `bearer` is not a JWT of a caller's issuer.
    fn way_of_jwt<'a>(&'a self, bearer: Bearer<'a>, hash: TokenHash, now: UnixTime) -> Option<Way<'a>> {
        if let Some(caller) = self.jwt.iter().find_map(|caller| caller.known(&hash, now)) {
            return Some(Way::Identified(caller));
        }
        let jwt = UnverifiedJwt::parse(bearer.text())?;
        let same_issuer = || self.jwt.iter().filter(|caller| jwt.is_from(&caller.issued.issuer));
        let is_expected = |caller: &&JwtCaller| jwt.claims.as_ref().is_some_and(|claims| caller.expects(claims));
        // If no caller expects it, the first one says why.
        let caller = same_issuer().find(is_expected).or_else(|| same_issuer().next())?;
        Some(Way::Jwt(caller, jwt, hash))
    }
}

fn refused(caller: &JwtCaller, error: JwtError) -> Refused {
    match error {
        JwtError::NotReady => Refused::unknown(&caller.expectations.name, KEYS_RETRY_AFTER),
        error => Refused::Unauthorized(error.into()),
    }
}

/// Asks the applications, one after the other, until one knows the caller.
async fn ask(
    questions: Vec<(&Arc<ForwardCaller>, Question)>,
    has_bearer: bool,
    passed_on: &(dyn Fn() -> HeaderMap + Sync),
    now: UnixTime,
) -> Result<Arc<Caller>, Refused> {
    for (caller, question) in questions {
        let answer = caller.ask(question, passed_on, now).await;
        match answer.map_err(|_| Refused::unknown(caller.name(), APPLICATION_RETRY_AFTER))? {
            Answer::Forbidden => return Err(Refused::Forbidden { caller: Arc::clone(caller.name()) }),
            Answer::NotSignedIn => {}
            Answer::SignedIn(claims) => {
                return Ok(Arc::new(caller.application.signed_in(&claims).map_err(CredentialError::from)?));
            }
        }
    }
    if has_bearer { Err(CredentialError::NotSignedIn.into()) } else { Ok(anonymous()) }
}

fn anonymous() -> Arc<Caller> {
    Arc::new(Caller::without_claims(ANONYMOUS.into()))
}

/// Whether `bearer` names a LiveKit key as its issuer, or a LiveKit secret signed it, whatever its header says.
fn is_livekits(bearer: Bearer<'_>, keys: &ApiKeys) -> bool {
    if memchr(b'.', bearer.bytes()).is_none() {
        return false; // most opaque tokens have no dot
    }
    let token = bearer.text();
    let Some((signing_input, signature)) = token.rsplit_once('.') else { return false };
    let is_signed = |signature: Vec<u8>| all(keys).any(|key| key.key().verifies(signing_input.as_bytes(), &signature));
    jws::decode(signature.trim_end_matches('=')).is_ok_and(is_signed)
        || UnverifiedJwt::parse(token).is_some_and(|jwt| keys.names().any(|name| jwt.is_from(name)))
}

fn all(keys: &ApiKeys) -> impl Iterator<Item = &ApiKey> {
    keys.names().filter_map(|name| keys.find(name))
}
