//! The dangers that an inspection of a token can find, and their messages. Does not look for them.

use std::borrow::Cow;
use std::fmt;

use crate::livekit::room_config::RoomConfigurationError;

/// What about a token is dangerous, or not what it seems.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Danger {
    /// It is signed with LiveKit's [`DEVELOPMENT_PAIR`](crate::livekit::key::DEVELOPMENT_PAIR), so anyone can make another.
    DevelopmentKey,
    /// It lets its bearer join, but names no room: LiveKit lets it into all of them.
    NoRoom,
    /// It lets its bearer join, but has no identity: LiveKit refuses it.
    NoIdentity,
    /// It has no `exp`: LiveKit refuses it, others may accept it for ever.
    NoExpiry,
    /// It is valid for longer than [`LONG_LIFE`](crate::livekit::inspection::LONG_LIFE).
    LongLived {
        /// How many seconds it is valid.
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
        /// Its path, such as `video.canFly`.
        path: String,
    },
    /// An unknown name among the sources: it matches no track.
    UnknownSource {
        /// The name.
        name: String,
    },
    /// A claim of another type than LiveKit reads: LiveKit refuses the whole token.
    WrongType {
        /// Its name.
        name: String,
    },
    /// An object has two members of one name: readers may differ in which one counts.
    Ambiguous,
    /// `roomConfig` has a credential, or LiveKit cannot read it.
    RoomConfig(RoomConfigurationError),
    /// It is longer than [`MAX_URL_BYTES`](crate::livekit::inspection::MAX_URL_BYTES).
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl Danger {
    /// A short name of the kind of danger, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind_and_message().0
    }

    #[rustfmt::skip]
    fn kind_and_message(&self) -> (&'static str, Cow<'static, str>) {
        match self {
            Self::DevelopmentKey => ("development_key", "it is signed with LiveKit's development key \"devkey\", whose secret everyone knows: use a key of your own in production".into()),
            Self::NoRoom => ("no_room", "it names no room, so its bearer can join any".into()),
            Self::NoIdentity => ("no_identity", "it lets its bearer join but has no identity: LiveKit refuses it".into()),
            Self::NoExpiry => ("no_expiry", "it has no exp, so it never expires: LiveKit refuses it, others may not".into()),
            Self::LongLived { seconds } => ("long_lived", format!("it is valid for {} hours, and cannot be revoked: make it 24 at most", seconds / 3600).into()),
            Self::Power { grant: "roomCreate" } => ("power", "roomCreate lets a participant create rooms, and delete them: keep it on servers".into()),
            Self::Power { grant } => ("power", format!("{grant} lets a participant moderate the room: mute, move and remove others").into()),
            Self::UnknownClaim { name } => ("unknown_claim", format!("LiveKit does not know the claim {name:?} and ignores it").into()),
            Self::UnknownGrant { path } => ("unknown_grant", format!("LiveKit does not know the grant {path:?} and ignores it").into()),
            Self::UnknownSource { name } => ("unknown_source", format!("there is no source {name:?}, so no track matches it").into()),
            Self::WrongType { name } => ("wrong_type", format!("the claim {name} has a wrong type: LiveKit refuses the whole token").into()),
            Self::Ambiguous => ("ambiguous", "an object has two members of one name: readers may differ in which one counts".into()),
            Self::RoomConfig(error @ RoomConfigurationError::Credentials { .. }) => ("credentials", format!("roomConfig: {error}").into()),
            Self::RoomConfig(error) => ("room_config", format!("roomConfig: {error}: LiveKit refuses the whole token").into()),
            Self::TooLong { bytes } => ("too_long", format!("it is {bytes} bytes long, but clients send it in a URL, and servers and proxies take URLs of at most 8 KiB").into()),
        }
    }
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind_and_message().1)
    }
}
