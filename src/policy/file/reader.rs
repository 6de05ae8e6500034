//! Reads the tables of the file key by key, and collects what is wrong with them, so that one run finds all mistakes. After a mistake,
//! reading goes on with an empty value, because the file is refused in the end. Does not know what a key means.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::policy::file::problem::{About, Finding, Mistake, Position, Problem};
use crate::policy::file::suggestion::{Suggestion, nearest};

pub(crate) type Item<'t> = Spanned<DeValue<'t>>;

/// The file, and what was found in it so far.
#[derive(Debug)]
pub(crate) struct Reader<'s> {
    source: &'s str,
    /// Where each line begins.
    lines: Vec<usize>,
    has_syntax_errors: bool,
    pub(super) mistakes: Vec<Mistake>,
    findings: Vec<Finding>,
}

impl<'s> Reader<'s> {
    /// Begins to read `source`, which has at least one `section`. What is not TOML is a mistake, and is missing in the table.
    pub(crate) fn begin(source: &'s str, section: &'static str) -> (Self, Spanned<DeTable<'s>>) {
        let source = source.strip_prefix('\u{feff}').unwrap_or(source);
        let after_breaks = source.match_indices('\n').map(|(at, _)| at.saturating_add(1));
        let lines = std::iter::once(0).chain(after_breaks).collect();
        let (document, errors) = DeTable::parse_recoverable(source);
        let has_syntax_errors = !errors.is_empty();
        let mut reader = Self { source, lines, has_syntax_errors, mistakes: Vec::new(), findings: Vec::new() };
        for error in errors {
            let span = error.span().unwrap_or_default();
            reader.mistake(&span, Problem::Syntax { message: error.message().to_owned() });
        }
        if document.get_ref().is_empty() && !has_syntax_errors {
            reader.mistake(&(0..0), Problem::Empty { section }); // perhaps it is being written
        }
        (reader, document)
    }

    /// A reader of the same file. What it finds does not count.
    pub(super) fn apart(&self) -> Self {
        Self {
            source: self.source,
            lines: self.lines.clone(),
            has_syntax_errors: false,
            mistakes: Vec::new(),
            findings: Vec::new(),
        }
    }

    pub(crate) fn has_syntax_errors(&self) -> bool {
        self.has_syntax_errors
    }

    /// What was found, if there is no mistake.
    ///
    /// # Errors
    /// All mistakes, in the order of the file.
    pub(crate) fn finish(self) -> Result<Vec<Finding>, Vec<Mistake>> {
        let Self { mut mistakes, findings, .. } = self;
        if self.has_syntax_errors {
            // What is missing may be in a line that could not be read. A value that could not be read has no place.
            let is_certain = |mistake: &Mistake| match mistake.problem {
                Problem::Syntax { .. } => true,
                Problem::Missing { .. } => false,
                _ => mistake.at != Position::START,
            };
            mistakes.retain(is_certain);
        }
        mistakes.sort_by_key(|mistake| mistake.at);
        if mistakes.is_empty() { Ok(findings) } else { Err(mistakes) }
    }

    pub(crate) fn position(&self, span: &Range<usize>) -> Position {
        let line = self.lines.partition_point(|start| *start <= span.start);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.source.get(start..span.start).unwrap_or_default();
        Position { line, column: before.chars().count().saturating_add(1) }
    }

    pub(crate) fn mistake(&mut self, span: &Range<usize>, problem: Problem) {
        let at = self.position(span);
        self.mistakes.push(Mistake { at, problem });
    }

    pub(crate) fn find(&mut self, span: &Range<usize>, about: About) {
        let at = self.position(span);
        self.findings.push(Finding { at, about });
    }

    fn wrong(&mut self, key: &str, span: &Range<usize>, expected: &'static str) {
        self.mistake(span, Problem::Wrong { key: key.to_owned(), expected });
    }

