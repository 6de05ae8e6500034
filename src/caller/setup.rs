//! Sets up the callers from their settings, and begins to fetch their issuers' keys. Does not read files or the environment itself.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::{fmt, io};

use zeroize::Zeroizing;

use crate::caller::answers::QuestionHasher;
use crate::caller::api_token::secret_hash;
use crate::caller::application::Application;
use crate::caller::callers::Callers;
use crate::caller::credentials::visible;
use crate::caller::expectations::Expectations;
use crate::caller::forward::{ForwardCaller, ForwardState};
use crate::caller::jwk::{KeySet, KeySetError};
use crate::caller::jwt_caller::{JwtCaller, TokenKeys};
use crate::caller::key_fetch::{KeyPlace, KeyPlaceError};
use crate::caller::keys::IssuerKeys;
use crate::caller::observer::Observer;
use crate::caller::proxy::ProxyCaller;
use crate::caller::sessions::Sessions;
use crate::caller::settings::{ApiToken, CallerSettings, Forward, JwtKey, Oidc, Proof, Reach, SecretSource};
use crate::client::{Target, TargetError, Trust, TrustError};
use crate::clock::Clock;
use crate::jws;
use crate::livekit::key::MIN_SECRET_BYTES;
use crate::worker::Workers;

/// What the callers get from the floors above.
pub(crate) struct Surroundings<'a> {
    /// Reads what the settings only name: a variable, or a file.
    pub(crate) read: &'a dyn Fn(&SecretSource) -> io::Result<Zeroizing<Vec<u8>>>,
    pub(crate) clock: Clock,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) workers: &'a Workers,
    /// The callers until now. The keys of issuers that stay the same are kept.
    pub(crate) previous: Option<&'a Callers>,
}

impl Callers {
    /// The callers with these `settings`. Call it within a runtime.
    pub(crate) fn new(settings: Vec<CallerSettings>, surroundings: &Surroundings<'_>) -> Result<Self, SetupError> {
        let mut callers = Self::default();
        let system = Trust::default();
        for each in settings {
            let name: Arc<str> = each.name.as_str().into();
            let added = callers.add(Arc::clone(&name), each, surroundings, &system);
            added.map_err(|problem| SetupError { caller: name, problem })?;
        }
        Ok(callers)
    }

    fn add(
        &mut self,
        name: Arc<str>,
        settings: CallerSettings,
        surroundings: &Surroundings<'_>,
        system: &Trust,
    ) -> Result<(), SetupProblem> {
        let CallerSettings { proof, subject, require, .. } = settings;
        let expectations = Expectations { name: Arc::clone(&name), subject, require };
        match proof {
            Proof::Oidc(oidc) => {
                let keys = surroundings.issuer_keys(name, &oidc, system)?;
                let keys = TokenKeys::Fetched(keys, oidc.algorithms);
                self.jwt.push(JwtCaller { expectations, issued: oidc.issued, keys, sessions: Sessions::default() });
            }
            Proof::Jwt(jwt) => {
                let keys = surroundings.token_keys(jwt.key)?;
                self.jwt.push(JwtCaller { expectations, issued: jwt.issued, keys, sessions: Sessions::default() });
            }
            Proof::ApiToken(ApiToken::Sha256(hashes)) => {
                hashes.into_iter().for_each(|hash| self.api_tokens.add(Arc::clone(&name), hash));
            }
            Proof::ApiToken(ApiToken::Secret(source)) => {
                let token = surroundings.read(&source)?;
                let token = visible(&token).ok_or(SetupProblem::UnusableToken)?;
                self.api_tokens.add(name, secret_hash(token));
            }
            Proof::Forward(forward) => {
                let target = surroundings.application(&forward, system)?;
                self.forward.push(Arc::new(ForwardCaller {
                    application: Application { expectations, forward, target },
                    observer: Arc::clone(&surroundings.observer),
                    hasher: QuestionHasher::new()?,
                    state: Mutex::new(ForwardState::default()),
                }));
            }
            Proof::Proxy(proxy) => self.proxy.push(ProxyCaller { expectations, proxy }),
        }
        Ok(())
    }
}

