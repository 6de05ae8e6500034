//! `roomkey policy check`: everything that is wrong with a policy file, in one run. Does not know what a rule may say.

use std::sync::Arc;

use crate::caller::callers::Callers;
use crate::caller::settings::{CallerSettings, SecretSource};
use crate::caller::setup::{SetupError, SetupProblem};
use crate::cli::policy::{lines, read, settings, surroundings};
use crate::cli::report::{Line, counted, report};
use crate::cli::{Failure, Outcome, remote};
use crate::config::{Config, FileSource, Variables};
use crate::policy::check;
use crate::policy::file::BrokenFile;
use crate::policy::file::problem::{Finding, Position};
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
    let (callers, mut found, content): (Vec<_>, Vec<_>, _) = match read(&path)? {
        Ok(file) => {
            let findings = check::findings(&file, settings.surroundings()).into_iter().map(line);
            let content = format!("{}, {}", counted(file.callers.len(), "caller"), counted(file.rules.iter().count(), "rule"));
            (file.placed_callers().map(|(caller, at)| (caller.clone(), at)).collect(), findings.collect(), content)
        }
        Err(BrokenFile { mistakes, callers }) => (callers, lines(mistakes).collect(), String::new()),
    };
    let placed = callers.iter().map(|(caller, at)| (caller, *at));
    found.extend(lines(check::mistakes(placed, settings.surroundings())));
    found.extend(named(&callers, &path, &settings)?);
    let (mistakes, warnings) = report(&path, found, &content)?;
    if mistakes > 0 || strict && warnings > 0 { Err(Failure::answered()) } else { Ok(()) }
}

fn line(finding: Finding) -> Line {
    if finding.is_warning() { Line::warning(finding.at, finding.about) } else { Line::note(finding.at, finding.about) }
}

/// What cannot be used of the secrets, keys and certificates that the file names. A variable that is not set is only noted, because it may
/// be set where the server runs.
fn named(callers: &[(CallerSettings, Position)], path: &str, settings: &Config) -> Result<Vec<Line>, Failure> {
    let source = FileSource::new(path.into(), Arc::new(Variables::read()?));
    let runtime = remote::runtime()?;
    let _in_runtime = runtime.enter(); // it never runs, so nothing is fetched
    let (read, workers) = (|secret: &SecretSource| source.secret(secret), Workers::default());
    let surroundings = surroundings(&read, &workers);
    let line = |(caller, at): &(CallerSettings, Position)| {
        let at = *at;
        match Callers::new(vec![caller.clone()], &surroundings) {
            Ok(callers) => callers.with_secret_of(&settings.keys.api_keys).map(|_| Line::mistake(at, SAME_SECRET)),
            Err(SetupError { problem: problem @ SetupProblem::Unreadable(SecretSource::Env(_), _), .. }) => {
                Some(Line::note(at, problem))
            }
            Err(SetupError { problem, .. }) => Some(Line::mistake(at, problem)),
        }
    };
    Ok(callers.iter().filter_map(line).collect())
}

const SAME_SECRET: &str =
    "the secret is that of a LiveKit key, which could mint every token: give the caller a secret of its own";
