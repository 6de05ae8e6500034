//! `roomkey policy check`: everything that is wrong with a policy file, in one run. Does not know what a rule may say.

use crate::cli::policy::{counted, print_mistakes, read, settings};
use crate::cli::{Failure, Outcome, print};
use crate::http::Cors;
use crate::policy::check::findings;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey policy check policy.toml
  roomkey policy check policy.toml --strict

Status 1 if the file has a mistake. CORS_ORIGIN is read as by the server.")]
pub(in crate::cli) struct CheckPolicy {
    /// The policy file; - is stdin
    file: String,
    /// Count a warning as a mistake
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(arguments: CheckPolicy) -> Outcome {
    let CheckPolicy { file: path, strict } = arguments;
    let settings = settings()?;
    let file = match read(&path)? {
        Ok(file) => file,
        Err(mistakes) => {
            print_mistakes(&path, &mistakes)?;
            return Err(Failure::answered());
        }
    };
    let findings = findings(&file, matches!(settings.cors_origin, Cors::AnyOrigin));
    let lines = findings.iter().map(|finding| {
        let severity = if finding.is_warning() { "warning" } else { "note" };
        format!("{path}:{}:{}: {severity}: {}\n", finding.at.line, finding.at.column, finding.about)
    });
    let (callers, rules) = (counted(file.callers.len(), "caller"), counted(file.rules.iter().count(), "rule"));
    print(format_args!("{}{path}: {callers}, {rules}, no mistakes", lines.collect::<String>()))?;
    let is_refused = strict && findings.iter().any(|finding| finding.is_warning());
    if is_refused { Err(Failure::answered()) } else { Ok(()) }
}
