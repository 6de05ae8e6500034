//! Owns lists of keys, `key: secret` one a line, as LiveKit Server takes them: a mapping in YAML, of plain scalars and such in
//! quotes (<https://yaml.org/spec/1.2.2/#73-flow-scalar-styles>). What else YAML has is refused with its line.

use zeroize::Zeroizing;

use crate::config::ConfigError;
use crate::config::values::pasted;
use crate::livekit::key::{ApiKey, KeyError};

/// What begins something else than a plain scalar.
const INDICATORS: &str = "[]{},&*!|>@`\"'%";

/// The keys of `list`, in their order. Empty lines and comments count as nothing.
pub(super) fn parse(setting: &'static str, list: &[u8]) -> Result<Vec<ApiKey>, ConfigError> {
    let text = str::from_utf8(list).map_err(|error| {
        let sound = list.get(..error.valid_up_to()).unwrap_or_default();
        ConfigError::NotUtf8 { setting, line: Some(sound.split(|byte| *byte == b'\n').count()) }
    })?;
    let list = pasted(text);
    let first = text.split_once(list).map_or(1, |(before, _)| before.split('\n').count());
    let mut keys: Vec<ApiKey> = Vec::new();
    for (line, text) in (first..).zip(list.split('\n').map(str::trim)) {
        let not_a_pair = ConfigError::NotAPair { setting, line };
        let is_begin = text == "---" && keys.is_empty();
        if text.is_empty() || text.starts_with('#') || is_begin {
            continue;
        }
        let (name, secret) = pair(text).ok_or(not_a_pair)?;
        let cannot_be = |source| ConfigError::KeyAtLine { setting, line, source };
        let key = ApiKey::new(&name, &secret).map_err(cannot_be)?;
        if keys.iter().any(|other| other.name() == key.name() && *other != key) {
            return Err(cannot_be(KeyError::Contradiction { name: key.name().to_owned() }));
        }
        keys.push(key);
    }
    if keys.is_empty() { Err(ConfigError::NoKey { setting }) } else { Ok(keys) }
}

type Scalar = Zeroizing<String>;

/// The two scalars of a line that is neither empty nor a comment.
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

/// `text` up to a comment, which begins it or follows a blank.
fn without_comment(text: &str) -> &str {
    let begins_one =
        |at: &usize| text.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with(char::is_whitespace));
    let end = text.match_indices('#').map(|(at, _)| at).find(begins_one);
    end.and_then(|end| text.get(..end)).unwrap_or(text).trim()
}

fn plain(text: &str) -> Option<Scalar> {
    let text = text.trim();
    let begins_otherwise =
        text.starts_with(|first| INDICATORS.contains(first)) || text.starts_with("- ") || text.starts_with("? ");
    // Two lines that were written into one look like this.
    let holds_more = [": ", " #"].iter().any(|mark| text.contains(mark)) || text.ends_with(':');
    let is_plain = !begins_otherwise && !holds_more && !text.contains(char::is_control);
    is_plain.then(|| Scalar::new(text.to_owned()))
}

/// The scalar in quotes that `text` begins with, and what follows it.
fn quoted(text: &str) -> Option<(Scalar, &str)> {
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let mut scalar = Scalar::new(String::with_capacity(text.len()));
    let mut letters = text.chars();
    letters.next();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if quote == '"' => scalar.push(letters.next().filter(|escaped| matches!(escaped, '"' | '\\' | '/'))?),
            _ if letter.is_control() => return None,
            _ if letter != quote => scalar.push(letter),
            // In single quotes, two of them are one.
            '\'' if letters.as_str().starts_with('\'') => scalar.extend(letters.next()),
            _ => return Some((scalar, letters.as_str())),
        }
    }
    None
}
