//! The command line: its commands and their exit status, which is 0 for done, 1 if the answer is no, and 2 for wrong use or for input
//! or output that fails. Results go to stdout, everything else to stderr. Does not know what a command does.

mod deploy;
mod escapes;
mod events;
mod generated;
mod healthcheck;
mod inbox;
mod input;
mod json_spacing;
mod log;
mod output;
mod policy;
mod relay;
mod remote;
mod report;
mod serve;
mod shared_flags;
mod stop_signals;
mod time_words;
mod token;
mod usage_errors;
mod webhook;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::config::{self, ConfigError, Flags};
use inbox::InboxCommand;
use log::tell;
use output::{print, print_json};
use policy::PolicyCommand;
use relay::RelayCommand;
use token::TokenCommand;
use webhook::WebhookCommand;

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
      A token for alice, valid for 5 minutes
  roomkey token inspect eyJhbGciOi...
      What a token allows, and what is dangerous about it
  roomkey webhook send --url http://localhost:6080/webhook --event room_started
      Deliver a webhook as LiveKit does
  roomkey events --follow
      The events in the inbox of the roomkey on port 6080, and new ones

Exit status: 0 done, 1 the answer is no, 2 wrong use, or input or output that fails";

/// The exit status of a Rust program that panicked.
const PANICKED: u8 = 101;

#[derive(Debug, Subcommand)]
#[command(defer = true)] // in each enum of commands: the flags of a command are set up only if it is given
enum Command {
    /// Serve tokens and receive webhooks; the same as no command
    #[command(after_help = config::HELP_ON_SECRETS)]
    Serve(Box<Flags>),
    /// Read all settings and files as the server does, and print what would run
    #[command(after_help = config::HELP_ON_SECRETS)]
    Check(Box<Flags>),
    /// Ask the server that runs with the same settings whether it is ready
    #[command(after_help = config::HELP_ON_SECRETS)]
    Healthcheck(Box<Flags>),
    /// Create, inspect and verify access tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Verify webhooks, and send them as LiveKit does
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Check a policy file, and try it out
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Read the inbox of a running roomkey
    Events(events::ReadEvents),
    /// Watch and steer the relay of a running roomkey, and check its file
    #[command(subcommand)]
    Relay(RelayCommand),
    /// Print a file for systemd, containers, a reverse proxy or Prometheus
    Deploy(deploy::PrintDeployFile),
    /// Export, import and restore the inbox
    #[command(subcommand)]
    Inbox(InboxCommand),
    /// Print the completions for a shell
    Completions(generated::PrintCompletions),
    /// Print a man page, of the program or of one of its commands
    Man(generated::PrintMan),
}

/// Runs the program with the arguments and the environment of the process.
#[must_use]
pub fn run() -> ExitCode {
    if let Err(error) = log::start() {
        let _ = writeln!(io::stderr(), "roomkey: cannot start the log: {error}"); // there is no other way to report it
        return ExitCode::from(2);
    }
    // The log must also write what a panic reports.
    let status = catch_unwind(run_command).unwrap_or(ExitCode::from(PANICKED));
    log::close();
    status
}

fn run_command() -> ExitCode {
    let outcome = match Arguments::try_parse() {
        Ok(Arguments { command, flags }) => command.unwrap_or(Command::Serve(Box::new(flags))).run(),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => show(&error),
        Err(error) => Err(Failure::wrong(usage_errors::sentence(&error))),
    };
    let Err(Failure { status, reason }) = outcome else { return ExitCode::SUCCESS };
    if let Some(reason) = reason {
        tell(reason);
    }
    ExitCode::from(status)
}

impl Command {
    fn run(self) -> Outcome {
        match self {
            Self::Serve(flags) => serve::run(*flags),
            other => other.run_and_end(),
        }
    }

    /// Runs a command that is not the server. If this were inlined, the server would keep 40 kB more of stack as long as it runs.
    #[inline(never)]
    fn run_and_end(self) -> Outcome {
        match self {
            Self::Serve(flags) => serve::run(*flags),
            Self::Check(flags) => serve::check::run(*flags),
            Self::Healthcheck(flags) => healthcheck::run(*flags),
            Self::Token(TokenCommand::Create(arguments)) => token::create::run(*arguments),
            Self::Token(TokenCommand::Inspect(arguments)) => token::inspect::run(arguments),
            Self::Token(TokenCommand::Verify(arguments)) => token::verify::run(arguments),
            Self::Webhook(WebhookCommand::Verify(arguments)) => webhook::verify::run(arguments),
            Self::Webhook(WebhookCommand::Send(arguments)) => webhook::send::run(arguments),
            Self::Policy(PolicyCommand::Check(arguments)) => policy::check::run(arguments),
            Self::Policy(PolicyCommand::Test(arguments)) => policy::test::run(*arguments),
            Self::Events(arguments) => events::run(arguments),
            Self::Relay(command) => relay::run(command),
            Self::Deploy(arguments) => deploy::run(arguments),
            Self::Inbox(InboxCommand::Export(arguments)) => inbox::export::run(arguments),
            Self::Inbox(InboxCommand::Import(arguments)) => inbox::import::run(arguments),
            Self::Inbox(InboxCommand::Restore(arguments)) => inbox::restore::run(arguments),
            Self::Completions(arguments) => generated::print_completions(arguments),
            Self::Man(arguments) => generated::print_man(arguments),
        }
    }
}

fn show(help: &clap::Error) -> Outcome {
    if io::stdout().is_terminal() { output::ended(help.print()) } else { output::write(&help.render().to_string()) }
}

type Outcome = Result<(), Failure>;

/// The end of a command that did not succeed.
#[derive(Debug)]
struct Failure {
    status: u8,
    /// One sentence; `None` if the result already contains the reason.
    reason: Option<String>,
}

impl Failure {
    fn refused(reason: impl fmt::Display) -> Self {
        Self { status: 1, reason: Some(reason.to_string()) }
    }

    /// The answer is no, and the result says why.
    fn answered() -> Self {
        Self { status: 1, reason: None }
    }

    /// The reader of the result is gone, which ends a command early and is not an error.
    fn unread() -> Self {
        Self { status: 0, reason: None }
    }

    /// Wrong use, or input or output that fails.
    fn wrong(reason: impl fmt::Display) -> Self {
        Self { status: 2, reason: Some(reason.to_string()) }
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
