//! Owns `roomConfig`: how LiveKit sets up a room that a token's bearer creates by joining (livekit/protocol
//! `protobufs/livekit_room.proto`, in protobuf's JSON). What is unknown is kept, for LiveKit lets it in; what has a wrong type
//! is refused, for LiveKit would refuse the whole token; credentials are refused, for the bearer can read them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A checked RoomConfiguration, its known fields in lowerCamelCase.
///
/// ```
/// use roomkey::RoomConfiguration;
///
/// let config = RoomConfiguration::from_json(br#"{"empty_timeout": 300, "agents": [{"agent_name": "helper"}]}"#)?;
/// assert_eq!(config.to_json(), r#"{"agents":[{"agentName":"helper"}],"emptyTimeout":300}"#);
/// assert!(RoomConfiguration::from_json(br#"{"maxParticipants": "many"}"#).is_err());
/// # Ok::<(), roomkey::RoomConfigurationError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct RoomConfiguration(Map<String, Value>);

impl RoomConfiguration {
    /// Reads `json`, in either casing of protobuf's JSON. A field of `null` is as one that is absent.
    ///
    /// # Errors
    /// Where it is no object, a field has a wrong type or stands there in both casings, or `egress` bears credentials or
    /// stream outputs.
    pub fn from_json(json: &[u8]) -> Result<Self, RoomConfigurationError> {
        let wrong = || RoomConfigurationError::WrongType { path: String::new(), expected: Type::Object(&[]).name() };
        match serde_json::from_slice(json) {
            Ok(Value::Object(fields)) => Self::new(fields),
            _ => Err(wrong()),
        }
    }

    /// As [`from_json`](Self::from_json), from JSON that was read before.
    ///
    /// # Errors
    /// Likewise.
    pub fn new(mut fields: Map<String, Value>) -> Result<Self, RoomConfigurationError> {
        check_fields(&mut fields, ROOM_CONFIGURATION, &mut Vec::new())?;
        if let Some(egress) = fields.get("egress") {
            check_credentials(egress, &mut vec!["egress".to_owned()])?;
        }
        Ok(Self(fields))
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it starts recordings, at the deployer's cost.
    #[must_use]
    pub fn has_egress(&self) -> bool {
        self.0.get("egress").and_then(Value::as_object).is_some_and(|egress| !egress.is_empty())
    }

    /// It as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }
}

/// From a token that another program minted: any object is taken as it is.
impl<'de> Deserialize<'de> for RoomConfiguration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self)
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
}

/// A field's name in lowerCamelCase, the same in snake_case, and its type.
type Field = (&'static str, &'static str, Type);

const ROOM_CONFIGURATION: &[Field] = &[
    ("name", "name", Type::Text),
    ("emptyTimeout", "empty_timeout", Type::Unsigned),
    ("departureTimeout", "departure_timeout", Type::Unsigned),
    ("maxParticipants", "max_participants", Type::Unsigned),
    ("metadata", "metadata", Type::Text),
    ("egress", "egress", Type::Object(&[])),
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
            Self::Object(_) => "an object",
            Self::Objects(_) => "a list of objects",
        }
    }

    /// Whether `value` is of this type; nested fields are brought to lowerCamelCase.
    fn check(self, value: &mut Value, path: &mut Vec<String>) -> Result<(), RoomConfigurationError> {
        let fits = match (self, value) {
            (Self::Text, Value::String(_)) | (Self::Flag, Value::Bool(_)) | (Self::Enumeration, Value::String(_)) => true,
            (Self::Unsigned, Value::Number(number)) => is_whole(number.as_f64(), 0.0, u32::MAX.into()),
            (Self::Unsigned, Value::String(number)) => {
                number.trim() == number && is_whole(serde_json::from_str(number).ok(), 0.0, u32::MAX.into())
            }
            (Self::Enumeration, Value::Number(number)) => is_whole(number.as_f64(), i32::MIN.into(), i32::MAX.into()),
            (Self::TextMap, Value::Object(map)) => map.values().all(Value::is_string),
            (Self::Object(known), Value::Object(fields)) => return check_fields(fields, known, path),
            (Self::Objects(known), Value::Array(items)) => {
                for (index, item) in items.iter_mut().enumerate() {
                    path.push(index.to_string());
                    Self::Object(known).check(item, path)?;
                    path.pop();
                }
                true
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(RoomConfigurationError::WrongType { path: path.join("."), expected: self.name() }) }
    }
}

fn is_whole(number: Option<f64>, least: f64, most: f64) -> bool {
    number.is_some_and(|number| number.fract() == 0.0 && (least..=most).contains(&number))
}

/// Checks the `known` ones of `fields` and brings them to lowerCamelCase.
fn check_fields(fields: &mut Map<String, Value>, known: &[Field], path: &mut Vec<String>) -> Result<(), RoomConfigurationError> {
    fields.retain(|_, value| !value.is_null());
    for &(camel, snake, expected) in known {
        path.push(camel.to_owned());
        if camel != snake
            && let Some(value) = fields.remove(snake)
            && fields.insert(camel.to_owned(), value).is_some()
        {
            return Err(RoomConfigurationError::BothCasings { path: path.join(".") });
        }
        if let Some(value) = fields.get_mut(camel) {
            expected.check(value, path)?;
        }
        path.pop();
    }
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
}

impl RoomConfigurationError {
    /// The field, such as `agents.0.metadata`; empty for the whole.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::WrongType { path, .. } | Self::BothCasings { path } | Self::Credentials { path } => path,
        }
    }
}

impl fmt::Display for RoomConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongType { path, expected } if path.is_empty() => write!(f, "must be {expected}"),
            Self::WrongType { path, expected } => write!(f, "{path} must be {expected}"),
            Self::BothCasings { path } => write!(f, "{path} stands there in both casings"),
            Self::Credentials { path } => write!(f, "{path} must not stand in a token, which its bearer can read"),
        }
    }
}

impl std::error::Error for RoomConfigurationError {}
