//! Checks `roomConfig`: how LiveKit sets up a room that a token's bearer creates by joining (livekit/protocol
//! `protobufs/livekit_room.proto`, in protobuf's JSON). A wrong type is refused, because LiveKit would refuse the whole token.
//! Credentials are refused, because the bearer can read them. Unknown fields are kept unless a client sent them. Does not know which
//! field has which type, nor which one holds a credential.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::json::{self, Bounds, Excess, Members, Unambiguous};
pub use crate::livekit::room_config_error::RoomConfigurationError;
use crate::livekit::room_fields::{ROOM_CONFIGURATION, Unknown};
use crate::livekit::secret_fields;

/// A checked RoomConfiguration, its known fields in lowerCamelCase.
///
/// ```
/// use roomkey::RoomConfiguration;
///
/// let config = RoomConfiguration::from_json(br#"{"empty_timeout": 300, "agents": [{"agent_name": "helper"}]}"#)?;
/// assert_eq!(config.to_json(), r#"{"emptyTimeout":300,"agents":[{"agentName":"helper"}]}"#);
/// assert!(RoomConfiguration::from_json(br#"{"maxParticipants": "many"}"#).is_err());
/// # Ok::<(), roomkey::RoomConfigurationError>(())
/// ```
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct RoomConfiguration(Box<RawValue>);

/// Leaves out the fields, because metadata is one of them.
impl fmt::Debug for RoomConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomConfiguration").finish_non_exhaustive()
    }
}

/// More than any room needs, and few enough to be read within milliseconds.
const BOUNDS: Bounds = Bounds { values: 10_000, depth: 32, steps: usize::MAX };

impl RoomConfiguration {
    /// Reads `json`, in either casing of protobuf's JSON. A `null` counts as absent. Values are kept as they are written, so that no
    /// number changes.
    ///
    /// # Errors
    /// If it is not an object or holds too much, if a field has a wrong type or is given twice, or if `egress` has credentials or
    /// stream outputs.
    pub fn from_json(json: &[u8]) -> Result<Self, RoomConfigurationError> {
        Self::read(json, Unknown::Kept)
    }

    /// Reads `json` that a client sent. Unknown fields are left out, at every depth.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), and if it has `webhooks`: the client could have the room's events sent to itself.
    pub fn from_client_json(json: &[u8]) -> Result<Self, RoomConfigurationError> {
        Self::read(json, Unknown::LeftOut)
    }

    fn read(json: &[u8], unknown: Unknown) -> Result<Self, RoomConfigurationError> {
        BOUNDS.check(json).map_err(|excess| match excess {
            Excess::Values | Excess::Steps => RoomConfigurationError::TooManyValues { limit: BOUNDS.values },
            Excess::Depth => RoomConfigurationError::TooDeep { limit: BOUNDS.depth },
        })?;
        let wrong = || ROOM_CONFIGURATION.wrong();
        let value: &RawValue = json::from_utf8(json).map_err(|_| wrong())?;
        serde_json::from_str::<Unambiguous>(value.get()).or(Err(RoomConfigurationError::Twice))?;
        let egress: Value = Members::parse(value.get().as_bytes()).map_err(|_| wrong())?.read("egress").unwrap_or_default();
        if let Some(error) = credentials_in(&egress).next() {
            return Err(error);
        }
        let mut checked = Vec::with_capacity(json.len());
        ROOM_CONFIGURATION.copy(value, unknown, &mut checked)?;
        json::from_utf8::<&RawValue>(&checked).map(|checked| Self(checked.to_owned())).map_err(|_| wrong())
    }

    /// Like [`from_json`](Self::from_json), from parsed JSON.
    ///
    /// # Errors
    /// As there.
    pub fn new(fields: Map<String, Value>) -> Result<Self, RoomConfigurationError> {
        Self::from_json(Value::Object(fields).to_string().as_bytes())
    }

    /// Whether it has no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        is_empty_object(&self.0)
    }

    /// Whether it starts recordings, which the deployer pays for.
    #[must_use]
    pub fn has_egress(&self) -> bool {
        let fields = Members::parse(self.0.get().as_bytes());
        fields.is_ok_and(|fields| fields.value("egress").is_some_and(|egress| !is_empty_object(egress)))
    }

    /// The configuration as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.0.get().to_owned()
    }
}

/// An error for each credential and each stream output in `egress`.
pub(crate) fn credentials_in(egress: &Value) -> impl Iterator<Item = RoomConfigurationError> {
    secret_fields::paths_in(egress).into_iter().map(|path| RoomConfigurationError::Credentials { path })
}

/// Whether `value`, which is an object, has no members.
fn is_empty_object(value: &RawValue) -> bool {
    !value.get().contains('"')
}

/// Neither the order of the members nor their spelling in JSON matters.
impl PartialEq for RoomConfiguration {
    fn eq(&self, other: &Self) -> bool {
        let read = |config: &Self| serde_json::from_str::<Value>(config.0.get()).ok();
        read(self) == read(other)
    }
}

/// For tokens that another program minted: any object is kept unchanged.
impl<'de> Deserialize<'de> for RoomConfiguration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Box::<RawValue>::deserialize(deserializer)?;
        if value.get().starts_with('{') { Ok(Self(value)) } else { Err(D::Error::custom("an object is expected")) }
    }
}
