//! The path of a claim within a token's claims, written as TOML's dotted keys. Does not know what the claim is for.

use std::fmt;

use serde_json::{Map, Value};

/// The names of the members that lead to a claim, such as `realm_access.roles`. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// Whether it is the one name `name`.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        matches!(&self.0[..], [only] if only == name)
    }

    /// The claim within `claims`. An object is entered only by the exact name of its member.
    pub(crate) fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl From<Vec<String>> for ClaimPath {
    fn from(names: Vec<String>) -> Self {
        Self(names)
    }
}

/// As it is written in the policy file, with quotes where TOML needs them.
impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            let is_bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            let dot = if index == 0 { "" } else { "." };
            if is_bare { write!(f, "{dot}{name}")? } else { write!(f, "{dot}{name:?}")? }
        }
        Ok(())
    }
}
