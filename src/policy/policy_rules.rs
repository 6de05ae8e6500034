//! The rules of a policy file, for a program that knows itself who is calling. Does not prove callers, nor count a rule's limit.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;

use serde_json::value::to_raw_value;
use serde_json::{Map, Value};

use crate::caller::Caller;
use crate::caller::expectations::{ClaimsError, Expectations};
use crate::caller::settings::{ANONYMOUS, CallerSettings, Proof};
use crate::livekit::access_token::ParticipantToken;
use crate::policy::asked::Asked;
use crate::policy::file::PolicyFile;
use crate::policy::file::problem::Mistake;
use crate::policy::{Policy, TokenRequest, random_letters};

/// The rules of a [policy file](crate::guide::policy), which decide who may have which token.
///
/// ```
/// use roomkey::policy::{Policy, PolicyRules, TokenRequest};
/// use roomkey::{ApiKey, RoomName, TokenVerifier, UnixTime};
///
/// let rules = PolicyRules::parse(r#"
///     [callers.school]
///     kind = "oidc"
///     issuer = "https://id.school.example"
///     audience = "classroom"
///
///     [[rule]]
///     name = "pupils"
///     caller = "school"
///     claims = { role = "pupil" }
///     room = "course-{claims.course}"
///     identity = "{subject}"
///     allow = ["subscribe"]
/// "#)?;
/// let claims = serde_json::json!({ "sub": "7", "role": "pupil", "course": "maths" });
/// let pupil = rules.caller("school", claims.as_object().cloned().unwrap_or_default())?;
///
/// let asked = |room| RoomName::new(room).map(|room| TokenRequest { room: Some(room), ..TokenRequest::default() });
/// let token = rules.token(&pupil, &asked("course-maths")?, &Policy::default())?;
/// let (key, now) = (ApiKey::new("devkey", "secret")?, UnixTime::now());
/// let jwt = token.to_jwt(&key, now);
/// assert_eq!(TokenVerifier::new(key).verify(&jwt, now)?.identity(), "7");
/// assert!(rules.token(&pupil, &asked("staff")?, &Policy::default()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PolicyRules(PolicyFile);

/// A caller of a policy, whose claims the program vouches for.
#[derive(Clone, Debug)]
pub struct PolicyCaller(Caller);

impl PolicyRules {
    /// Reads the text of a policy file. The secrets and files that it names are not read.
    ///
    /// # Errors
    /// If there are mistakes in it: all of them, with their places.
    pub fn parse(text: &str) -> Result<Self, PolicyMistakes> {
        PolicyFile::parse(text, Path::new("")).map(Self).map_err(|broken| PolicyMistakes(broken.mistakes))
    }

    /// The caller `name` with these claims, which the program has verified.
    ///
    /// # Errors
    /// If the policy has no such caller, or the claims are not as its section says.
    pub fn caller(&self, name: &str, claims: Map<String, Value>) -> Result<PolicyCaller, NoToken> {
        let caller =
            self.0.caller(name, claims).ok_or_else(|| NoToken(format!("there is no caller {name:?} with such claims")))?;
        caller.map(PolicyCaller).map_err(|error| NoToken(error.to_string()))
    }

    /// The token that the rules give to `caller`.
    ///
    /// # Errors
    /// If they give none.
    pub fn token(&self, caller: &PolicyCaller, request: &TokenRequest, bounds: &Policy) -> Result<ParticipantToken, NoToken> {
        let room_config =
            request.room_config.as_ref().map(to_raw_value).transpose().map_err(|error| NoToken(error.to_string()))?;
        let asked = Asked {
            room: request.room.as_ref().map(|room| Cow::Borrowed(room.as_str())),
            identity: request.identity.as_ref().map(|identity| Cow::Borrowed(identity.as_str())),
            name: request.name.as_ref().map(|name| Cow::Borrowed(name.as_str())),
            room_config: room_config.as_deref(),
            ..Asked::default()
        };
        let decision = self.0.rules.decide(&caller.0, &asked, bounds, &mut || random_letters().map_err(io::Error::other));
        decision.map(|decision| decision.token).map_err(|denial| NoToken(denial.to_string()))
    }
}

impl PolicyFile {
    /// The caller `name` with these claims, as if it had proven itself; `None` if there is none, or none with claims.
    pub(crate) fn caller(&self, name: &str, claims: Map<String, Value>) -> Option<Result<Caller, ClaimsError>> {
        let settings = self.callers.iter().find(|caller| caller.name == name);
        match settings.filter(|settings| !matches!(settings.proof, Proof::ApiToken(_))) {
            Some(CallerSettings { subject, require, .. }) => {
                let expectations = Expectations { name: name.into(), subject: subject.clone(), require: require.clone() };
                Some(expectations.caller(claims, None))
            }
            None if claims.is_empty() && (settings.is_some() || name == ANONYMOUS) => {
                Some(Ok(Caller::without_claims(name.into())))
            }
            None => None,
        }
    }
}

/// The mistakes in a policy file, each with its place.
#[derive(Debug)]
pub struct PolicyMistakes(Vec<Mistake>);

impl fmt::Display for PolicyMistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            write!(f, "{}{mistake}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyMistakes {}

/// Why there is no token. For a log: it tells about the rules, which are no concern of a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoToken(String);
