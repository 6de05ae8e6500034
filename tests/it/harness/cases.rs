//! Tables of files, and what a command says about each of them, to the letter. Does not know the command.

use std::fs;

use super::ended::Ended;
use crate::fixtures;

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) file: String,
    /// Without the name of the file.
    pub(crate) expected: Vec<String>,
}

/// The cases of a table in `fixtures/`. `===` begins one, and `---` a line of the output.
pub(crate) fn cases(table: &str) -> Vec<Case> {
    let text = fs::read_to_string(fixtures::path("fixtures").join(table)).unwrap();
    let mut cases = Vec::new();
    for case in text.split("=== ").skip(1) {
        let (name, rest) = case.split_once('\n').unwrap();
        let expected = rest.lines().filter_map(|line| line.strip_prefix("--- ")).map(str::to_owned).collect();
        let file = rest.split("--- ").next().unwrap().to_owned();
        cases.push(Case { name: name.to_owned(), file, expected });
    }
    cases
}

impl Case {
    /// What the command has said about the file at `path`, without its name.
    pub(crate) fn found(&self, ended: &Ended, path: &str) -> Vec<String> {
        let lines = ended.stdout.lines().filter_map(|line| line.strip_prefix(path)?.strip_prefix(':'));
        lines.filter(|line| !line.starts_with(' ')).map(str::to_owned).collect()
    }
}
