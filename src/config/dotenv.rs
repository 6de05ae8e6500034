//! The file `.env`. Other programs keep settings there too, in formats of their own, so a line that cannot be read is an error only
//! if it sets a variable that roomkey looks for. Does not know which variables those are.

use std::fs::File;
use std::io;

use zeroize::Zeroizing;

use crate::config::ConfigError;
use crate::config::key_file::read_all;

/// The name of the file, also in errors.
const FILE: &str = ".env";

#[derive(Default)]
pub(super) struct Dotenv(Vec<Assignment>);

struct Assignment {
    name: String,
    line: usize,
    /// `None` if it cannot be read.
    value: Option<Zeroizing<String>>,
}

impl Dotenv {
    /// Reads the file in the working directory, if it exists. `is_set` says whether the environment has a variable.
    pub(super) fn read(is_set: impl Fn(&str) -> bool) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { setting: FILE, path: FILE.into(), source };
        let bytes = match File::open(FILE).and_then(read_all) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unreadable(error)),
        };
        // UTF-16, as Windows shells write it, would look like a file without any of roomkey's settings.
        if bytes.contains(&0) {
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text: save it as UTF-8")));
        }
        let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
        Ok(Self::parse(text.strip_prefix('\u{feff}').unwrap_or(&text), is_set))
    }

    fn parse(text: &str, is_set: impl Fn(&str) -> bool) -> Self {
        let mut assignments = Vec::new();
        let mut readable = Zeroizing::new(String::with_capacity(text.len().saturating_add(1)));
        let (mut rest, mut line) = (text, 1_usize);
        while !rest.is_empty() {
            let (statement, next) = split_statement(rest);
            let name = name(statement);
            let is_above = |name: &str| assignments.iter().any(|each: &Assignment| each.name == name && each.value.is_some());
            let is_readable = read_statements(statement).is_some_and(|read| matches!(&read[..], [(each, _)] if each == name))
                && !statement.contains(char::REPLACEMENT_CHARACTER)
                && variables_in(statement).all(|name| is_set(name) || is_above(name));
            if is_readable {
                readable.push_str(statement);
            }
            if !name.is_empty() {
                // The value is empty until it is known below.
                assignments.push(Assignment { name: name.to_owned(), line, value: is_readable.then(Zeroizing::default) });
            }
            line = line.saturating_add(statement.matches('\n').count());
            rest = next;
        }
        // All statements at once, because a value may refer to variables above it.
        let mut values = read_statements(&readable).into_iter().flatten().map(|(_, value)| value);
        for assignment in assignments.iter_mut().filter(|assignment| assignment.value.is_some()) {
            assignment.value = values.next();
        }
        Self(assignments)
    }

    /// The first value of the variable `name`, if there is one. All lines that set it must be readable.
    pub(super) fn find(&self, name: &str) -> Result<Option<Zeroizing<String>>, ConfigError> {
        let mut matching = self.0.iter().filter(|assignment| assignment.name == name);
        match matching.clone().find(|assignment| assignment.value.is_none()) {
            Some(Assignment { line, .. }) => Err(ConfigError::DotenvLine { variable: name.to_owned(), line: *line }),
            None => Ok(matching.next().and_then(|first| first.value.clone())),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|assignment| assignment.name.as_str())
    }
}

/// The names after each `$` in the value of `statement` that dotenvy replaces by a variable; an empty name if none follows. If there
/// is no such variable, it removes the `$` and the name without notice: they probably belong to a secret that needs single quotes.
fn variables_in(statement: &str) -> impl Iterator<Item = &str> {
    let value = statement.split_once('=').map_or("", |(_, value)| value.trim_start());
    let value = if value.starts_with('\'') { "" } else { value.split(" #").next().unwrap_or_default() };
    value.match_indices('$').filter_map(move |(at, _)| {
        let (before, after) = value.split_at_checked(at)?;
        let after = after.strip_prefix('$')?;
        let bare = || after.split(|each: char| !each.is_ascii_alphanumeric() && each != '_').next();
        let name = after.strip_prefix('{').map_or_else(bare, |braced| braced.split('}').next());
        name.filter(|_| !before.ends_with('\\'))
    })
}

/// The assignments in `text`, or `None` if any of it cannot be read.
fn read_statements(text: &str) -> Option<Vec<(String, Zeroizing<String>)>> {
    // Without a line end, a blank at the end would be an error.
    let lines = io::Read::chain(text.as_bytes(), &b"\n"[..]);
    dotenvy::from_read_iter(lines).map(|read| read.map(|(name, value)| (name, Zeroizing::new(value))).ok()).collect()
}

/// Splits `text` after its first statement: one line, or all lines of a quoted value. A quote that closes in the middle of a line,
/// such as an apostrophe, does not make a value of several lines.
fn split_statement(text: &str) -> (&str, &str) {
    let (line, after_line) = text.split_at(text.find('\n').map_or(text.len(), |end| end.saturating_add(1)));
    let after_quotes = || {
        let (before, _) = line.split_once('=').filter(|(before, _)| !before.contains('#'))?;
        let value = text.strip_prefix(before)?.strip_prefix('=')?.trim_start_matches([' ', '\t']);
        let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''))?;
        let end = after_quote(value.strip_prefix(quote)?, quote)?;
        let (end, next) = end.split_once('\n').unwrap_or((end, ""));
        let end = end.trim();
        (end.is_empty() || end.starts_with('#')).then_some(next)
    };
    let next = after_quotes().unwrap_or(after_line);
    (text.strip_suffix(next).unwrap_or(text), next)
}

