//! The values of placeholders: what the caller and its request say. Does not know templates.

use std::borrow::Cow;
use std::fmt;
use std::io;

use serde_json::Value;

use crate::caller::Caller;
use crate::caller::matchers::Shown;
use crate::policy::asked::{Asked, sent};
use crate::policy::placeholder::{Field, Placeholder};

/// Where the values of placeholders come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) asked: &'a Asked<'a>,
}

impl<'a> Values<'a> {
    /// The value as text, which is not empty. Strings and integers can be text.
    pub(crate) fn text(&self, placeholder: &'a Placeholder) -> Result<Cow<'a, str>, Unfilled<'a>> {
        let text = match placeholder {
            Placeholder::Claim(_) => match self.claim(placeholder)? {
                Value::String(text) => Cow::Borrowed(text.as_str()),
                Value::Number(number) if !number.is_f64() => Cow::Owned(number.to_string()),
                found => return Err(Unfilled::WrongType { placeholder, found, expected: "text or an integer" }),
            },
            Placeholder::Subject => self.caller.subject.as_deref().map(Cow::Borrowed).ok_or(Unfilled::Missing(placeholder))?,
            Placeholder::Request(field) => self.field(*field).map(Cow::Borrowed).ok_or(Unfilled::Missing(placeholder))?,
            Placeholder::Random => return Err(Unfilled::Missing(placeholder)), // whoever fills it has the letters
        };
        if text.is_empty() { Err(Unfilled::Empty(placeholder)) } else { Ok(text) }
    }

    /// The claim that `placeholder` names, of any type.
    pub(crate) fn claim(&self, placeholder: &'a Placeholder) -> Result<&'a Value, Unfilled<'a>> {
        let Placeholder::Claim(path) = placeholder else { return Err(Unfilled::Missing(placeholder)) };
        path.find(&self.caller.claims).filter(|claim| !claim.is_null()).ok_or(Unfilled::Missing(placeholder))
    }

    fn field(&self, field: Field) -> Option<&'a str> {
        match field {
            Field::Room => sent(&self.asked.room),
            Field::Identity => sent(&self.asked.identity),
            Field::Name => sent(&self.asked.name),
            Field::Metadata => sent(&self.asked.metadata),
            Field::Attributes | Field::RoomConfig => None,
        }
    }

    /// Whether `placeholder` stands for something that the request could have, but does not.
    pub(crate) fn is_not_sent(&self, placeholder: &Placeholder) -> bool {
        match placeholder {
            Placeholder::Request(Field::Attributes) => self.asked.attributes.as_ref().is_none_or(|sent| sent.is_empty()),
            Placeholder::Request(Field::RoomConfig) => self.asked.room_config.is_none(),
            Placeholder::Request(field) => self.field(*field).is_none(),
            _ => false,
        }
    }
}

/// Why a template cannot be filled.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum Unfilled<'a> {
    Missing(&'a Placeholder),
    Empty(&'a Placeholder),
    WrongType {
        placeholder: &'a Placeholder,
        found: &'a Value,
        expected: &'static str,
    },
    /// Another pair of values could give the same text.
    Ambiguous {
        placeholder: &'a Placeholder,
        value: Cow<'a, str>,
        /// What separates it from the next value.
        text: &'a str,
    },
    /// The system has no randomness.
    NoRandomness(io::Error),
}

impl fmt::Display for Unfilled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(placeholder) => write!(f, "{placeholder} is missing"),
            Self::Empty(placeholder) => write!(f, "{placeholder} is empty"),
            Self::WrongType { placeholder, found, expected } => {
                write!(f, "{placeholder} is {}, but must be {expected}", Shown(found))
            }
            Self::Ambiguous { placeholder, value, text } => {
                write!(f, "{placeholder} is {value:?}, which together with {text:?} after it does not show where it ends")
            }
            Self::NoRandomness(error) => write!(f, "the system has no randomness: {error}"),
        }
    }
}
