//! `roomkey policy`: checks a policy file, and tries it out. Does not know the rules.

mod caller;
pub(super) mod check;
mod request;
pub(super) mod test;

use std::io;
use std::path::Path;
use std::sync::Arc;

use clap::Subcommand;
use zeroize::Zeroizing;

use crate::caller::settings::SecretSource;
use crate::caller::setup::Surroundings;
use crate::cli::report::Line;
use crate::cli::{Failure, input};
use crate::clock::Clock;
use crate::config::{Config, Flags, Variables};
use crate::policy::file::problem::Mistake;
use crate::policy::file::{BrokenFile, PolicyFile};
use crate::worker::Workers;

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum PolicyCommand {
    /// Report every mistake in a policy file, and what is perhaps not meant
    Check(check::CheckPolicy),
    /// Tell which rule answers a request, why the earlier ones do not, and what the token says
    Test(Box<test::TestPolicy>),
}

/// The settings of the server, from the environment and `.env`.
fn settings() -> Result<Config, Failure> {
    Ok(Config::read(Flags::default(), &Variables::read()?)?)
}

/// Reads the policy file at `path`.
///
/// # Errors
/// Only if there is nothing to read. Mistakes are a result.
fn read(path: &str) -> Result<Result<PolicyFile, BrokenFile>, Failure> {
    let bytes = input::read(path)?;
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    Ok(match str::from_utf8(&bytes) {
        Ok(text) => PolicyFile::parse(text, folder),
        Err(error) => Err(BrokenFile { mistakes: vec![Mistake::not_utf8(&bytes, error)], callers: Vec::new() }),
    })
}

/// A line of the report for each of `mistakes`.
fn lines(mistakes: Vec<Mistake>) -> impl Iterator<Item = Line> {
    mistakes.into_iter().map(|Mistake { at, problem }| Line::mistake(at, problem))
}

/// What callers are set up with outside of the server.
fn surroundings<'a>(read: &'a dyn Fn(&SecretSource) -> io::Result<Zeroizing<Vec<u8>>>, workers: &'a Workers) -> Surroundings<'a> {
    Surroundings { read, clock: Clock::system(), observer: Arc::new(()), workers, previous: None }
}