/// What follows the `quote` that closes the value at the start of `text`.
fn after_quote(text: &str, quote: char) -> Option<&str> {
    let mut is_escaped = false;
    let is_end = |character: char| {
        let (closes, escapes) = (character == quote && !is_escaped, character == '\\' && quote == '"' && !is_escaped);
        is_escaped = escapes;
        closes
    };
    text.split_once(is_end).map(|(_, after)| after)
}

/// The name at the start of `statement`, possibly after `export`; empty if there is none.
fn name(statement: &str) -> &str {
    let word_end =
        |text: &'_ str| text.find(|each: char| !(each.is_alphanumeric() || "_.-".contains(each))).unwrap_or(text.len());
    let statement = statement.trim();
    let (first, rest) = statement.split_at(word_end(statement));
    match rest.trim_start() {
        exported if first == "export" && !exported.starts_with('=') => exported.split_at(word_end(exported)).0,
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "LIVEKIT_API_KEY";

    fn found(text: &str) -> Result<Option<String>, usize> {
        match Dotenv::parse(text, |_| false).find(OURS) {
            Ok(value) => Ok(value.map(|value| value.to_string())),
            Err(ConfigError::DotenvLine { line, .. }) => Err(line),
            Err(_) => Err(0),
        }
    }

    #[test]
    fn unreadable_lines_of_other_programs() {
        for others in [
            "APP_NAME=My App",
            "my-var=1",
            "export X=y z",
            "X=it's",
            "X='it's'",
            "X='tis the season",
            "X=\"open",
            "X='open",
            "X=`id`",
            "X=\\q",
            "X=a\\",
            "X=${open",
            "X",
            "export X",
            "export",
            "=x",
            "[section]",
            "key: value",
            "# it's \"",
            "X=1 # it's",
            "X=\u{fffd}",
            "-----",
            "\u{0007}",
        ] {
            for end in ["\n", "\r\n", " \n", "\t\r\n"] {
                for text in [
                    format!("{OURS}=APIkey{end}{others}{end}"),
                    format!("{others}{end}{OURS}=APIkey{end}{others}{end}"),
                    format!("{others}{end}{others}{end}{OURS}=APIkey"),
                ] {
                    assert_eq!(found(&text), Ok(Some("APIkey".to_owned())), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn values_over_several_lines() {
        for (text, expected) in [
            (format!("{OURS}='a\nb'\n"), Some("a\nb")),
            (format!("{OURS}=\"a\n\\\"b\\\"\"  # done\nX=1\n"), Some("a\n\"b\"")),
            (format!("X=\"-----BEGIN\n{OURS}=inner\n-----END\"\n{OURS}=outer"), Some("outer")),
            (format!("X='\n{OURS}=inner\n'\n"), None),
        ] {
            assert_eq!(found(&text), Ok(expected.map(str::to_owned)), "{text:?}");
        }
    }

    #[test]
    fn a_reference_to_no_variable_is_a_mistake() {
        for value in ["secret$Zq9", "secret$", "$$", "secret${NO_SUCH_VARIABLE}", "\"a$Zq9 b\"", "a\\$b$Zq9"] {
            assert_eq!(found(&format!("X=$Zq9\n{OURS}={value}\n")), Err(2), "{value}");
        }
        for (value, expected) in [("'secret$Zq9'", "secret$Zq9"), ("secret\\$Zq9", "secret$Zq9"), ("secret # $5", "secret")] {
            assert_eq!(found(&format!("{OURS}={value}\n")), Ok(Some(expected.to_owned())), "{value}");
        }
    }

    #[test]
    fn a_value_may_refer_to_those_above_it() {
        let text = format!("A=it's\nPREFIX=API\nB=C D\nexport {OURS}=${{PREFIX}}key # it's ours\n{OURS}=later");
        assert_eq!(found(&text), Ok(Some("APIkey".to_owned())));
        assert_eq!(found(&format!("PREFIX=API\n{OURS}='${{PREFIX}}key'")), Ok(Some("${PREFIX}key".to_owned())));
    }

    #[test]
    fn unreadable_lines_that_set_our_variables() {
        for (text, line) in [
            (format!("{OURS}=a b"), 1),
            (format!("X='\n\n'\n{OURS}='a"), 4),
            (format!("\n{OURS}: a\n"), 2),
            (format!("{OURS} a"), 1),
            (OURS.to_owned(), 1),
            (format!("export {OURS}=a b"), 1),
            (format!("{OURS}=a\nX=it's\n{OURS}=\"b"), 3),
            (format!("{OURS}=\u{fffd}"), 1),
        ] {
            assert_eq!(found(&text), Err(line), "{text:?}");
        }
        assert_eq!(found(&format!("X{OURS}=a b\n{OURS}_FILE=a b\n{OURS}-x=a b\nset {OURS}=a b\n#{OURS}=a b\n")), Ok(None));
    }
}
