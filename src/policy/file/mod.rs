//! Reads the policy file: who may call, and what the rules are. Finds all of its mistakes in one run, each with its place. Does not
//! read other files, the environment, or any secret.

mod callers;
mod matchers;
pub(crate) mod problem;
mod proofs;
mod reader;
mod rules;
pub(crate) mod suggestion;
mod templates;

use std::path::Path;

use toml::de::DeTable;

use crate::caller::settings::CallerSettings;
use crate::policy::rule::Rule;
use crate::policy::rules::Rules;
use callers::Callers;
use problem::{Finding, Mistake, Position, Problem};
use reader::{Reader, Section};

/// A policy file that can be used.
#[derive(Debug)]
pub(crate) struct PolicyFile {
    /// In the order of the file.
    pub(crate) callers: Vec<CallerSettings>,
    pub(crate) rules: Rules,
    /// What reading it found. [`check`](crate::policy::check) finds more.
    pub(super) findings: Vec<Finding>,
    /// The places of the callers and of the rules.
    pub(super) places: (Vec<Position>, Vec<Position>),
}

impl PolicyFile {
    /// Where the section of this caller is.
    pub(crate) fn place_of_caller(&self, name: &str) -> Position {
        let mut callers = self.callers.iter().zip(&self.places.0);
        callers.find(|(caller, _)| caller.name == name).map(|(_, at)| *at).unwrap_or_default()
    }

    /// Reads `text`. Relative paths in it begin in `folder`.
    ///
    /// # Errors
    /// All mistakes, in the order of the file.
    pub(crate) fn parse(text: &str, folder: &Path) -> Result<Self, Vec<Mistake>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        let has_syntax_errors = !errors.is_empty();
        for error in errors {
            let span = error.span().unwrap_or_default();
            reader.mistake(&span, Problem::Syntax { message: error.message().to_owned() });
        }
        if document.get_ref().is_empty() && !has_syntax_errors {
            reader.mistake(&(0..0), Problem::Empty); // perhaps it is being written
        }
        let mut section = Section::new("the file".to_owned(), 0..0, document.get_ref());
        let callers = Callers::read(section.item("callers"), folder, &mut reader);
        let rules = rules::rules(section.item("rule"), &callers, &mut reader);
        section.finish(&mut reader);
        Self::of(callers, rules, reader, has_syntax_errors)
    }

    fn of(
        callers: Callers,
        rules: Vec<(Rule, Position)>,
        reader: Reader<'_>,
        has_syntax_errors: bool,
    ) -> Result<Self, Vec<Mistake>> {
        let Reader { mut mistakes, findings, .. } = reader;
        if has_syntax_errors {
            // What is missing may be in a line that could not be read. A value that could not be read has no place.
            let is_certain = |mistake: &Mistake| match mistake.problem {
                Problem::Syntax { .. } => true,
                Problem::Missing { .. } => false,
                _ => mistake.at != Position::START,
            };
            mistakes.retain(is_certain);
        }
        if !mistakes.is_empty() {
            mistakes.sort_by_key(|mistake| mistake.at);
            return Err(mistakes);
        }
        let (callers, caller_places) = callers.read.into_iter().unzip();
        let (rules, rule_places) = rules.into_iter().unzip();
        Ok(Self { callers, rules: Rules::new(rules), findings, places: (caller_places, rule_places) })
    }
}
