//! Owns `roomConfig`: how LiveKit sets up a room that a token's bearer creates by joining (livekit/protocol
//! `protobufs/livekit_room.proto`, in protobuf's JSON). What is unknown is kept, for LiveKit lets it in; what has a wrong type
//! is refused, for LiveKit would refuse the whole token; credentials are refused, for the bearer can read them.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::json::{self, Bounds, Excess, Members, ObjectWriter, Unambiguous};

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

/// Leaves out the fields, because metadata is among them.
impl fmt::Debug for RoomConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomConfiguration").finish_non_exhaustive()
    }
}

/// More than any room needs, and little enough to be read within milliseconds.
const BOUNDS: Bounds = Bounds { values: 10_000, depth: 32, steps: usize::MAX };

impl RoomConfiguration {
    /// Reads `json`, in either casing of protobuf's JSON. A field of `null` is as one that is absent. What is kept stays as it
    /// is written there, so that no number changes.
    ///
    /// # Errors
    /// Where it is no object, holds too much, a field has a wrong type or is there twice, or `egress` bears credentials or stream
    /// outputs.
    pub fn from_json(json: &[u8]) -> Result<Self, RoomConfigurationError> {
        BOUNDS.check(json).map_err(|excess| match excess {
            Excess::Values | Excess::Steps => RoomConfigurationError::TooManyValues { limit: BOUNDS.values },
            Excess::Depth => RoomConfigurationError::TooDeep { limit: BOUNDS.depth },
        })?;
        let whole = Type::Object(ROOM_CONFIGURATION);
        let value: &RawValue = json::from_utf8(json).or(Err(whole.wrong()))?;
        serde_json::from_str::<Unambiguous>(value.get()).or(Err(RoomConfigurationError::Twice))?;
        let mut checked = Vec::with_capacity(json.len());
        whole.copy(value, &mut checked)?;
        json::from_utf8::<&RawValue>(&checked).map(|checked| Self(checked.to_owned())).or(Err(whole.wrong()))
    }

    /// As [`from_json`](Self::from_json), from JSON that was read before.
    ///
    /// # Errors
    /// Likewise.
    pub fn new(fields: Map<String, Value>) -> Result<Self, RoomConfigurationError> {
        Self::from_json(Value::Object(fields).to_string().as_bytes())
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        is_empty_object(&self.0)
    }

    /// Whether it starts recordings, at the deployer's cost.
    #[must_use]
    pub fn has_egress(&self) -> bool {
        let fields = Members::parse(self.0.get().as_bytes());
        fields.is_ok_and(|fields| fields.value("egress").is_some_and(|egress| !is_empty_object(egress)))
    }

    /// It as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.0.get().to_owned()
    }
}

/// Whether `value`, which is an object, has no members.
fn is_empty_object(value: &RawValue) -> bool {
    !value.get().contains('"')
}

/// The order of the members does not matter, nor how they are written.
impl PartialEq for RoomConfiguration {
    fn eq(&self, other: &Self) -> bool {
        let read = |config: &Self| serde_json::from_str::<Value>(config.0.get()).ok();
        read(self) == read(other)
    }
}

/// From a token that another program minted: any object is taken as it is.
impl<'de> Deserialize<'de> for RoomConfiguration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Box::<RawValue>::deserialize(deserializer)?;
        if value.get().starts_with('{') { Ok(Self(value)) } else { Err(D::Error::custom("an object is expected")) }
    }
}

