//! The report about a file: a line for each mistake, warning and note with its place, as compilers write them, and what there is in
//! all. Does not know the file.

use std::fmt;

use crate::cli::{Failure, print};
use crate::policy::file::problem::Position;

#[derive(Clone, Copy, PartialEq)]
enum Severity {
    Mistake,
    Warning,
    Note,
}

/// A line of the report.
pub(super) struct Line {
    at: Position,
    severity: Severity,
    text: String,
}

impl Line {
    pub(super) fn mistake(at: Position, text: impl fmt::Display) -> Self {
        Self { at, severity: Severity::Mistake, text: text.to_string() }
    }

    pub(super) fn warning(at: Position, text: impl fmt::Display) -> Self {
        Self { at, severity: Severity::Warning, text: text.to_string() }
    }

    pub(super) fn note(at: Position, text: impl fmt::Display) -> Self {
        Self { at, severity: Severity::Note, text: text.to_string() }
    }

    fn shown(&self, path: &str) -> String {
        let severity = match self.severity {
            Severity::Mistake => "mistake",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        format!("{path}:{}:{}: {severity}: {}\n", self.at.line, self.at.column, self.text)
    }
}

/// Prints the lines about the file at `path`, which has `content` if there is no mistake. Returns how many mistakes and warnings there
/// are.
pub(super) fn report(path: &str, mut lines: Vec<Line>, content: &str) -> Result<(usize, usize), Failure> {
    lines.sort_by_key(|line| line.at);
    let count = |severity| lines.iter().filter(|line| line.severity == severity).count();
    let (mistakes, warnings) = (count(Severity::Mistake), count(Severity::Warning));
    let end = match mistakes {
        0 => format!("{path}: {content}, no mistakes"),
        _ => counted(mistakes, "mistake"),
    };
    print(format_args!("{}{end}", lines.iter().map(|line| line.shown(path)).collect::<String>()))?;
    Ok((mistakes, warnings))
}

/// Such as `2 rules`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
