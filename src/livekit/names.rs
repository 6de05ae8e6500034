//! The names in a token, which cannot be empty or too long. Does not know what they are used for.

/// The most bytes of a room's name, an identity and a participant's name (livekit `pkg/config/config.go`).
pub const MAX_NAME_BYTES: usize = 256;

/// Declares a name that is neither empty nor longer than [`MAX_NAME_BYTES`]. Errors call it `$what`.
macro_rules! name {
    ($(#[$about:meta])* $name:ident: $what:literal) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Takes `name` unchanged.
            ///
            /// # Errors
            /// If it is empty or longer than 256 bytes.
            pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
                let name = name.into();
                match name.len() {
                    0 => Err(NameError::Empty { what: $what }),
                    1..=MAX_NAME_BYTES => Ok(Self(name)),
                    _ => Err(NameError::TooLong { what: $what }),
                }
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name! {
    /// A room's name.
    RoomName: "room name"
}

name! {
    /// A participant's identity, unique in a room.
    Identity: "identity"
}

name! {
    /// A participant's display name.
    ParticipantName: "participant name"
}

/// By default, a participant is shown by its identity.
impl From<Identity> for ParticipantName {
    fn from(identity: Identity) -> Self {
        Self(identity.0)
    }
}

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It is empty.
    #[error("the {what} {}", self.reason())]
    Empty {
        /// Which name: `room name`, `identity` or `participant name`.
        what: &'static str,
    },
    /// It is longer than [`MAX_NAME_BYTES`].
    #[error("the {what} {}", self.reason())]
    TooLong {
        /// Which name.
        what: &'static str,
    },
}

impl NameError {
    /// What is wrong, without the kind of name, because the reader may know it as a field or a flag.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Empty { .. } => "must not be empty".to_owned(),
            Self::TooLong { .. } => format!("must be at most {MAX_NAME_BYTES} bytes"),
        }
    }
}
