//! Placeholders: what stands between the braces of a template. Does not know what they are filled with.

use std::fmt;

use toml::de::DeTable;

use crate::caller::claim_path::ClaimPath;

/// The name of what a template takes from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Room,
    Identity,
    Name,
    Metadata,
    Attributes,
    RoomConfig,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Placeholder {
    /// Who the caller is.
    Subject,
    /// A claim of the caller.
    Claim(ClaimPath),
    /// What the request asks for.
    Request(Field),
    /// Random letters, other ones in each place.
    Random,
}

/// The placeholders as they are written. Claims have a path after theirs.
const WRITTEN: [(&str, Placeholder); 8] = [
    ("subject", Placeholder::Subject),
    ("random", Placeholder::Random),
    ("request.room", Placeholder::Request(Field::Room)),
    ("request.identity", Placeholder::Request(Field::Identity)),
    ("request.name", Placeholder::Request(Field::Name)),
    ("request.metadata", Placeholder::Request(Field::Metadata)),
    ("request.attributes", Placeholder::Request(Field::Attributes)),
    ("request.room_config", Placeholder::Request(Field::RoomConfig)),
];
const CLAIMS: &str = "claims.";

impl Placeholder {
    pub(crate) const ROOM_CONFIG: Self = Self::Request(Field::RoomConfig);

    /// Reads what stands between two braces.
    pub(crate) fn parse(text: &str) -> Result<Self, PlaceholderError> {
        if let Some((_, placeholder)) = WRITTEN.iter().find(|(written, _)| *written == text) {
            return Ok(placeholder.clone());
        }
        if let Some(path) = text.strip_prefix(CLAIMS) {
            return claim_path(path).map(Self::Claim).ok_or(PlaceholderError::Path { path: path.to_owned() });
        }
        let known = WRITTEN.iter().map(|(written, _)| *written).chain([CLAIMS]);
        // Only the first name of a path counts, so that `{claim.role}` is near to `{claims.…}`.
        let distance = |known: &&str| match (known.split_once('.'), text.split_once('.')) {
            (Some((known, "")), Some((name, _))) => strsim::damerau_levenshtein(known, name),
            _ => strsim::damerau_levenshtein(known, text),
        };
        let nearest = known.min_by_key(distance).unwrap_or(CLAIMS);
        let nearest = if nearest == CLAIMS { "claims.PATH" } else { nearest };
        Err(PlaceholderError::Unknown { name: text.to_owned(), nearest })
    }

    /// Whether its value is an object, which text cannot contain.
    pub(crate) fn is_object(&self) -> bool {
        matches!(self, Self::Request(Field::Attributes | Field::RoomConfig))
    }
}

/// Reads a claim's path, which has the form of a TOML key, and so is read as one.
pub(crate) fn claim_path(text: &str) -> Option<ClaimPath> {
    let document = format!("{text}=0");
    let read = DeTable::parse(&document).ok()?;
    let mut table = read.get_ref();
    let mut names = Vec::new();
    loop {
        let (name, value) = table.iter().next().filter(|_| table.len() == 1)?;
        names.push(name.get_ref().to_string());
        match value.get_ref().as_table() {
            Some(inner) => table = inner,
            None => return Some(ClaimPath::from(names)),
        }
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(path) => write!(f, "{CLAIMS}{path}"),
            other => f.write_str(WRITTEN.iter().find(|(_, each)| each == other).map_or("", |(written, _)| written)),
        }
    }
}

/// Why a placeholder cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PlaceholderError {
    #[error("there is no placeholder {{{name}}}: did you mean {{{nearest}}}?")]
    Unknown { name: String, nearest: &'static str },
    #[error(
        "{{claims.{path}}} has no path of a claim: write names with dots between them, and put a name with other characters in quotes"
    )]
    Path { path: String },
}
