//! Owns the file `.env`. Other programs keep settings there too, in forms of their own: a line counts only once a setting of
//! ours is looked for in it. Does not know which those are.

use std::fs::File;
use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use crate::config::ConfigError;
use crate::config::key_file::whole;

/// The name of the file, and of the setting in errors.
const FILE: &str = ".env";

/// What a file `.env` assigns, in its order.
#[derive(Default)]
pub(super) struct Dotenv(Vec<Assignment>);

struct Assignment {
    name: String,
    line: usize,
    /// `None` where it cannot be understood.
    value: Option<Zeroizing<String>>,
}

impl Dotenv {
    /// The file in `directory`, which need not be there.
    pub(super) fn read(directory: &Path) -> Result<Self, ConfigError> {
        let path = directory.join(FILE);
        let unreadable = |source| ConfigError::Unreadable { setting: FILE, path: path.clone(), source };
        let bytes = match File::open(&path).and_then(whole) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unreadable(error)),
        };
        // UTF-16, as Windows' shell writes it, would look like a file without any setting of ours.
        if bytes.contains(&0) {
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text: save it as UTF-8")));
        }
        let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
        Ok(Self::parse(text.strip_prefix('\u{feff}').unwrap_or(&text)))
    }

    fn parse(text: &str) -> Self {
        let mut assignments = Vec::new();
        let mut sound = Zeroizing::new(String::with_capacity(text.len().saturating_add(1)));
        let (mut rest, mut line) = (text, 1_usize);
        while !rest.is_empty() {
            let (statement, next) = split_statement(rest);
            let name = name(statement);
            let is_sound = understood(statement).is_some_and(|read| matches!(&read[..], [(each, _)] if each == name))
                && !statement.contains(char::REPLACEMENT_CHARACTER);
            if is_sound {
                sound.push_str(statement);
            }
            if !name.is_empty() {
                // Until its value is known, an empty one.
                assignments.push(Assignment { name: name.to_owned(), line, value: is_sound.then(Zeroizing::default) });
            }
            line = line.saturating_add(statement.matches('\n').count());
            rest = next;
        }
        // All at once, because a value may refer to those above it.
        let mut values = understood(&sound).into_iter().flatten().map(|(_, value)| value);
        for assignment in assignments.iter_mut().filter(|assignment| assignment.value.is_some()) {
            assignment.value = values.next();
        }
        Self(assignments)
    }

    /// The first value of the variable `name`, if there is one.
    ///
    /// # Errors
    /// Where a line that sets it cannot be understood. The error tells its number and not what is in it.
    pub(super) fn find(&self, name: &'static str) -> Result<Option<Zeroizing<String>>, ConfigError> {
        let mut ours = self.0.iter().filter(|assignment| assignment.name == name).peekable();
        let first = ours.peek().and_then(|first| first.value.clone());
        match ours.find(|assignment| assignment.value.is_none()) {
            Some(Assignment { line, .. }) => Err(ConfigError::DotenvLine { setting: name, line: *line }),
            None => Ok(first),
        }
    }

    /// The names of all variables that are set there.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|assignment| assignment.name.as_str())
    }
}

/// The assignments in `text`, where all of it can be understood.
fn understood(text: &str) -> Option<Vec<(String, Zeroizing<String>)>> {
    // Without a line end, a blank at the end would be an error.
    let lines = io::Read::chain(text.as_bytes(), &b"\n"[..]);
    dotenvy::from_read_iter(lines).map(|read| read.map(|(name, value)| (name, Zeroizing::new(value))).ok()).collect()
}

/// The first line of `text`, with the lines after it that a value in quotes goes over, and the rest. A quote that is closed in
/// the middle of a line is none that goes over lines, such as an apostrophe.
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

/// What follows the `quote` that closes what `text` begins with.
fn after_quote(text: &str, quote: char) -> Option<&str> {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == quote {
            return Some(letters.as_str());
        }
        if letter == '\\' && quote == '"' {
            letters.next();
        }
    }
    None
}

/// The name that `statement` begins with, after `export` too; empty where there is none.
fn name(statement: &str) -> &str {
    let word = |text: &'_ str| text.find(|each: char| !(each.is_alphanumeric() || "_.-".contains(each))).unwrap_or(text.len());
    let statement = statement.trim();
    let (first, rest) = statement.split_at(word(statement));
    match rest.trim_start() {
        exported if first == "export" && !exported.starts_with('=') => exported.split_at(word(exported)).0,
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "LIVEKIT_API_KEY";

    fn found(text: &str) -> Result<Option<String>, usize> {
        match Dotenv::parse(text).find(OURS) {
            Ok(value) => Ok(value.map(|value| value.to_string())),
            Err(ConfigError::DotenvLine { line, .. }) => Err(line),
            Err(_) => Err(0),
        }
    }

    #[test]
    fn lines_of_others_that_cannot_be_understood() {
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
    fn a_value_may_refer_to_those_above_it() {
        let text = format!("A=it's\nPREFIX=API\nB=C D\nexport {OURS}=${{PREFIX}}key # it's ours\n{OURS}=later");
        assert_eq!(found(&text), Ok(Some("APIkey".to_owned())));
        assert_eq!(found(&format!("PREFIX=API\n{OURS}='${{PREFIX}}key'")), Ok(Some("${PREFIX}key".to_owned())));
    }

    #[test]
    fn broken_lines_of_ours() {
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
