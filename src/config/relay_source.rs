//! The relay's targets, ready for use: the file that names them, their secrets and authorities, and whose keys they may not have. Does not
//! know when they are read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::caller::api_token::{TokenHash, secret_hash};
use crate::caller::settings::SecretSource;
use crate::client::{Trust, TrustError};
use crate::config::relay_file::{RelayFile, TargetSection};
use crate::config::{FileError, FileSource, Variables};
use crate::http::Door;
use crate::jws;
use crate::livekit::key::{ApiKey, KeyError, MIN_SECRET_BYTES};
use crate::policy::file::problem::{Finding, Mistake, Position};
use crate::relay::settings::TargetSettings;

/// What an encoded secret of Standard Webhooks begins with, and its least bytes (spec/standard-webhooks.md, "Signature scheme").
const STANDARD_PREFIX: &str = "whsec_";
const MIN_STANDARD_BYTES: usize = 24;

/// Where the targets come from.
pub(crate) struct RelaySource {
    file: FileSource,
    /// How long the inbox keeps events.
    keep: Duration,
    /// The system's authorities, which are read once.
    system: Trust,
}

/// Targets that can be used.
#[derive(Debug)]
pub(crate) struct RelayTargets {
    pub(crate) targets: Vec<TargetSettings>,
    /// The keys of the targets, in the same order.
    pub(crate) keys: Vec<TargetKey>,
    /// What is perhaps not meant.
    pub(crate) findings: Vec<Finding>,
}

/// A target's key. Whoever receives its events knows the secret.
#[derive(Debug)]
pub(crate) struct TargetKey {
    pub(crate) key: ApiKey,
    /// The hash of the secret as if it were a token.
    pub(crate) hash: TokenHash,
}

/// Says which door of the server a key opens.
type Doors<'a> = &'a dyn Fn(&TargetKey) -> Option<Door>;

impl RelaySource {
    pub(crate) fn new(path: PathBuf, variables: Arc<Variables>, keep: Duration) -> Self {
        Self { file: FileSource::new(path, variables), keep, system: Trust::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Reads the targets and their secrets.
    ///
    /// # Errors
    /// If they cannot be used. Says all that is wrong.
    pub(crate) fn read(&self, doors: Doors<'_>) -> Result<RelayTargets, RelayError> {
        let RelayFile { targets, findings } = self.read_file()?;
        let mut read = RelayTargets { targets: Vec::new(), keys: Vec::new(), findings };
        let mut unusable = Vec::new();
        for section in targets {
            let (at, name) = (section.at, section.name.clone());
            match self.target(section, doors) {
                Ok((settings, key)) => {
                    read.targets.push(settings);
                    read.keys.push(key);
                }
                Err(problem) => unusable.push(UnusableTarget { at, name, problem }),
            }
        }
        if unusable.is_empty() { Ok(read) } else { Err(RelayError::Targets(unusable)) }
    }

    /// Reads the file alone.
    ///
    /// # Errors
    /// If it cannot be read, or has mistakes.
    pub(crate) fn read_file(&self) -> Result<RelayFile, FileError> {
        self.file.read(|text, folder| RelayFile::parse(text, folder, self.keep))
    }

    /// What identifies the content that was read last, without revealing its secrets.
    pub(crate) fn last_fingerprint(&self) -> [u8; 32] {
        self.file.last_fingerprint()
    }

    /// The same of the present content.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        self.file.fingerprint()
    }

    fn target(&self, section: TargetSection, doors: Doors<'_>) -> Result<(TargetSettings, TargetKey), TargetProblem> {
        let secret = self.secret(&section.secret)?;
        let text = str::from_utf8(&secret).or(Err(TargetProblem::NotUtf8))?;
        if text.len() < MIN_SECRET_BYTES {
            return Err(TargetProblem::ShortSecret); // no development pair here
        }
        let key = TargetKey { key: ApiKey::new(&section.key, text)?, hash: secret_hash(&secret) };
        if let Some(door) = doors(&key) {
            return Err(TargetProblem::Door(door));
        }
        let standard = section.standard_webhooks_secret.as_ref().map(|source| self.secret(source)).transpose()?;
        let settings = TargetSettings {
            name: section.name.into(),
            endpoint: section.endpoint.trusting(&self.trust(section.ca_file)?),
            key: key.key.clone(),
            standard_webhooks_key: standard.map(|text| standard_key(&text).ok_or(TargetProblem::StandardSecret)).transpose()?,
            options: section.options,
        };
        Ok((settings, key))
    }

    fn secret(&self, source: &SecretSource) -> Result<Zeroizing<Vec<u8>>, TargetProblem> {
        self.file.secret(source).map_err(|error| TargetProblem::Unreadable(source.clone(), error))
    }

    fn trust(&self, ca_file: Option<PathBuf>) -> Result<Trust, TargetProblem> {
        let Some(path) = ca_file else { return Ok(self.system.clone()) };
        let authorities = self.secret(&SecretSource::File(path.clone()))?;
        Trust::only(&authorities).map_err(|error| TargetProblem::Authorities(path, error))
    }
}

/// The key whose secret is `text`, as Standard Webhooks writes it.
fn standard_key(text: &[u8]) -> Option<jws::Key> {
    let encoded = str::from_utf8(text).ok()?.strip_prefix(STANDARD_PREFIX)?;
    let secret = Zeroizing::new(BASE64.decode(encoded).ok()?);
    if secret.len() >= MIN_STANDARD_BYTES { jws::Key::new(&secret) } else { None }
}

/// Why the targets cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RelayError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}", .0.iter().map(UnusableTarget::to_string).collect::<Vec<_>>().join("; "))]
    Targets(Vec<UnusableTarget>),
}

impl RelayError {
    /// All that is wrong in the file and what it names, with the places; `None` if the file could not be read at all.
    pub(crate) fn lines(&self) -> Option<Vec<(Position, String)>> {
        match self {
            Self::File(FileError::Mistakes(mistakes)) => {
                Some(mistakes.iter().map(|Mistake { at, problem }| (*at, problem.to_string())).collect())
            }
            Self::File(_) => None,
            Self::Targets(unusable) => Some(unusable.iter().map(|target| (target.at, target.problem.to_string())).collect()),
        }
    }
}

/// A target that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("{at}: the target {name:?}: {problem}")]
pub(crate) struct UnusableTarget {
    pub(crate) at: Position,
    pub(crate) name: String,
    #[source]
    pub(crate) problem: TargetProblem,
}

/// What is wrong with a target, beyond what its file alone shows. Never contains a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TargetProblem {
    #[error("cannot read {0}: {1}")]
    Unreadable(SecretSource, #[source] io::Error),
    #[error("the secret is not UTF-8: make one with `openssl rand -base64 36`")]
    NotUtf8,
    #[error("the secret is shorter than {MIN_SECRET_BYTES} bytes: make one with `openssl rand -base64 36`")]
    ShortSecret,
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("{0}, so that whoever receives the events could come in: give the target a key and a secret of its own")]
    Door(Door),
    #[error(
        "the secret of Standard Webhooks must be \"whsec_\" and at least {MIN_STANDARD_BYTES} bytes in base64: make one with `echo whsec_$(openssl rand -base64 32)`"
    )]
    StandardSecret,
    #[error("ca_file: {path} {1}", path = .0.display())]
    Authorities(PathBuf, #[source] TrustError),
}
