//! Why a setting cannot be used, in one sentence: which setting, and what to do. Contains no secret and no line of a file.

use std::io;
use std::path::PathBuf;

use crate::inbox::MalformedRedisUrl;
use crate::livekit::key::KeyError;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    #[error("{setting} is {value:?} but must be {expected}")]
    Invalid { setting: &'static str, value: String, expected: &'static str },
    #[error("{setting} is empty: give it a value, or unset it")]
    Empty { setting: &'static str },
    #[error("{setting} has a line end or another control character in it: give only the key that mints tokens")]
    NotOneKey { setting: &'static str },
    #[error("{setting} contains no key: write one `key: secret` per line")]
    NoKey { setting: &'static str },
    #[error("{given} is set without {missing}: set both, or neither")]
    HalfAPair { given: &'static str, missing: &'static str },
    /// The URL is not shown, because it may contain a password.
    #[error(
        "{setting}: {source}: write it as redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE] or redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]/MASTER, each with ?replicas=N if needed, with special characters in USER or PASSWORD percent-encoded"
    )]
    RedisUrl { setting: &'static str, source: MalformedRedisUrl },
    #[error(
        "ROOMKEY_RELAY is set, but ROOMKEY_INBOX is none, so there is nothing to relay: give it an inbox, or unset ROOMKEY_RELAY"
    )]
    NothingToRelay,
    #[error("{} and {} are both set: unset one of them", settings.0, settings.1)]
    Both { settings: (&'static str, &'static str) },
    #[error("{setting}{}: {source}{}", in_line(*line), remedy(source))]
    Key { setting: &'static str, line: Option<usize>, source: KeyError },
    #[error("{setting}, line {line}: write it as `key: secret`, and put a key or secret with special characters in quotes")]
    NotAPair { setting: &'static str, line: usize },
    #[error("{setting}{} is not UTF-8: write it as {}", in_line(*line), if line.is_some() { "`key: secret` in UTF-8" } else { "UTF-8 text" })]
    NotUtf8 { setting: &'static str, line: Option<usize> },
    #[error(
        ".env, line {line}: write it as {variable}=value in UTF-8, with the value in single quotes if it has blanks or special characters"
    )]
    DotenvLine { variable: String, line: usize },
    #[error("{setting}: cannot read {}: {source}", path.display())]
    Unreadable { setting: &'static str, path: PathBuf, source: io::Error },
}

fn in_line(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

fn remedy(error: &KeyError) -> &'static str {
    match error {
        KeyError::ShortSecret => ", which is unsafe: make one with `openssl rand -base64 36`",
        KeyError::Contradiction { .. } => ": keep the right one",
        KeyError::Unknown { .. } => " among the keys: name one of them",
        _ => ": give it a name",
    }
}
