//! Reads values that mean the same in every section: flags, durations, URLs, files and secrets. Does not know whose they are, and does not
//! read the files and variables that are named there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;
use url::Url;

use crate::caller::settings::SecretSource;
use crate::policy::file::problem::Problem;
use crate::policy::file::reader::{Reader, Section, text};

impl Section<'_> {
    pub(crate) fn flag(&mut self, key: &'static str, reader: &mut Reader<'_>) -> Option<bool> {
        self.optional(key, "true or false", reader, DeValue::as_bool)
    }

    /// An http:// or https:// URL without credentials.
    pub(crate) fn http_url(&mut self, key: &'static str, expected: &'static str, reader: &mut Reader<'_>) -> Option<Url> {
        let is_plain = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && url.fragment().is_none()
        };
        // The parser would leave out line ends, even within the host.
        self.optional(key, expected, reader, |value| Url::parse(word(value)?).ok().filter(is_plain))
    }

    /// The path of a file. A relative one begins in `folder`.
    pub(crate) fn file(&mut self, key: &'static str, folder: &Path, reader: &mut Reader<'_>) -> Option<PathBuf> {
        self.optional(key, "the path of a file", reader, text).map(|path| folder.join(path))
    }

    /// Where a secret is: in the file that the first key names, or in the variable that the second one names.
    pub(crate) fn secret(
        &mut self,
        [file, variable]: [&'static str; 2],
        folder: &Path,
        reader: &mut Reader<'_>,
    ) -> Option<SecretSource> {
        const VARIABLE: &str = "the name of an environment variable, such as SCHOOL_SECRET: letters, digits and _";
        // A secret that was pasted here would otherwise appear in an error.
        let is_name = |text: &&str| {
            !text.starts_with(|first: char| first.is_ascii_digit())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let variable = self.optional(variable, VARIABLE, reader, |value| text(value).filter(is_name));
        let file = self.file(file, folder, reader).map(SecretSource::File);
        variable.map(|name| SecretSource::Env(name.to_owned())).or(file)
    }

    /// Reports if none or several of the keys are given. `about` says what the first one is.
    pub(crate) fn only_one(&self, keys: &[&'static str], about: &'static str, reader: &mut Reader<'_>) {
        if let Some(key) = keys.first().filter(|_| !keys.iter().any(|key| self.has(key))) {
            reader.mistake(&self.span, Problem::Missing { key, place: self.place.clone(), about });
        }
        self.at_most_one(keys, reader);
    }

    /// Reports if several of the keys are given.
    pub(crate) fn at_most_one(&self, keys: &[&'static str], reader: &mut Reader<'_>) {
        let mut given = keys.iter().filter(|key| self.has(key));
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            reader.mistake(&self.span, Problem::Both { first, second });
        }
    }
}

/// Text that is not empty, and has no blanks, line ends and other control characters.
pub(crate) fn word<'t>(value: &'t DeValue<'_>) -> Option<&'t str> {
    text(value).filter(|text| !text.contains(|each: char| each.is_whitespace() || each.is_control()))
}

pub(crate) fn duration(value: &DeValue<'_>) -> Option<Duration> {
    humantime::parse_duration(value.as_str()?).ok()
}
