//! Why a request gets no token: which rules were tried, and what did not fit. For the log and for `roomkey policy test`, because the
//! client is told nothing about the rules. Does not know statuses.

use std::fmt;

use crate::caller::matchers;
use crate::livekit::access_token::AccessTokenError;
use crate::livekit::room_config::RoomConfigurationError;
use crate::policy::PolicyError;
use crate::policy::pattern::Pattern;
use crate::policy::values::{Unfilled, Values};

/// Why a request gets no token.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum Reason<'a> {
    /// The request has no credential, and no rule is for such requests.
    Anonymous,
    /// No rule matches.
    NoRule,
    /// This rule matches, and denies.
    Rule { name: &'a str, unfit: Unfit<'a> },
}

/// What has to change for the request to get a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The request needs a credential.
    Credential,
    /// What the request asks for is incomplete or wrong, whoever asks for it.
    Request,
    /// The caller has no right to it.
    Rules,
    System,
}

impl<'a> Reason<'a> {
    pub(crate) fn blame(&self) -> Blame {
        match self {
            Self::Anonymous => Blame::Credential,
            Self::NoRule => Blame::Rules,
            Self::Rule { unfit, .. } => match unfit {
                Unfit::RoomNeeded => Blame::Request,
                Unfit::RoomConfig { error: RoomConfigurationError::Webhooks { .. }, .. } => Blame::Rules,
                Unfit::RoomConfig { is_asked_for: true, .. } => Blame::Request,
                Unfit::Unfilled { why: Unfilled::NoRandomness(_), .. } => Blame::System,
                Unfit::Unfilled { .. } | Unfit::Limit(_) | Unfit::RoomConfig { .. } | Unfit::ClientEgress => Blame::Rules,
            },
        }
    }

    /// The name of the rule that denies.
    pub(crate) fn rule(&self) -> Option<&'a str> {
        match self {
            Self::Rule { name, .. } => Some(name),
            _ => None,
        }
    }
}

/// A rule that does not match.
#[derive(Debug)]
pub(crate) struct Passed<'a> {
    pub(crate) rule: &'a str,
    pub(crate) why: Mismatch<'a>,
}

/// Why a rule does not match.
#[derive(Debug)]
pub(crate) enum Mismatch<'a> {
    /// It is for others.
    Caller {
        caller: &'a str,
        callers: &'a [String],
    },
    Claim(matchers::Mismatch<'a>),
    Room {
        room: &'a str,
        patterns: &'a [Pattern],
        values: Values<'a>,
    },
}

/// Why a rule that matches gives no token.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum Unfit<'a> {
    /// The request names no room, and the rule is about several.
    RoomNeeded,
    /// The template of this key cannot be filled.
    Unfilled { key: &'static str, why: Unfilled<'a> },
    /// A name, the metadata or the attributes are longer than LiveKit takes.
    Limit(AccessTokenError),
    RoomConfig {
        error: RoomConfigurationError,
        /// Whether the request asks for it, and the rule takes it over.
        is_asked_for: bool,
    },
    /// Only the operator may start recordings.
    ClientEgress,
}

/// `claims.role is "pupil", not "teacher"`.
impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller { caller, callers } => {
                f.write_str("it is for ")?;
                for (index, each) in callers.iter().enumerate() {
                    write!(f, "{}{each:?}", if index == 0 { "" } else { " and " })?;
                }
                write!(f, ", not {caller:?}")
            }
            Self::Claim(mismatch) => mismatch.fmt(f),
            Self::Room { room, patterns, values } => {
                write!(f, "the room is {room:?}, which does not match ")?;
                for (index, pattern) in patterns.iter().enumerate() {
                    write!(f, "{}{pattern}", if index == 0 { "" } else { " or " })?;
                    if let Some(filled) = pattern.filled(values) {
                        write!(f, " (here {filled:?})")?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Unfit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoomNeeded => f.write_str("the request names no room, and the rule is about several"),
            Self::Unfilled { key, why } => write!(f, "{key} cannot be filled: {why}"),
            Self::Limit(error) => error.fmt(f),
            Self::RoomConfig { error, .. } => write!(f, "room_config: {error}"),
            Self::ClientEgress => PolicyError::ClientEgress.fmt(f),
        }
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("the request has no credential, and no rule is for anonymous"),
            Self::NoRule => f.write_str("no rule matches"),
            Self::Rule { name, unfit } => write!(f, "the rule {name:?} denies: {unfit}"),
        }
    }
}
