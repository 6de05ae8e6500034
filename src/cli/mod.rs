//! Owns the command line: its commands, and what a program's end says: exit status 0 for done, 1 where the answer is no, 2 for
//! wrong use, input that cannot be read or output that cannot be written. Results go to stdout, everything else to stderr. What a command does is its own
//! file's.

mod abilities;
mod client;
mod completions;
mod damage;
mod diagnosis;
mod duration;
mod event_lines;
mod event_pages;
mod events;
mod input;
mod judging;
mod key_watch;
mod letters;
mod log;
mod man;
mod moment;
mod opening;
mod output;
mod respacing;
mod sample_events;
mod serve;
mod settings;
mod tls;
mod token_create;
mod token_grants;
mod token_inspect;
mod token_verify;
mod usage;
mod webhook_send;
mod webhook_verify;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::config::{self, ConfigError, Flags};
use log::tell;
use output::{print, print_json};

/// Access tokens for LiveKit at /token, and its webhooks, verified, at /webhook. Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "roomkey", version, args_conflicts_with_subcommands = true)]
#[command(after_help = format!("{}\n\n{EXAMPLES}\n\nGuide: {}", config::HELP_ON_SECRETS, env!("CARGO_PKG_HOMEPAGE")))]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

const EXAMPLES: &str = "\
Examples:
  roomkey
      Serve on port 6080 with LiveKit's development key
  roomkey token create --join --room daily --identity alice
      A token for alice, for 5 minutes
  roomkey token inspect eyJhbGciOi...
      What a token allows, and what is dangerous about it
  roomkey webhook send --url http://localhost:6080/webhook --event room_started
      Deliver a webhook as LiveKit does
  roomkey events --follow
      What the inbox of the roomkey on port 6080 holds, and what comes

Exit status: 0 done, 1 the answer is no, 2 wrong use, or input or output that fails";

/// The status of a Rust program that panicked.
const PANICKED: u8 = 101;

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve tokens and take webhooks, as without a command
    #[command(after_help = config::HELP_ON_SECRETS)]
    Serve(Flags),
    /// Create, inspect and verify access tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Verify webhooks, and send them as LiveKit does
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Read the inbox of a running roomkey
    Events(events::Arguments),
    /// Print the completions of a shell
    Completions(completions::Arguments),
    /// Print a man page, of the program or of one of its commands
    Man(man::Arguments),
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Mint an access token, with the flags of `lk token create`
    Create(Box<token_create::Arguments>),
    /// Tell in words what a token allows, and what is dangerous about it; needs no key
    Inspect(token_inspect::Arguments),
    /// Verify a token and print its claims
    Verify(token_verify::Arguments),
}

#[derive(Debug, Subcommand)]
enum WebhookCommand {
    /// Verify a delivery; where its body was changed on the way, find out how
    Verify(webhook_verify::Arguments),
    /// Deliver a webhook as LiveKit does
    Send(webhook_send::Arguments),
}

/// Runs the program with the arguments and the environment that it was started with.
#[must_use]
pub fn run() -> ExitCode {
    if let Err(error) = log::begin() {
        let _ = writeln!(io::stderr(), "roomkey: cannot start the log: {error}"); // there is no other way to tell
        return ExitCode::from(2);
    }
    // What a panic says has to be written, too.
    let status = catch_unwind(run_command).unwrap_or(ExitCode::from(PANICKED));
    log::close();
    status
}

fn run_command() -> ExitCode {
    match Arguments::try_parse() {
        Ok(Arguments { command: None, flags } | Arguments { command: Some(Command::Serve(flags)), .. }) => serve::run(flags),
        Ok(Arguments { command: Some(command), .. }) => ended(command.run()),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => ended(show(&error)),
        Err(error) => fail(usage::sentence(&error)),
    }
}

impl Command {
    fn run(self) -> Outcome {
        match self {
            Self::Serve(_) => Ok(()), // it has an end of its own
            Self::Token(TokenCommand::Create(arguments)) => token_create::run(*arguments),
            Self::Token(TokenCommand::Inspect(arguments)) => token_inspect::run(arguments),
            Self::Token(TokenCommand::Verify(arguments)) => token_verify::run(arguments),
            Self::Webhook(WebhookCommand::Verify(arguments)) => webhook_verify::run(arguments),
            Self::Webhook(WebhookCommand::Send(arguments)) => webhook_send::run(arguments),
            Self::Events(arguments) => events::run(arguments),
            Self::Completions(arguments) => completions::run(arguments),
            Self::Man(arguments) => man::run(arguments),
        }
    }
}

/// Shows help or the version, in colour on a terminal.
fn show(help: &clap::Error) -> Outcome {
    if io::stdout().is_terminal() { output::ended(help.print()) } else { output::write(&help.render().to_string()) }
}

fn ended(outcome: Outcome) -> ExitCode {
    let Err(Failure { status, why }) = outcome else { return ExitCode::SUCCESS };
    if let Some(why) = why {
        tell(why);
    }
    ExitCode::from(status)
}

/// How a command ends.
type Outcome = Result<(), Failure>;

/// A command's end that is no success.
#[derive(Debug)]
struct Failure {
    status: u8,
    /// In one sentence; `None` where the result says it.
    why: Option<String>,
}

impl Failure {
    /// The answer is no.
    fn refused(why: impl fmt::Display) -> Self {
        Self { status: 1, why: Some(why.to_string()) }
    }

    /// The answer is no, and the result says why.
    fn answered() -> Self {
        Self { status: 1, why: None }
    }

    /// Nobody reads the result any more, which ends a command early and is no mistake.
    fn unread() -> Self {
        Self { status: 0, why: None }
    }

    /// Wrong use, input that cannot be read or output that cannot be written.
    fn wrong(why: impl fmt::Display) -> Self {
        Self { status: 2, why: Some(why.to_string()) }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::wrong(error)
    }
}

impl From<getrandom::Error> for Failure {
    fn from(error: getrandom::Error) -> Self {
        Self::wrong(format_args!("no random bytes: {error}"))
    }
}

/// Says in one sentence why there is nothing to be done.
fn fail(why: impl fmt::Display) -> ExitCode {
    tell(why);
    ExitCode::from(2)
}
