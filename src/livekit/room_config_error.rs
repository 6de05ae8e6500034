//! Why a `roomConfig` is refused. Does not check it.

/// Why a room configuration is refused. Names the field, never its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoomConfigurationError {
    /// A field has another type than LiveKit reads.
    #[error("{path}{}must be {expected}", if path.is_empty() { "" } else { " " })]
    WrongType {
        /// The field, such as `agents.0.metadata`; empty for the whole object.
        path: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A field is given in both casings.
    #[error("{path} is given in both casings")]
    BothCasings {
        /// The field, in lowerCamelCase.
        path: String,
    },
    /// A credential, or an output that streams.
    #[error("{path} must not be in a token, because its bearer can read it")]
    Credentials {
        /// The field.
        path: String,
    },
    /// A client chooses where the events are sent.
    #[error("{path} is not allowed, because a client could have the room's events sent to itself")]
    Webhooks {
        /// The field.
        path: String,
    },
    /// An object, at any depth, has two members of one name, or a number is too large to read.
    #[error("must not have two members of one name in an object, nor a number beyond 1e308")]
    Twice,
    /// It holds more values than any room needs.
    #[error("must hold at most {limit} values")]
    TooManyValues {
        /// How many it may hold.
        limit: usize,
    },
    /// It nests deeper than any room needs.
    #[error("must not nest deeper than {limit} levels")]
    TooDeep {
        /// How deep it may nest.
        limit: usize,
    },
}

impl RoomConfigurationError {
    /// The field, such as `agents.0.metadata`; empty for the whole object.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::WrongType { path, .. } | Self::BothCasings { path } | Self::Credentials { path } | Self::Webhooks { path } => {
                path
            }
            Self::Twice | Self::TooManyValues { .. } | Self::TooDeep { .. } => "",
        }
    }

    /// The same error, in the field `name` of an outer object.
    pub(crate) fn under(mut self, name: &str) -> Self {
        if let Self::WrongType { path, .. } | Self::BothCasings { path } | Self::Webhooks { path } = &mut self {
            *path = if path.is_empty() { name.to_owned() } else { format!("{name}.{path}") };
        }
        self
    }
}
