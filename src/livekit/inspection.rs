//! Inspects a token without a key: what it says, and what of that is dangerous or has no effect. Does not check whether it is valid.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clock::UnixTime;
use crate::json::Unambiguous;
use crate::jws;
use crate::livekit::claims::Claims;
use crate::livekit::danger::Danger;
use crate::livekit::grants::TrackSource;
use crate::livekit::key::ApiKey;
use crate::livekit::room_config::{RoomConfiguration, RoomConfigurationError, credentials_in};
use crate::livekit::token_verifier::TokenError;

/// How long a token should be valid at most, because it cannot be revoked.
pub const LONG_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest URL that all servers and proxies take; a client sends its token in one (nginx's `large_client_header_buffers` are
/// 8 KiB).
pub const MAX_URL_BYTES: usize = 8 * 1024;
/// Claims that LiveKit accepts and ignores: Go's SDK repeats the identity, and `aud` is from RFC 7519.
const HARMLESS: [&str; 2] = ["identity", "aud"];

/// What a token says. Its signature is not checked.
///
/// ```
/// use roomkey::{ApiKey, Danger, Identity, Inspection, ParticipantToken, RoomName, UnixTime, VideoGrants};
///
/// let grants = VideoGrants { room_admin: true, ..VideoGrants::default() };
/// let token = ParticipantToken::new(RoomName::new("daily")?, Identity::new("alice")?).with_grants(grants);
/// let now = UnixTime::now();
///
/// let inspection = Inspection::of(&token.to_jwt(&ApiKey::new("APImyKey", "a-secret-of-at-least-32-bytes-0123")?, now), now)?;
/// assert_eq!(inspection.claims().identity(), "alice");
/// assert_eq!(inspection.dangers(), [Danger::Power { grant: "roomAdmin" }]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Inspection {
    payload: Vec<u8>,
    claims: Claims,
    dangers: Vec<Danger>,
}

/// Leaves out the payload, because it holds metadata.
impl fmt::Debug for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspection").field("claims", &self.claims).field("dangers", &self.dangers).finish_non_exhaustive()
    }
}

impl Inspection {
    /// Reads `token`, a bare compact JWS. `now` counts as its beginning if it does not have one.
    ///
    /// # Errors
    /// If it is not an HS256 JWS, or its payload is not a JSON object.
    pub fn of(token: &str, now: UnixTime) -> Result<Self, TokenError> {
        let jws = jws::Unverified::parse(token)?;
        let members: Map<String, Value> = serde_json::from_slice(jws.payload()).or(Err(TokenError::Claims))?;
        let mut dangers = Vec::new();
        if serde_json::from_slice::<Unambiguous>(jws.payload()).is_err() {
            dangers.push(Danger::Ambiguous);
        }
        let mut sound = members.clone();
        for name in of_wrong_type(&members) {
            sound.remove(&name);
            dangers.push(Danger::WrongType { name });
        }
        let claims = Claims::deserialize(Value::Object(sound)).or(Err(TokenError::Claims))?;
        let signed = |key: ApiKey| claims.iss == key.name() && jws.verify_by(key.signer()).is_ok();
        dangers.extend(ApiKey::development().is_some_and(signed).then_some(Danger::DevelopmentKey));
        dangers.extend(dangers_of(&claims, now));
        if let Some(Value::Object(config)) = members.get("roomConfig") {
            let credentials = config.get("egress").into_iter().flat_map(credentials_in);
            let error = RoomConfiguration::new(config.clone()).err();
            let error = error.filter(|error| !matches!(error, RoomConfigurationError::Credentials { .. }));
            dangers.extend(credentials.chain(error).map(Danger::RoomConfig));
        }
        let is_unknown = |name: &&String| !Claims::is_known(name) && !HARMLESS.contains(&name.as_str());
        dangers.extend(members.keys().filter(is_unknown).map(|name| Danger::UnknownClaim { name: name.clone() }));
        dangers.extend(unknown_grants(&members));
        if token.len() > MAX_URL_BYTES {
            dangers.push(Danger::TooLong { bytes: token.len() });
        }
        Ok(Self { payload: jws.payload().to_vec(), claims, dangers })
    }

    /// The claims. One of a wrong type is left out.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The payload, a JSON object, unchanged.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What is dangerous about it, or not what it seems.
    #[must_use]
    pub fn dangers(&self) -> &[Danger] {
        &self.dangers
    }
}

/// The names of the `claims` that have another type than LiveKit reads.
pub(crate) fn of_wrong_type(claims: &Map<String, Value>) -> Vec<String> {
    let is_wrong = |name: &str, value: &Value| {
        let alone = Map::from_iter([(name.to_owned(), value.clone())]);
        Claims::deserialize(Value::Object(alone)).is_err()
    };
    claims.iter().filter(|(name, value)| is_wrong(name, value)).map(|(name, _)| name.clone()).collect()
}

/// The grants and sources in `claims` that LiveKit does not know.
pub(crate) fn unknown_grants(claims: &Map<String, Value>) -> Vec<Danger> {
    let mut unknown = Vec::new();
    for (claim, known) in Claims::KNOWN.iter().filter(|(_, known)| !known.is_empty()) {
        let grants = claims.get(*claim).and_then(Value::as_object);
        let others = grants.into_iter().flat_map(Map::keys).filter(|name| !known.contains(&name.as_str()));
        unknown.extend(others.map(|name| Danger::UnknownGrant { path: format!("{claim}.{name}") }));
    }
    let sources = claims.get("video").and_then(|video| video.get("canPublishSources")).and_then(Value::as_array);
    let is_unknown = |source: &&Value| matches!(TrackSource::deserialize(*source), Ok(TrackSource::Unknown));
    let names = sources.into_iter().flatten().filter(is_unknown).filter_map(Value::as_str);
    unknown.extend(names.map(|name| Danger::UnknownSource { name: name.to_owned() }));
    unknown
}

fn dangers_of(claims: &Claims, now: UnixTime) -> Vec<Danger> {
    let mut dangers = Vec::new();
    let video = claims.video.clone().unwrap_or_default();
    if video.room_join {
        let powers = [("roomCreate", video.room_create), ("roomAdmin", video.room_admin)];
        dangers.extend(video.room.is_empty().then_some(Danger::NoRoom));
        dangers.extend(claims.identity().is_empty().then_some(Danger::NoIdentity));
        dangers.extend(powers.into_iter().filter(|(_, has)| *has).map(|(grant, _)| Danger::Power { grant }));
    }
    let since = [claims.nbf, claims.iat].into_iter().flatten().max().unwrap_or(now);
    match claims.exp {
        None => dangers.push(Danger::NoExpiry),
        Some(end) if end > since.saturating_add(LONG_LIFE) => {
            dangers.push(Danger::LongLived { seconds: end.as_secs().saturating_sub(since.as_secs()) });
        }
        Some(_) => {}
    }
    dangers
}
