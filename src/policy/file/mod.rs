//! Reads the policy file: who may call, and what the rules are. Finds all of its mistakes in one run, each with its place. Does not
//! read other files, the environment, or any secret.

mod callers;
mod matchers;
pub(crate) mod problem;
mod proofs;
pub(crate) mod reader;
mod rules;
pub(crate) mod suggestion;
mod templates;
pub(crate) mod values;

use std::path::Path;

use crate::caller::settings::CallerSettings;
use crate::policy::rules::Rules;
use callers::Callers;
use problem::{Finding, Mistake, Position};
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

/// A policy file that cannot be used.
#[derive(Debug)]
pub(crate) struct BrokenFile {
    /// In the order of the file.
    pub(crate) mistakes: Vec<Mistake>,
    /// Those without a mistake, with their places. None if parts of the file are not TOML, because settings could be missing.
    pub(crate) callers: Vec<(CallerSettings, Position)>,
}

impl PolicyFile {
    /// The callers with the places of their sections.
    pub(crate) fn placed_callers(&self) -> impl Iterator<Item = (&CallerSettings, Position)> {
        self.callers.iter().zip(self.places.0.iter().copied())
    }

    /// Reads `text`. Relative paths in it begin in `folder`.
    ///
    /// # Errors
    /// All mistakes, and the callers that have none.
    pub(crate) fn parse(text: &str, folder: &Path) -> Result<Self, BrokenFile> {
        let (mut reader, document) = Reader::begin(text, "[[rule]]");
        let mut section = Section::new("the file".to_owned(), 0..0, document.get_ref());
        let callers = Callers::read(section.item("callers"), folder, &mut reader);
        let rules = rules::rules(section.item("rule"), &callers, &mut reader);
        section.finish(&mut reader);
        let is_complete = !reader.has_syntax_errors();
        let findings = match reader.finish() {
            Ok(findings) => findings,
            Err(mistakes) => {
                let callers = if is_complete { callers.read } else { Vec::new() };
                return Err(BrokenFile { mistakes, callers });
            }
        };
        let (callers, caller_places) = callers.read.into_iter().unzip();
        let (rules, rule_places) = rules.into_iter().unzip();
        Ok(Self { callers, rules: Rules::new(rules), findings, places: (caller_places, rule_places) })
    }
}
