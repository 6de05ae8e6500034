//! `roomkey relay check`: everything that is wrong with a file of targets, in one run. Does not know what a target may have.

use std::sync::Arc;

use crate::cli::report::{Line, counted, report};
use crate::cli::{Failure, Outcome};
use crate::config::{Config, Flags, RelayError, RelaySource, Variables};
use crate::http::Door;
use crate::policy::file::problem::Finding;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey relay check relay.toml
  roomkey relay check relay.toml --secrets

Status 1 if the file has a mistake. ROOMKEY_INBOX_KEEP and the keys are read as by the server.")]
pub(in crate::cli) struct CheckRelay {
    /// The file of targets
    file: String,
    /// Read the secrets and the certificates too, which may be only where the server runs
    #[arg(long)]
    secrets: bool,
}

pub(in crate::cli) fn run(arguments: CheckRelay) -> Outcome {
    let CheckRelay { file: path, secrets } = arguments;
    let variables = Arc::new(Variables::read()?);
    let settings = Config::read(Flags::default(), &variables)?;
    let source = RelaySource::new((&path).into(), variables, settings.inbox_keep);
    let checked = if secrets {
        let read = source.read(&|key| Door::opened_by(&key.key, key.hash, &settings.keys.api_keys, None));
        read.map(|read| (read.targets.len(), read.findings))
    } else {
        source.read_file().map(|file| (file.targets.len(), file.findings)).map_err(RelayError::from)
    };
    let (targets, lines) = match checked {
        Ok((targets, findings)) => {
            let line = |Finding { at, about }: Finding| Line::warning(at, about);
            (targets, findings.into_iter().map(line).collect())
        }
        Err(error) => (0, mistakes(&path, error)?),
    };
    let (mistakes, _) = report(&path, lines, &counted(targets, "target"))?;
    if mistakes > 0 { Err(Failure::answered()) } else { Ok(()) }
}

/// The mistakes of the file at `path`, each with its place.
fn mistakes(path: &str, error: RelayError) -> Result<Vec<Line>, Failure> {
    match error.lines() {
        Some(lines) => Ok(lines.into_iter().map(|(at, text)| Line::mistake(at, text)).collect()),
        None => Err(Failure::wrong(format_args!("{path}: {error}"))),
    }
}
