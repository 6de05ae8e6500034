//! What a rule puts into a token beside names and grants: attributes and the room's configuration, whose templates keep JSON types.
//! Does not know how a template is written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::livekit::room_config::{RoomConfiguration, RoomConfigurationError};
use crate::policy::placeholder::{Field, Placeholder};
use crate::policy::template::{Random, Template};
use crate::policy::values::{Unfilled, Values};

/// The participant's attributes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attributes {
    /// An object of strings.
    Whole(Placeholder),
    Each(Vec<(String, Template)>),
}

/// How LiveKit sets up the room.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RoomConfig {
    /// An object that the operator did not write: it may contain less.
    Whole(Placeholder),
    /// An object that the operator wrote.
    Table(Vec<(String, Json)>),
}

/// A JSON value with templates in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Literal(Value),
    Template(Template),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Why there is no room configuration.
#[derive(Debug)]
pub(crate) enum NoRoomConfig<'a> {
    Unfilled(Unfilled<'a>),
    /// It is not one that may be in a token.
    Invalid(RoomConfigurationError),
}

impl<'a> From<Unfilled<'a>> for NoRoomConfig<'a> {
    fn from(error: Unfilled<'a>) -> Self {
        Self::Unfilled(error)
    }
}

impl Attributes {
    pub(crate) fn placeholders(&self) -> Vec<&Placeholder> {
        match self {
            Self::Whole(placeholder) => vec![placeholder],
            Self::Each(templates) => templates.iter().flat_map(|(_, template)| template.placeholders()).collect(),
        }
    }

    pub(crate) fn fill<'a>(
        &'a self,
        values: &Values<'a>,
        random: &mut Random<'_>,
    ) -> Result<BTreeMap<String, String>, Unfilled<'a>> {
        match self {
            Self::Whole(placeholder) if values.is_not_sent(placeholder) => Ok(BTreeMap::new()),
            Self::Whole(Placeholder::Request(_)) => Ok(values.asked.attributes.clone().unwrap_or_default()),
            Self::Whole(placeholder) => texts(placeholder, values.claim(placeholder)?),
            Self::Each(templates) => {
                templates.iter().map(|(name, each)| Ok((name.clone(), text(each, values, random)?))).collect()
            }
        }
    }
}

/// The members of a claim that is an object of strings.
fn texts<'a>(placeholder: &'a Placeholder, found: &'a Value) -> Result<BTreeMap<String, String>, Unfilled<'a>> {
    let wrong = || Unfilled::WrongType { placeholder, found, expected: "an object of strings" };
    let members = found.as_object().ok_or_else(wrong)?;
    if members.is_empty() {
        return Err(Unfilled::Empty(placeholder));
    }
    members.iter().map(|(name, value)| Ok((name.clone(), value.as_str().ok_or_else(wrong)?.to_owned()))).collect()
}

/// An attribute's text. A claim that is the whole of it keeps its type, and only strings can be attributes.
fn text<'a>(template: &'a Template, values: &Values<'a>, random: &mut Random<'_>) -> Result<String, Unfilled<'a>> {
    if let Some(placeholder @ Placeholder::Claim(_)) = template.only_placeholder() {
        let found = values.claim(placeholder)?;
        if !found.is_string() {
            return Err(Unfilled::WrongType { placeholder, found, expected: "a string, as all attributes" });
        }
    }
    template.fill(values, random).map(Cow::into_owned)
}

impl RoomConfig {
    pub(crate) fn placeholders(&self) -> Vec<&Placeholder> {
        match self {
            Self::Whole(placeholder) => vec![placeholder],
            Self::Table(members) => members.iter().flat_map(|(_, json)| json.placeholders()).collect(),
        }
    }

    pub(crate) fn fill<'a>(
        &'a self,
        values: &Values<'a>,
        random: &mut Random<'_>,
    ) -> Result<Option<RoomConfiguration>, NoRoomConfig<'a>> {
        let config = match self {
            Self::Whole(placeholder) if values.is_not_sent(placeholder) => return Ok(None),
            Self::Whole(Placeholder::Request(_)) => {
                RoomConfiguration::from_client_json(values.asked.room_config.map_or("{}", |json| json.get()).as_bytes())
            }
            Self::Whole(placeholder) => {
                let found = values.claim(placeholder)?;
                match found.as_object() {
                    None => return Err(Unfilled::WrongType { placeholder, found, expected: "an object" }.into()),
                    Some(members) if members.is_empty() => return Err(Unfilled::Empty(placeholder).into()),
                    Some(_) => RoomConfiguration::from_client_json(found.to_string().as_bytes()),
                }
            }
            Self::Table(members) => RoomConfiguration::new(object(members, values, random)?),
        };
        config.map(|config| Some(config).filter(|config| !config.is_empty())).map_err(NoRoomConfig::Invalid)
    }

    /// Whether what it starts was written by the operator, who pays for it.
    pub(crate) fn is_written_by_the_operator(&self) -> bool {
        matches!(self, Self::Table(_))
    }

    /// Reads the table as LiveKit would, with some text in place of templates. Values of unknown types are left out.
    pub(crate) fn check(&self) -> Result<(), RoomConfigurationError> {
        match self {
            Self::Whole(_) => Ok(()),
            Self::Table(members) => RoomConfiguration::new(sample_object(members)).map(drop),
        }
    }
}

impl Json {
    fn placeholders(&self) -> Vec<&Placeholder> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Template(template) => template.placeholders().collect(),
            Self::List(items) => items.iter().flat_map(Self::placeholders).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, json)| json.placeholders()).collect(),
        }
    }

    fn fill<'a>(&'a self, values: &Values<'a>, random: &mut Random<'_>) -> Result<Value, Unfilled<'a>> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Template(template) => match template.only_placeholder() {
                Some(placeholder @ Placeholder::Claim(_)) => values.claim(placeholder)?.clone(),
                Some(placeholder @ Placeholder::Request(Field::Attributes)) => {
                    let sent = values.asked.attributes.as_ref().filter(|_| !values.is_not_sent(placeholder));
                    let members = sent.ok_or(Unfilled::Missing(placeholder))?.iter();
                    Value::Object(members.map(|(name, value)| (name.clone(), value.as_str().into())).collect())
                }
                _ => Value::String(template.fill(values, random)?.into_owned()),
            },
            Self::List(items) => Value::Array(items.iter().map(|item| item.fill(values, random)).collect::<Result<_, _>>()?),
            Self::Object(members) => Value::Object(object(members, values, random)?),
        })
    }

    /// The value with some text in place of templates; `None` if its type is not known before it is filled.
    fn sample(&self) -> Option<Value> {
        Some(match self {
            Self::Literal(value) => value.clone(),
            Self::Template(template) if template.only_placeholder().is_some() => return None,
            Self::Template(_) => Value::String("text".to_owned()),
            Self::List(items) => Value::Array(items.iter().filter_map(Self::sample).collect()),
            Self::Object(members) => Value::Object(sample_object(members)),
        })
    }
}

fn object<'a>(
    members: &'a [(String, Json)],
    values: &Values<'a>,
    random: &mut Random<'_>,
) -> Result<Map<String, Value>, Unfilled<'a>> {
    members.iter().map(|(name, json)| Ok((name.clone(), json.fill(values, random)?))).collect()
}

fn sample_object(members: &[(String, Json)]) -> Map<String, Value> {
    members.iter().filter_map(|(name, json)| Some((name.clone(), json.sample()?))).collect()
}
