//! Owns the command line: what the program is told there, what it says back, and its exit status: 0 done, 2 wrong use.

mod serve;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::config::{self, Flags};

/// Access tokens for LiveKit at /token, and its webhooks, verified, at /webhook.
#[derive(Debug, Parser)]
#[command(name = "roomkey", version, after_help = config::HELP_ON_SECRETS)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

/// Runs the program with the arguments and the environment that it was started with.
#[must_use]
pub fn run() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => serve::run(arguments.flags),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let _ = error.print(); // a closed stdout is no reason to fail
            ExitCode::SUCCESS
        }
        Err(error) => {
            let sentence = error.to_string();
            let sentence = sentence.lines().next().unwrap_or_default().trim_start_matches("error: ");
            fail(format_args!("{sentence}: see `roomkey --help`"))
        }
    }
}

/// Says in one sentence why there is nothing to be done.
fn fail(why: impl std::fmt::Display) -> ExitCode {
    eprintln!("roomkey: {why}");
    ExitCode::from(2)
}
