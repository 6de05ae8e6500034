//! How a setting's value is found: the flag, else the variable. Does not know what any value means.

use zeroize::Zeroizing;

use crate::config::{ConfigError, Variables};

/// `text` as it was meant if it was pasted: without white space, line ends and byte order marks around it, and without quotes
/// around the whole.
pub(super) fn pasted(text: &str) -> &str {
    let is_around = |each: char| each.is_whitespace() || matches!(each, '\u{feff}' | '\u{200b}');
    let text = text.trim_matches(is_around);
    let without = |quote| text.strip_prefix(quote)?.strip_suffix(quote).filter(|inner| !inner.contains(quote));
    ['"', '\''].into_iter().find_map(without).map_or(text, pasted)
}

/// The name and the value of a setting. The value may be or contain a secret.
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) value: Option<Zeroizing<String>>,
    /// Whether it was set at all, possibly to an empty value.
    pub(super) is_set: bool,
    flags: Vec<Zeroizing<String>>,
    default: &'static str,
}

impl Setting {
    /// The flag, else the variable, else the default. An empty value counts as unset.
    pub(super) fn of(
        name: &'static str,
        default: &'static str,
        flag: impl IntoIterator<Item = String>,
        variables: &Variables,
    ) -> Result<Self, ConfigError> {
        let flags: Vec<_> = flag.into_iter().map(Zeroizing::new).collect();
        let mut set = flags.iter().cloned().chain(variables.find(name)?).peekable();
        let is_set = set.peek().is_some();
        let value = set.find(|value| !pasted(value).is_empty()).map(|value| Zeroizing::new(pasted(&value).to_owned()));
        Ok(Self { name, value, is_set, flags, default })
    }

    /// As [`of`](Self::of) without a default, but an empty value is an error: an orchestrator that lost a secret should not go
    /// unnoticed.
    pub(super) fn filled(name: &'static str, flag: Option<String>, variables: &Variables) -> Result<Self, ConfigError> {
        let value = flag.map(Zeroizing::new).into_iter().chain(variables.find(name)?).next();
        match &value {
            Some(value) if pasted(value).is_empty() => Err(ConfigError::Empty { setting: name }),
            _ => Ok(Self { name, is_set: value.is_some(), value, flags: Vec::new(), default: "" }),
        }
    }

    /// Its value, which is no secret.
    pub(super) fn text(&self) -> Option<String> {
        self.value.as_deref().map(|value| pasted(value).to_owned())
    }

    pub(super) fn text_or_default(&self) -> &str {
        self.value.as_deref().map_or(self.default, String::as_str)
    }

    /// What its value means, or else its default.
    pub(super) fn parse<T>(self, expected: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ConfigError> {
        let text = self.text_or_default();
        parse(text).ok_or_else(|| self.invalid(text, expected))
    }

    pub(super) fn optional<T>(
        self,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        self.value.is_some().then(|| self.parse(expected, parse)).transpose()
    }

    /// All values of the flag, else the parts of the variable between commas. An empty part stays, and is a mistake: a list that
    /// restricts something must not vanish.
    pub(super) fn list(&self) -> Vec<String> {
        let of_variable = self.value.iter().filter(|_| self.flags.is_empty()).flat_map(|list| list.split(','));
        self.flags.iter().map(|flag| flag.as_str()).chain(of_variable).map(|each| pasted(each).to_owned()).collect()
    }

    /// The error about the value `value`. It does not show the user, password and query of a URL.
    pub(super) fn invalid(&self, value: &str, expected: &'static str) -> ConfigError {
        let shown = value.rsplit_once('@').map_or_else(|| value.to_owned(), |(_, rest)| format!("…@{rest}"));
        let shown = shown.split_once('?').map_or(shown.clone(), |(rest, _)| format!("{rest}?…"));
        ConfigError::Invalid { setting: self.name, value: shown, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::pasted;

    #[test]
    fn pasted_text_is_cleaned() {
        for text in [
            "secret",
            " secret",
            "secret\n",
            "secret\r\n\r\n",
            "\u{feff}secret",
            "\"secret\"",
            "'secret'",
            " \"secret\" \n",
            "\"secret\n\"",
            "'\"secret\"'",
            "\u{feff}'secret'\n",
            "'\u{feff} secret '",
            "\u{a0}secret\t",
        ] {
            assert_eq!(pasted(text), "secret", "{text:?}");
        }
        for text in ["sec ret", "sec\"ret", "\"secret", "secret'", "\"secret'", "\"a\": \"b\"", "'a' 'b'", "\"", "", "a\nb"] {
            assert_eq!(pasted(text), text);
        }
        assert_eq!(pasted("\" '' \""), "");
    }
}
