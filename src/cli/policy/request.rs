//! What `roomkey policy test` asks for: the flags, and the body of a request. Does not know the policy.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::cli::{Failure, input};
use crate::json::{Members, Text};
use crate::policy::asked::Asked;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What is asked for")]
pub(super) struct RequestFlags {
    /// The room
    #[arg(short, long, value_name = "NAME")]
    room: Option<String>,
    /// The identity
    #[arg(short, long, value_name = "ID")]
    identity: Option<String>,
    /// The display name
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,
    /// The body of a request to /connection-details; - is stdin. The flags override it
    #[arg(long, value_name = "JSON")]
    request: Option<String>,
}

/// The spellings of each field: as in a policy file, and as in the two casings of the endpoint.
const ROOM: [&str; 3] = ["room", "room_name", "roomName"];
const IDENTITY: [&str; 3] = ["identity", "participant_identity", "participantIdentity"];
const NAME: [&str; 3] = ["name", "participant_name", "participantName"];
const METADATA: [&str; 3] = ["metadata", "participant_metadata", "participantMetadata"];
const ATTRIBUTES: [&str; 3] = ["attributes", "participant_attributes", "participantAttributes"];
const ROOM_CONFIG: [&str; 3] = ["room_config", "roomConfig", "roomConfig"];

impl RequestFlags {
    /// The body of the request, or an empty object.
    pub(super) fn body(&self) -> Result<Vec<u8>, Failure> {
        match self.request.as_deref() {
            None => Ok(b"{}".to_vec()),
            Some("-") => input::read("-"),
            Some(json) => Ok(json.as_bytes().to_vec()),
        }
    }

    /// What the flags and `body` ask for.
    pub(super) fn asked<'a>(&'a self, body: &'a [u8]) -> Result<Asked<'a>, Failure> {
        let members = Members::parse(body).or(Err(Failure::wrong("--request is not a JSON object")))?;
        let known = [ROOM, IDENTITY, NAME, METADATA, ATTRIBUTES, ROOM_CONFIG].concat();
        if let Some(unknown) = members.names().find(|name| !known.contains(name)) {
            let known = [ROOM, IDENTITY, NAME, METADATA, ATTRIBUTES, ROOM_CONFIG].map(|[_, name, _]| name).join(", ");
            return Err(Failure::wrong(format_args!("--request: there is no field {unknown:?}: the fields are {known}")));
        }
        let value = |names: [&str; 3]| names.iter().find_map(|name| members.value(name)).filter(|value| value.get() != "null");
        let text = |names: [&'static str; 3], flag: &'a Option<String>| match (flag, value(names)) {
            (Some(flag), _) => Ok(Some(Cow::Borrowed(flag.as_str()))),
            (None, None) => Ok(None),
            (None, Some(json)) => {
                serde_json::from_str::<Text<'a>>(json.get()).map(|text| Some(text.0)).or(Err(wrong(names, "text")))
            }
        };
        let attributes = value(ATTRIBUTES).map(|json| serde_json::from_str::<BTreeMap<String, String>>(json.get()));
        Ok(Asked {
            room: text(ROOM, &self.room)?,
            identity: text(IDENTITY, &self.identity)?,
            name: text(NAME, &self.name)?,
            metadata: text(METADATA, &None)?,
            attributes: attributes.transpose().or(Err(wrong(ATTRIBUTES, "an object of strings")))?,
            room_config: value(ROOM_CONFIG),
        })
    }
}

fn wrong(names: [&str; 3], expected: &str) -> Failure {
    let [_, name, _] = names;
    Failure::wrong(format_args!("--request: {name} must be {expected}"))
}
