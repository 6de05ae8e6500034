//! Lists of keys, one `key: secret` per line, as LiveKit Server takes them: a YAML mapping of plain or quoted scalars
//! (<https://yaml.org/spec/1.2.2/#73-flow-scalar-styles>). Anything else that YAML allows is refused with its line number. Does not
//! know where a list comes from.

use zeroize::Zeroizing;

use crate::config::ConfigError;
use crate::config::lookup::pasted;
use crate::livekit::key::{ApiKey, KeyError};

/// Characters that a plain scalar cannot begin with.
const INDICATORS: &str = "[]{},&*!|>@`\"'%";

/// The keys in `list`, in their order. Empty lines and comments are ignored.
pub(super) fn parse(setting: &'static str, list: &[u8]) -> Result<Vec<ApiKey>, ConfigError> {
    let text = str::from_utf8(list).map_err(|error| {
        let valid = list.get(..error.valid_up_to()).unwrap_or_default();
        ConfigError::NotUtf8 { setting, line: Some(valid.split(|byte| *byte == b'\n').count()) }
    })?;
    let list = pasted(text);
    let first = text.split_once(list).map_or(1, |(before, _)| before.split('\n').count());
    let mut keys: Vec<ApiKey> = Vec::new();
    for (line, text) in (first..).zip(list.split('\n').map(str::trim)) {
        let is_document_start = text == "---" && keys.is_empty();
        if text.is_empty() || text.starts_with('#') || is_document_start {
            continue;
        }
        let (name, secret) = pair(text).ok_or(ConfigError::NotAPair { setting, line })?;
        let invalid = |source| ConfigError::Key { setting, line: Some(line), source };
        let key = ApiKey::new(&name, &secret).map_err(invalid)?;
        if keys.iter().any(|other| other.name() == key.name() && *other != key) {
            return Err(invalid(KeyError::Contradiction { name: key.name().to_owned() }));
        }
        keys.push(key);
    }
    if keys.is_empty() { Err(ConfigError::NoKey { setting }) } else { Ok(keys) }
}

type Scalar = Zeroizing<String>;

/// The two scalars in a line that is neither empty nor a comment.
fn pair(line: &str) -> Option<(Scalar, Scalar)> {
    let (name, value) = match quoted(line) {
        Some((name, rest)) => (name, rest.trim_start().strip_prefix(':')?),
        None => {
            let (name, value) = [": ", ":\t", ":"].iter().find_map(|colon| line.split_once(colon))?;
            (plain(name)?, value)
        }
    };
    let value = value.trim();
    match quoted(value) {
        Some((secret, rest)) => without_comment(rest).is_empty().then_some((name, secret)),
        None => Some((name, plain(without_comment(value))?)),
    }
}

/// `text` without its comment, which is at the start or after a blank.
fn without_comment(text: &str) -> &str {
    let begins_comment =
        |at: &usize| text.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with(char::is_whitespace));
    let end = text.match_indices('#').map(|(at, _)| at).find(begins_comment);
    end.and_then(|end| text.get(..end)).unwrap_or(text).trim()
}

fn plain(text: &str) -> Option<Scalar> {
    let text = text.trim();
    let is_other_yaml = text.starts_with(|first| INDICATORS.contains(first)) || text.starts_with("- ") || text.starts_with("? ");
    // Two lines that were joined look like this.
    let is_joined = [": ", " #"].iter().any(|mark| text.contains(mark)) || text.ends_with(':');
    (!is_other_yaml && !is_joined && !text.contains(char::is_control)).then(|| Scalar::new(text.to_owned()))
}

/// The quoted scalar at the start of `text`, and the rest.
fn quoted(text: &str) -> Option<(Scalar, &str)> {
    let mut characters = text.chars();
    let quote = characters.next().filter(|first| matches!(first, '"' | '\''))?;
    let mut scalar = Scalar::new(String::with_capacity(text.len()));
    while let Some(character) = characters.next() {
        match character {
            '\\' if quote == '"' => scalar.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\' | '/'))?),
            _ if character.is_control() => return None,
            _ if character != quote => scalar.push(character),
            // In single quotes, two of them are one.
            '\'' if characters.as_str().starts_with('\'') => scalar.extend(characters.next()),
            _ => return Some((scalar, characters.as_str())),
        }
    }
    None
}