impl Surroundings<'_> {
    fn read(&self, source: &SecretSource) -> Result<Zeroizing<Vec<u8>>, SetupProblem> {
        (self.read)(source).map_err(|error| SetupProblem::Unreadable(source.clone(), error))
    }

    fn read_file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, SetupProblem> {
        self.read(&SecretSource::File(path.to_owned()))
    }

    fn token_keys(&self, key: JwtKey) -> Result<TokenKeys, SetupProblem> {
        match key {
            JwtKey::Secret(source) => {
                let secret = self.read(&source)?;
                let key = jws::Key::new(&secret).filter(|_| secret.len() >= MIN_SECRET_BYTES);
                key.map(TokenKeys::Secret).ok_or(SetupProblem::ShortSecret)
            }
            JwtKey::PublicKeyFile(path) => {
                let keys = KeySet::from_file(&self.read_file(&path)?);
                keys.map(TokenKeys::Fixed).map_err(|error| SetupProblem::Keys(path, error))
            }
        }
    }

    fn issuer_keys(&self, name: Arc<str>, oidc: &Oidc, system: &Trust) -> Result<Arc<IssuerKeys>, SetupProblem> {
        let place = KeyPlace::of(oidc)?;
        let (authorities, trust) = self.trust(&oidc.reach, system)?;
        let mut known = self.previous.into_iter().flat_map(Callers::issuer_keys);
        match known.find(|(_, keys)| keys.are_of(&name, &place, authorities.as_deref())) {
            Some((_, keys)) => Ok(Arc::clone(keys)),
            None => {
                let (clock, observer) = (self.clock.clone(), Arc::clone(&self.observer));
                Ok(IssuerKeys::start(name, place, (authorities, trust), clock, observer, self.workers))
            }
        }
    }

    fn application(&self, forward: &Forward, system: &Trust) -> Result<Target, SetupProblem> {
        if !forward.reach.allows(&forward.url) {
            return Err(SetupProblem::Plaintext);
        }
        let (_, trust) = self.trust(&forward.reach, system)?;
        Ok(Target::parse(forward.url.as_str())?.trusting(&trust))
    }

    /// The certificates in `ca_file`, if it is set, and the authorities to trust.
    fn trust(&self, reach: &Reach, system: &Trust) -> Result<(Option<Vec<u8>>, Trust), SetupProblem> {
        let Some(path) = &reach.ca_file else { return Ok((None, system.clone())) };
        let authorities = self.read_file(path)?.to_vec();
        let trust = Trust::only(&authorities).map_err(|error| SetupProblem::Authorities(path.clone(), error))?;
        Ok((Some(authorities), trust))
    }
}

/// Why a caller cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("callers.{caller}: {problem}")]
pub(crate) struct SetupError {
    pub(crate) caller: Arc<str>,
    #[source]
    pub(crate) problem: SetupProblem,
}

/// What is wrong with a caller's settings, beyond what the policy file alone shows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SetupProblem {
    #[error("cannot read {0}: {1}")]
    Unreadable(SecretSource, #[source] io::Error),
    #[error("the secret is shorter than {MIN_SECRET_BYTES} bytes: make one of random bytes")]
    ShortSecret,
    #[error(
        "the token is empty, or has a blank or another character that no Authorization header can have: make one with `openssl rand -hex 32`"
    )]
    UnusableToken,
    #[error("public_key_file: {path} {1}", path = .0.display())]
    Keys(PathBuf, #[source] KeySetError),
    #[error("ca_file: {path} {1}", path = .0.display())]
    Authorities(PathBuf, #[source] TrustError),
    #[error("{0}")]
    Place(#[from] KeyPlaceError),
    #[error("url: {0}")]
    Url(#[from] TargetError),
    #[error(
        "url: cookies and tokens would be sent over http, where anyone on the way can read them: use https, or set plaintext = true"
    )]
    Plaintext,
    #[error("the system has no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}
