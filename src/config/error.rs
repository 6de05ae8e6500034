//! Owns why settings cannot be used, in one sentence each.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::inbox::MalformedRedisUrl;
use crate::livekit::key::KeyError;

/// Why settings cannot be used. Says which one and what to do, and never a secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value cannot be understood.
    Invalid {
        /// The setting.
        setting: &'static str,
        /// Its value, which is no secret.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Something that should hold a secret holds nothing.
    Empty {
        /// The setting.
        setting: &'static str,
    },
    /// A list of keys that holds none.
    NoKey {
        /// The setting.
        setting: &'static str,
    },
    /// A key without its secret, or the other way round.
    HalfAPair {
        /// The half that is there.
        given: &'static str,
        /// The half that is not.
        missing: &'static str,
    },
    /// An URL of a Redis that cannot be understood.
    RedisUrl {
        /// The setting.
        setting: &'static str,
        /// That it is malformed; it may hold a password, and so is not told.
        source: MalformedRedisUrl,
    },
    /// Two settings that exclude each other.
    Both {
        /// The two.
        settings: (&'static str, &'static str),
    },
    /// A key that cannot be.
    Key {
        /// The setting.
        setting: &'static str,
        /// Why.
        source: KeyError,
    },
    /// A key in a list that cannot be.
    KeyAtLine {
        /// The setting.
        setting: &'static str,
        /// The line, from 1.
        line: usize,
        /// Why.
        source: KeyError,
    },
    /// A line that is no `key: secret`.
    NotAPair {
        /// The setting.
        setting: &'static str,
        /// The line, from 1.
        line: usize,
    },
    /// Something that is not UTF-8.
    NotUtf8 {
        /// The setting.
        setting: &'static str,
        /// The line, from 1, where it has several.
        line: Option<usize>,
    },
    /// A line of `.env` that sets a variable of ours and is no `NAME=value`.
    DotenvLine {
        /// The variable.
        setting: &'static str,
        /// The line, from 1.
        line: usize,
    },
    /// A file that cannot be read.
    Unreadable {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { setting, value, expected } => write!(f, "{setting} is {value:?} but must be {expected}"),
            Self::Empty { setting } => write!(f, "{setting} is empty: give it a value, or unset it"),
            Self::NoKey { setting } => write!(f, "{setting} holds no key: write `key: secret`, one a line"),
            Self::RedisUrl { setting, source } => {
                write!(
                    f,
                    "{setting}: {source}: write it as redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], what is special in USER or PASSWORD percent-encoded"
                )
            }
            Self::HalfAPair { given, missing } => write!(f, "{given} is set without {missing}: set both, or neither"),
            Self::Both { settings: (one, other) } => write!(f, "{one} and {other} are both set: unset one of them"),
            Self::Key { setting, source } => write!(f, "{setting}: {source}{}", remedy(source)),
            Self::KeyAtLine { setting, line, source } => write!(f, "{setting}, line {line}: {source}{}", remedy(source)),
            Self::NotAPair { setting, line } => {
                write!(f, "{setting}, line {line}: write it as `key: secret`, in quotes what has special characters")
            }
            Self::NotUtf8 { setting, line: None } => write!(f, "{setting} is not UTF-8: write it as UTF-8 text"),
            Self::NotUtf8 { setting, line: Some(line) } => {
                write!(f, "{setting}, line {line}, is not UTF-8: write it as `key: secret` in UTF-8")
            }
            Self::DotenvLine { setting, line } => {
                write!(
                    f,
                    ".env, line {line}: write it as {setting}=value in UTF-8, with the value in single quotes if it has blanks or special characters"
                )
            }
            Self::Unreadable { setting, path, source } => write!(f, "{setting}: cannot read {}: {source}", path.display()),
        }
    }
}

fn remedy(error: &KeyError) -> &'static str {
    match error {
        KeyError::ShortSecret => ", which is unsafe: make one with `openssl rand -base64 36`",
        KeyError::Contradiction { .. } => ": keep the right one",
        KeyError::Unknown { .. } => " among the keys: name one of them",
        _ => ": give it a name",
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Key { source, .. } | Self::KeyAtLine { source, .. } => Some(source),
            Self::RedisUrl { source, .. } => Some(source),
            Self::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}
