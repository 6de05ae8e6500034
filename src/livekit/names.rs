//! The names in a token, which cannot be empty or too long. Does not know what they are used for.

use std::cmp::Ordering;
use std::fmt;

use crate::json::{self, Buffer, Written};

/// The most bytes of a room's name, an identity and a participant's name (livekit `pkg/config/config.go`).
pub const MAX_NAME_BYTES: usize = 256;

/// A name's text.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Text {
    /// One that is short and that JSON writes unchanged, as most are. It is kept without an allocation, so that minting allocates nothing
    /// but the token. Spaces fill the words.
    Short { words: Words, length: u8 },
    /// Any other.
    Long(String),
}

/// Aligned, so that compilers keep it in registers while names are moved.
#[derive(Clone, PartialEq, Eq, Hash)]
#[repr(align(8))]
struct Words([[u8; 8]; 4]);

impl Text {
    // If this were not inlined, each name would be copied through memory several times.
    #[inline(always)]
    fn new(text: impl AsRef<str> + Into<String>) -> Self {
        let given = text.as_ref().as_bytes();
        match (json::plain_words(given), u8::try_from(given.len())) {
            (Some(words), Ok(length)) => Self::Short { words: Words(words), length },
            _ => Self::Long(text.into()),
        }
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { words, length } => words.0.as_flattened().get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(text) => text.as_bytes(),
        }
    }

    fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default() // it was a string
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// Declares a name that is neither empty nor longer than [`MAX_NAME_BYTES`]. Errors call it `$what`.
macro_rules! name {
    ($(#[$about:meta])* $name:ident: $what:literal) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Text);

        impl $name {
            /// Takes `name` unchanged.
            ///
            /// # Errors
            /// If it is empty or longer than 256 bytes.
            #[inline]
            pub fn new(name: impl AsRef<str> + Into<String>) -> Result<Self, NameError> {
                match name.as_ref().len() {
                    0 => Err(NameError::Empty { what: $what }),
                    1..=MAX_NAME_BYTES => Ok(Self(Text::new(name))),
                    _ => Err(NameError::TooLong { what: $what }),
                }
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                match name.0 {
                    Text::Long(text) => text,
                    short => short.as_str().to_owned(),
                }
            }
        }

        impl Written for $name {
            #[inline]
            fn write(&self, out: &mut impl Buffer) {
                match &self.0 {
                    Text::Short { words, length } => {
                        out.append(b"\"");
                        out.append_start(&words.0, usize::from(*length));
                        out.append(b"\"");
                    }
                    Text::Long(text) => json::write_text(out, text),
                }
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
