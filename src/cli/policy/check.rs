//! `roomkey policy check`: everything that is wrong with a policy file, in one run. Does not know what a rule may say.

use std::fmt;
use std::sync::Arc;

use crate::caller::callers::Callers;
use crate::caller::settings::{CallerSettings, SecretSource};
use crate::caller::setup::{SetupError, SetupProblem};
use crate::cli::policy::{counted, print_mistakes, read, settings, surroundings};
use crate::cli::{Failure, Outcome, print, remote};
use crate::config::{Config, PolicySource, Variables};
use crate::policy::check;
use crate::policy::file::PolicyFile;
use crate::policy::file::problem::{Mistake, Position};
use crate::worker::Workers;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey policy check policy.toml
  roomkey policy check policy.toml --strict

Status 1 if the file has a mistake. CORS_ORIGIN, TRUSTED_PROXIES, the keys and the files that it names are read
as by the server.")]
pub(in crate::cli) struct CheckPolicy {
    /// The policy file; - is stdin
    file: String,
    /// Count a warning as a mistake
    #[arg(long)]
    strict: bool,
}

pub(in crate::cli) fn run(arguments: CheckPolicy) -> Outcome {
    let CheckPolicy { file: path, strict } = arguments;
    let settings = settings()?;
    let file = match read(&path)? {
        Ok(file) => file,
        Err(mistakes) => {
            print_mistakes(&path, &mistakes)?;
            return Err(Failure::answered());
        }
    };
    let surroundings = settings.surroundings();
    let mistakes = check::mistakes(&file, surroundings).into_iter().map(|Mistake { at, problem }| Line::mistake(at, problem));
    let findings = check::findings(&file, surroundings);
    let findings = findings.into_iter().map(|finding| Line {
        at: finding.at,
        severity: if finding.is_warning() { Severity::Warning } else { Severity::Note },
        text: finding.about.to_string(),
    });
    let mut lines: Vec<_> = mistakes.chain(findings).chain(named(&file, &path, &settings)?).collect();
    lines.sort_by_key(|line| line.at);
    let count = |severity| lines.iter().filter(|line| line.severity == severity).count();
    let (mistakes, warnings) = (count(Severity::Mistake), count(Severity::Warning));
    let end = match mistakes {
        0 => format!(
            "{path}: {}, {}, no mistakes",
            counted(file.callers.len(), "caller"),
            counted(file.rules.iter().count(), "rule")
        ),
        _ => counted(mistakes, "mistake"),
    };
    print(format_args!("{}{end}", lines.iter().map(|line| line.shown(&path)).collect::<String>()))?;
    if mistakes > 0 || strict && warnings > 0 { Err(Failure::answered()) } else { Ok(()) }
}

/// What cannot be used of the secrets, keys and certificates that the file names. A variable that is not set is only noted, because it may
/// be set where the server runs.
fn named(file: &PolicyFile, path: &str, settings: &Config) -> Result<Vec<Line>, Failure> {
    let source = PolicySource::new(path.into(), Arc::new(Variables::read()?));
    let runtime = remote::runtime()?;
    let _in_runtime = runtime.enter(); // it never runs, so nothing is fetched
    let (read, workers) = (|secret: &SecretSource| source.secret(secret), Workers::default());
    let surroundings = surroundings(&read, &workers);
    let line = |caller: &CallerSettings| {
        let at = file.place_of_caller(&caller.name);
        match Callers::new(vec![caller.clone()], &surroundings) {
            Ok(callers) => callers.with_secret_of(&settings.keys.api_keys).map(|_| Line::mistake(at, SAME_SECRET)),
            Err(SetupError { problem: problem @ SetupProblem::Unreadable(SecretSource::Env(_), _), .. }) => {
                Some(Line { at, severity: Severity::Note, text: problem.to_string() })
            }
            Err(SetupError { problem, .. }) => Some(Line::mistake(at, problem)),
        }
    };
    Ok(file.callers.iter().filter_map(line).collect())
}

const SAME_SECRET: &str =
    "the secret is that of a LiveKit key, which could mint every token: give the caller a secret of its own";

#[derive(Clone, Copy, PartialEq)]
enum Severity {
    Mistake,
    Warning,
    Note,
}

/// A line of the report.
struct Line {
    at: Position,
    severity: Severity,
    text: String,
}

impl Line {
    fn mistake(at: Position, problem: impl fmt::Display) -> Self {
        Self { at, severity: Severity::Mistake, text: problem.to_string() }
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
