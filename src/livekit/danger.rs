//! Owns the dangers that an inspection of a token can find, and their words. Does not look for them.

use std::fmt;

use crate::livekit::room_config::RoomConfigurationError;

/// What about a token is dangerous, or not what it seems.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Danger {
    /// It is signed with LiveKit's [`DEVELOPMENT_PAIR`](crate::livekit::key::DEVELOPMENT_PAIR), so that everyone can make its like.
    DevelopmentKey,
    /// It lets its bearer join, but names no room: LiveKit lets it into all.
    NoRoom,
    /// It lets its bearer join, but does not say who that is: LiveKit refuses it.
    NoIdentity,
    /// It has no `exp`: LiveKit refuses it, others may let it hold for ever.
    NoExpiry,
    /// It holds longer than [`LONG_LIFE`](crate::livekit::inspection::LONG_LIFE).
    LongLived {
        /// For so many seconds.
        seconds: u64,
    },
    /// It gives a participant a power that a server should keep.
    Power {
        /// The grant's name.
        grant: &'static str,
    },
    /// A claim that LiveKit does not know, and ignores.
    UnknownClaim {
        /// Its name.
        name: String,
    },
    /// A grant that LiveKit does not know, and ignores.
    UnknownGrant {
        /// Where it stands, such as `video.canFly`.
        path: String,
    },
    /// A name among the sources that is none: it matches no track.
    UnknownSource {
        /// That name.
        name: String,
    },
    /// A claim of another type than LiveKit reads, which refuses the whole token for it.
    WrongType {
        /// Its name.
        name: String,
    },
    /// A name stands twice in one object: readers may differ in which one counts.
    Ambiguous,
    /// `roomConfig` bears a credential, or cannot be read by LiveKit.
    RoomConfig(RoomConfigurationError),
    /// It is longer than [`MAX_URL_BYTES`](crate::livekit::inspection::MAX_URL_BYTES).
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl Danger {
    /// A short name of its kind, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::DevelopmentKey => "development_key",
            Self::NoRoom => "no_room",
            Self::NoIdentity => "no_identity",
            Self::NoExpiry => "no_expiry",
            Self::LongLived { .. } => "long_lived",
            Self::Power { .. } => "power",
            Self::UnknownClaim { .. } => "unknown_claim",
            Self::UnknownGrant { .. } => "unknown_grant",
            Self::UnknownSource { .. } => "unknown_source",
            Self::WrongType { .. } => "wrong_type",
            Self::Ambiguous => "ambiguous",
            Self::RoomConfig(RoomConfigurationError::Credentials { .. }) => "credentials",
            Self::RoomConfig(_) => "room_config",
            Self::TooLong { .. } => "too_long",
        }
    }
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DevelopmentKey => f.write_str(
                "it is signed with LiveKit's development key \"devkey\", whose secret everyone knows: use a key of your own in production",
            ),
            Self::NoRoom => f.write_str("it names no room, so that its bearer can join any"),
            Self::NoIdentity => f.write_str("it lets its bearer join but does not say who that is: LiveKit refuses it"),
            Self::NoExpiry => f.write_str("it has no exp and so no end: LiveKit refuses it, others may not"),
            Self::LongLived { seconds } => {
                write!(f, "it holds for {} hours, and cannot be called back: make it 24 at most", seconds / 3600)
            }
            Self::Power { grant: "roomCreate" } => {
                f.write_str("roomCreate lets a participant create rooms, and delete them: keep it on servers")
            }
            Self::Power { grant } => write!(f, "{grant} lets a participant moderate the room: mute, move and remove others"),
            Self::UnknownClaim { name } => write!(f, "LiveKit does not know the claim {name:?} and ignores it"),
            Self::UnknownGrant { path } => write!(f, "LiveKit does not know the grant {path:?} and ignores it"),
            Self::UnknownSource { name } => write!(f, "there is no source {name:?}, so that no track matches it"),
            Self::WrongType { name } => write!(f, "the claim {name} has a wrong type: LiveKit refuses the whole token"),
            Self::Ambiguous => f.write_str("a name stands twice in one object: readers may differ in which one counts"),
            Self::RoomConfig(error @ RoomConfigurationError::Credentials { .. }) => write!(f, "roomConfig: {error}"),
            Self::RoomConfig(error) => write!(f, "roomConfig: {error}: LiveKit refuses the whole token"),
            Self::TooLong { bytes } => {
                write!(f, "it is {bytes} bytes long, and clients send it in a URL, of which servers and proxies take 8 KiB")
            }
        }
    }
}
