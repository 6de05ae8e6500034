//! Matchers: what a policy file asks of a caller's claims. Does not know rules, nor where claims come from.

use std::fmt;

use serde_json::{Map, Value};

use crate::caller::claim_path::ClaimPath;
use crate::caller::stars;

/// Matchers that all have to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Matchers(pub(crate) Vec<(ClaimPath, Matcher)>);

/// What one claim has to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Matcher {
    /// One of these strings, integers or booleans, of the same JSON type.
    OneOf(Vec<Value>),
    /// A list with this element.
    Has(Value),
    /// Words separated by blanks, one of which is this, such as OAuth's `scope`.
    Word(String),
    /// An object with this member.
    HasKey(String),
    /// A string that fits this pattern, in which `*` stands for any run of characters.
    Like(String),
    /// Present, or absent.
    Exists(bool),
}

/// Why claims do not fit: `claims.role is "pupil", not "teacher"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mismatch<'a> {
    pub(crate) path: &'a ClaimPath,
    /// The claim as it is, if there is one.
    pub(crate) found: Option<&'a Value>,
    pub(crate) expected: &'a Matcher,
}

impl Matchers {
    /// The first matcher that `claims` do not meet. Does not allocate, because most rules fail here.
    pub(crate) fn mismatch<'a>(&'a self, claims: &'a Map<String, Value>) -> Option<Mismatch<'a>> {
        self.0.iter().find_map(|(path, expected)| {
            let found = path.find(claims);
            (!expected.holds(found)).then_some(Mismatch { path, found, expected })
        })
    }
}

impl Matchers {
    /// Whether they hold for these claims, which are found in the order of the matchers.
    pub(crate) fn hold<'a>(&self, claims: impl Iterator<Item = Option<&'a Value>>) -> bool {
        self.0.iter().zip(claims).all(|((_, matcher), claim)| matcher.holds(claim))
    }
}

impl Matcher {
    /// Whether this claim meets it.
    pub(crate) fn holds(&self, claim: Option<&Value>) -> bool {
        match (self, claim) {
            (Self::Exists(expected), claim) => claim.is_some() == *expected,
            (_, None) => false,
            (Self::OneOf(values), Some(claim)) => values.contains(claim),
            (Self::Has(element), Some(Value::Array(list))) => list.contains(element),
            (Self::Word(word), Some(Value::String(text))) => text.split_ascii_whitespace().any(|each| each == word),
            (Self::HasKey(name), Some(Value::Object(object))) => object.contains_key(name),
            (Self::Like(pattern), Some(Value::String(text))) => is_like(pattern, text),
            _ => false,
        }
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any run of characters, also an empty one.
pub(crate) fn is_like(pattern: &str, text: &str) -> bool {
    stars::fits_text(pattern.split('*'), text)
}

impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.found {
            Some(found) => write!(f, "claims.{} is {}, {}", self.path, Shown(found), self.expected),
            None => write!(f, "claims.{} is missing, {}", self.path, self.expected),
        }
    }
}

/// A claim's value as JSON, cut so that a log line stays readable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a>(pub(crate) &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 100;
        let json = self.0.to_string();
        match json.char_indices().nth(MOST).and_then(|(end, _)| json.get(..end)) {
            Some(start) => write!(f, "{start}…"),
            None => f.write_str(&json),
        }
    }
}

/// Continues a sentence that says what the claim is.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(values) => {
                f.write_str("not ")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
            Self::Has(element) => write!(f, "which is not a list with {element}"),
            Self::Word(word) => write!(f, "which has no word {word:?}"),
            Self::HasKey(name) => write!(f, "which is not an object with {name:?}"),
            Self::Like(pattern) => write!(f, "which is not like {pattern:?}"),
            Self::Exists(true) => f.write_str("but must be there"),
            Self::Exists(false) => f.write_str("but must not be there"),
        }
    }
}