    /// What `item` means according to `read`.
    pub(crate) fn read<'t, T>(
        &mut self,
        key: &str,
        item: &'t Item<'t>,
        expected: &'static str,
        read: impl FnOnce(&'t DeValue<'t>) -> Option<T>,
    ) -> Option<T> {
        let value = read(item.get_ref());
        if value.is_none() {
            self.wrong(key, &item.span(), expected);
        }
        value
    }

    /// The items of a list, or the item itself. An empty list is a mistake.
    pub(crate) fn one_or_more<'t>(&mut self, key: &str, item: &'t Item<'t>, expected: &'static str) -> Vec<&'t Item<'t>> {
        let items = items(item);
        if items.is_empty() {
            self.wrong(key, &item.span(), expected);
        }
        items
    }

    /// The value of the name that `item` is in `known`. `others` are names that one could try, each with the known one.
    pub(crate) fn one_of<T: Copy>(
        &mut self,
        key: &str,
        item: &Item<'_>,
        what: &'static str,
        known: &[(&'static str, T)],
        others: &[(&str, &str)],
    ) -> Option<T> {
        const EXPECTED: &str = "text";
        let Some(name) = item.get_ref().as_str() else {
            self.wrong(key, &item.span(), EXPECTED);
            return None;
        };
        let found = known.iter().find(|(each, _)| *each == name);
        if found.is_none() {
            let suggestion = Suggestion::of(name, known.iter().map(|(each, _)| *each), others);
            self.mistake(&item.span(), Problem::UnknownName { what, name: name.to_owned(), suggestion });
        }
        found.map(|(_, value)| *value)
    }
}

/// The tables `[[key]]`, each with what it is, which is `what` and its name.
pub(crate) fn sections<'t>(
    key: &'static str,
    what: &str,
    expected: &'static str,
    item: Option<&'t Item<'t>>,
    reader: &mut Reader<'_>,
) -> Vec<Section<'t>> {
    let items = item.and_then(|item| reader.read(key, item, expected, DeValue::as_array)).into_iter().flatten();
    let section = |item: &'t Item<'t>| {
        let table = reader.read(key, item, expected, DeValue::as_table)?;
        let name = table.get("name").and_then(|name| text(name.get_ref()));
        let place = name.map_or_else(|| what.to_owned(), |name| format!("{what} {name:?}"));
        Some(Section::new(place, item.span(), table))
    };
    items.filter_map(section).collect()
}

/// The items of a list, or the item itself.
pub(crate) fn items<'t>(item: &'t Item<'t>) -> Vec<&'t Item<'t>> {
    item.get_ref().as_array().map_or_else(|| vec![item], |list| list.iter().collect())
}

/// Text that is not empty.
pub(crate) fn text<'t>(value: &'t DeValue<'_>) -> Option<&'t str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// One table of the file. Remembers which keys it was asked for, which are those that it may have.
#[derive(Debug)]
pub(crate) struct Section<'t> {
    /// What it is, such as `the caller "school"`.
    pub(crate) place: String,
    pub(crate) span: Range<usize>,
    table: &'t DeTable<'t>,
    known: Vec<&'static str>,
}

impl<'t> Section<'t> {
    pub(crate) fn new(place: String, span: Range<usize>, table: &'t DeTable<'t>) -> Self {
        Self { place, span, table, known: Vec::new() }
    }

    pub(crate) fn item(&mut self, key: &'static str) -> Option<&'t Item<'t>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// Where the value of `key` is.
    pub(crate) fn span_of(&self, key: &str) -> Range<usize> {
        self.table.get(key).map_or(self.span.clone(), Spanned::span)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The item of `key`; `about` says what it is if it is missing.
    pub(crate) fn required(&mut self, key: &'static str, about: &'static str, reader: &mut Reader<'_>) -> Option<&'t Item<'t>> {
        let item = self.item(key);
        if item.is_none() {
            reader.mistake(&self.span, Problem::Missing { key, place: self.place.clone(), about });
        }
        item
    }

    /// What the item of `key`, if there is one, means according to `read`.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        reader: &mut Reader<'_>,
        read: impl FnOnce(&'t DeValue<'t>) -> Option<T>,
    ) -> Option<T> {
        let item = self.item(key)?;
        reader.read(key, item, expected, read)
    }

    /// The texts of `key`: one, or a list.
    pub(crate) fn texts(
        &mut self,
        key: &'static str,
        expected: &'static str,
        reader: &mut Reader<'_>,
    ) -> Vec<(String, Range<usize>)> {
        let Some(item) = self.item(key) else { return Vec::new() };
        let items = reader.one_or_more(key, item, expected);
        let texts = items.into_iter().map(|item| Some((reader.read(key, item, expected, text)?.to_owned(), item.span())));
        texts.flatten().collect()
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn finish(self, reader: &mut Reader<'_>) {
        for key in self.table.keys().filter(|key| !self.known.contains(&&**key.get_ref())) {
            let nearest = nearest(key.get_ref(), self.known.iter().copied());
            let problem = Problem::UnknownKey { key: key.get_ref().to_string(), place: self.place.clone(), nearest };
            reader.mistake(&key.span(), problem);
        }
    }
}