/// A type of protobuf's JSON (<https://protobuf.dev/programming-guides/json/>).
#[derive(Clone, Copy)]
enum Type {
    Text,
    Flag,
    /// `uint32`: a number, or the same as a string.
    Unsigned,
    /// An enum: its name, or its number.
    Enumeration,
    /// `map<string, string>`.
    TextMap,
    Object(&'static [Field]),
    Objects(&'static [Field]),
    /// What is recorded, and where to.
    Egress,
}

/// A field's name in lowerCamelCase, the same in snake_case, and its type.
type Field = (&'static str, &'static str, Type);

const ROOM_CONFIGURATION: &[Field] = &[
    ("name", "name", Type::Text),
    ("emptyTimeout", "empty_timeout", Type::Unsigned),
    ("departureTimeout", "departure_timeout", Type::Unsigned),
    ("maxParticipants", "max_participants", Type::Unsigned),
    ("metadata", "metadata", Type::Text),
    ("egress", "egress", Type::Egress),
    ("minPlayoutDelay", "min_playout_delay", Type::Unsigned),
    ("maxPlayoutDelay", "max_playout_delay", Type::Unsigned),
    ("syncStreams", "sync_streams", Type::Flag),
    ("agents", "agents", Type::Objects(AGENT_DISPATCH)),
    ("tags", "tags", Type::TextMap),
];

const AGENT_DISPATCH: &[Field] = &[
    ("agentName", "agent_name", Type::Text),
    ("metadata", "metadata", Type::Text),
    ("restartPolicy", "restart_policy", Type::Enumeration),
    ("deployment", "deployment", Type::Text),
    ("attributes", "attributes", Type::TextMap),
    ("threadId", "thread_id", Type::Text),
];

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Flag => "true or false",
            Self::Unsigned => "a whole number from 0 to 4294967295",
            Self::Enumeration => "a name or a number",
            Self::TextMap => "an object of strings",
            Self::Object(_) | Self::Egress => "an object",
            Self::Objects(_) => "a list of objects",
        }
    }

    fn wrong(self) -> RoomConfigurationError {
        RoomConfigurationError::WrongType { path: String::new(), expected: self.name() }
    }

    /// Appends `value`, which must be of this type, to `out`: as it is, but that known fields are brought to lowerCamelCase.
    fn copy(self, value: &RawValue, out: &mut Vec<u8>) -> Result<(), RoomConfigurationError> {
        let is_text = |value: &RawValue| value.get().starts_with('"');
        let fits = match self {
            Self::Object(known) => return copy_fields(self.members(value)?, known, out),
            Self::Objects(known) => {
                let items: Vec<&RawValue> = serde_json::from_str(value.get()).or(Err(self.wrong()))?;
                return copy_items(&items, known, out);
            }
            Self::Egress => {
                check_credentials(&serde_json::from_str(value.get()).or(Err(self.wrong()))?, &mut Vec::new())?;
                return copy_fields(self.members(value)?, &[], out);
            }
            Self::TextMap => self.members(value)?.iter().all(|(_, value)| is_text(value)),
            Self::Text => is_text(value),
            Self::Flag => matches!(value.get(), "true" | "false"),
            Self::Unsigned => match serde_json::from_str(value.get()) {
                Ok(Value::Number(number)) => is_whole(number.as_f64(), 0.0, u32::MAX.into()),
                Ok(Value::String(number)) => {
                    number.trim() == number && is_whole(serde_json::from_str(&number).ok(), 0.0, u32::MAX.into())
                }
                _ => false,
            },
            Self::Enumeration => {
                is_text(value) || is_whole(serde_json::from_str(value.get()).ok(), i32::MIN.into(), i32::MAX.into())
            }
        };
        out.extend_from_slice(value.get().as_bytes());
        if fits { Ok(()) } else { Err(self.wrong()) }
    }

    fn members(self, value: &RawValue) -> Result<Members<'_>, RoomConfigurationError> {
        Members::parse(value.get().as_bytes()).or(Err(self.wrong()))
    }
}

fn is_whole(number: Option<f64>, least: f64, most: f64) -> bool {
    number.is_some_and(|number| number.fract() == 0.0 && (least..=most).contains(&number))
}

/// Appends the object of `fields`, the `known` ones of which are checked and named in lowerCamelCase.
fn copy_fields(fields: Members<'_>, known: &[Field], out: &mut Vec<u8>) -> Result<(), RoomConfigurationError> {
    let mut copied = Vec::new();
    let mut object = ObjectWriter::begin(out);
    for (name, value) in fields.iter().filter(|(_, value)| value.get() != "null") {
        let Some(&(camel, _, expected)) = known.iter().find(|(camel, snake, _)| name == *camel || name == *snake) else {
            object.further(name, value);
            continue;
        };
        if copied.contains(&camel) {
            return Err(RoomConfigurationError::BothCasings { path: camel.to_owned() });
        }
        copied.push(camel);
        object.any(camel, |out| expected.copy(value, out)).map_err(|error| error.under(camel))?;
    }
    object.end();
    Ok(())
}

/// Appends the list of `items`, objects of which the `known` fields are checked.
fn copy_items(items: &[&RawValue], known: &'static [Field], out: &mut Vec<u8>) -> Result<(), RoomConfigurationError> {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        Type::Object(known).copy(item, out).map_err(|error| error.under(&index.to_string()))?;
    }
    out.push(b']');
    Ok(())
}

/// Refuses what would give the bearer a secret of the deployer's, or lets it stream anywhere (`CheckCredentials` in
/// livekit/protocol `auth/grants.go`). Stricter than LiveKit, for it looks at every depth and does not care in which output.
fn check_credentials(value: &Value, path: &mut Vec<String>) -> Result<(), RoomConfigurationError> {
    const FORBIDDEN: [&str; 6] = ["secret", "credentials", "accountKey", "account_key", "streamOutputs", "stream_outputs"];
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    let members: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => return Ok(()),
    };
    for (name, member) in members {
        let forbidden = FORBIDDEN.contains(&name.as_str()) && !is_empty(member);
        path.push(shown(name));
        if forbidden {
            return Err(RoomConfigurationError::Credentials { path: path.join(".") });
        }
        check_credentials(member, path)?;
        path.pop();
    }
    Ok(())
}

/// A name of the bearer's choice, as an error tells it: neither long, nor with anything that would not stand in one line.
fn shown(name: String) -> String {
    let is_plain = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { name } else { "…".to_owned() }
}

/// Why a room configuration cannot be. Names the field, never its value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomConfigurationError {
    /// A field is of another type than LiveKit reads.
    WrongType {
        /// The field, such as `agents.0.metadata`; empty for the whole.
        path: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A field stands there in both casings.
    BothCasings {
        /// The field, in lowerCamelCase.
        path: String,
    },
    /// A credential, or a stream's output.
    Credentials {
        /// The field.
        path: String,
    },
    /// An object, at any depth, names a member twice, or a number is beyond all that can be read.
    Twice,
    /// It holds more values than any room needs.
    TooManyValues {
        /// How many it may hold.
        limit: usize,
    },
    /// It nests deeper than any room needs.
    TooDeep {
        /// How deep it may nest.
        limit: usize,
    },
}

impl RoomConfigurationError {
    /// The field, such as `agents.0.metadata`; empty for the whole.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::WrongType { path, .. } | Self::BothCasings { path } | Self::Credentials { path } => path,
            Self::Twice | Self::TooManyValues { .. } | Self::TooDeep { .. } => "",
        }
    }

    /// The same error of what stands in the field `name`.
    fn under(mut self, name: &str) -> Self {
        if let Self::WrongType { path, .. } | Self::BothCasings { path } | Self::Credentials { path } = &mut self {
            *path = if path.is_empty() { name.to_owned() } else { format!("{name}.{path}") };
        }
        self
    }
}

impl fmt::Display for RoomConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongType { path, expected } if path.is_empty() => write!(f, "must be {expected}"),
            Self::WrongType { path, expected } => write!(f, "{path} must be {expected}"),
            Self::BothCasings { path } => write!(f, "{path} stands there in both casings"),
            Self::Credentials { path } => write!(f, "{path} must not stand in a token, which its bearer can read"),
            Self::Twice => f.write_str("must not name a member twice in one object, nor hold a number beyond 1e308"),
            Self::TooManyValues { limit } => write!(f, "must hold at most {limit} values"),
            Self::TooDeep { limit } => write!(f, "must not nest deeper than {limit} levels"),
        }
    }
}

impl std::error::Error for RoomConfigurationError {}
