//! `roomkey relay`: shows the relay of a running roomkey and steers it. Does not know how a request is sent, nor how an answer is shown.

pub(super) mod check;
mod client;
mod lines;
mod steering;

use std::sync::Arc;

use clap::Subcommand;
use hyper::Method;

use crate::cli::shared_flags::{self, ClientFlags};
use crate::cli::{Failure, Outcome, events, output, remote};
use crate::client::Target;
use crate::inbox::Cursor;
use crate::inbox::target::OwedState;
use crate::livekit::grants::VideoGrants;
use crate::relay::settings::is_target_name;
use client::{OwedPage, RelayClient, StatusPage};

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum RelayCommand {
    /// Report every mistake in a file of targets, and what is perhaps not meant
    Check(check::CheckRelay),
    /// Show the position and the condition of each target
    #[command(after_help = "Examples:
  roomkey relay status
  roomkey relay status app --json
  roomkey relay status --url https://roomkey.example.com/x

Status 1 if roomkey cannot be reached or refuses, or if it has no such target.")]
    Status(ShowStatus),
    /// List the events that a target has not taken
    #[command(after_help = "Examples:
  roomkey relay owed app
  roomkey relay owed app --state dead --json

held: the later events of its room wait for it. aside: its room goes on, and it is tried alone. dead: it is not tried any more.
expired: the inbox deleted it before the target took it.")]
    Owed(ListOwed),
    /// Try events again now, also dead ones
    #[command(after_help = "Examples:
  roomkey relay retry app 1a20140363300000 1a20140363300001
  roomkey relay retry app --state dead")]
    Retry(steering::RetryEvents),
    /// Send events once more
    #[command(after_help = "Examples:
  roomkey relay replay app --since 2026-11-22T03:15:15Z
  roomkey relay replay app --after 1a20140363300000 --until 1a20140363300001")]
    Replay(steering::ReplayEvents),
    /// Give up events for good
    #[command(after_help = "Examples:
  roomkey relay skip app 1a20140363300000")]
    Skip(steering::SkipEvents),
    /// Send nothing to a target until it is resumed
    #[command(after_help = "Examples:
  roomkey relay pause app")]
    Pause(steering::Steered),
    /// Send to a target again
    #[command(after_help = "Examples:
  roomkey relay resume app")]
    Resume(steering::Steered),
}

#[derive(Debug, clap::Args)]
pub(super) struct ServerFlags {
    /// Where roomkey is, with its base path if it has one
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:6080", value_parser = remote::base_url)]
    url: Target,
    #[command(flatten)]
    client: ClientFlags,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowStatus {
    /// Only this target
    #[arg(value_name = "NAME", value_parser = target_name)]
    name: Option<Arc<str>>,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Debug, clap::Args)]
pub(super) struct ListOwed {
    /// The target
    #[arg(value_name = "NAME", value_parser = target_name)]
    name: Arc<str>,
    /// Only events in this state
    #[arg(long, value_name = "STATE", value_parser = OwedState::ALL.map(OwedState::name))]
    state: Option<String>,
    /// Only events after this cursor
    #[arg(long, value_name = "CURSOR", value_parser = events::cursor)]
    after: Option<Cursor>,
    #[command(flatten)]
    server: ServerFlags,
}

fn target_name(text: &str) -> Result<Arc<str>, &'static str> {
    if is_target_name(text) { Ok(text.into()) } else { Err("must be the name of a target: 1 to 32 characters of a-z, 0-9 and -") }
}

pub(super) fn run(command: RelayCommand) -> Outcome {
    match command {
        RelayCommand::Check(arguments) => check::run(arguments),
        RelayCommand::Status(arguments) => show_status(&arguments),
        RelayCommand::Owed(arguments) => list_owed(arguments),
        RelayCommand::Retry(arguments) => arguments.run(),
        RelayCommand::Replay(arguments) => arguments.run(),
        RelayCommand::Skip(arguments) => arguments.run(),
        RelayCommand::Pause(arguments) => arguments.pause(),
        RelayCommand::Resume(arguments) => arguments.resume(),
    }
}

impl ServerFlags {
    fn client_with(&self, grants: VideoGrants) -> Result<RelayClient, Failure> {
        let target = self.client.tls.applied_to(self.url.clone())?;
        let key = shared_flags::keys(&self.client.keys)?.minting().clone();
        Ok(RelayClient { target, key, grants, runtime: remote::runtime()? })
    }

    /// A client whose tokens read.
    fn reader(&self) -> Result<RelayClient, Failure> {
        self.client_with(VideoGrants { room_list: true, ..VideoGrants::default() })
    }

    /// A client whose tokens steer.
    fn steerer(&self) -> Result<RelayClient, Failure> {
        self.client_with(VideoGrants { room_create: true, ..VideoGrants::default() })
    }
}

fn show_status(arguments: &ShowStatus) -> Outcome {
    let client = arguments.server.reader()?;
    let StatusPage { targets } = client.request(Method::GET, "/relay", String::new())?;
    let is_wanted = |name: &str| arguments.name.as_deref().is_none_or(|wanted| wanted == name);
    let targets: Vec<_> = targets.iter().filter(|target| lines::name(target).is_some_and(|name| is_wanted(&name))).collect();
    if let (Some(name), true) = (&arguments.name, targets.is_empty()) {
        return Err(Failure::refused(format_args!("{}: the relay has no target {name}", client.target)));
    }
    let line = if arguments.server.client.json { lines::json } else { lines::status };
    output::write(&targets.into_iter().map(|target| line(target) + "\n").collect::<String>())
}

fn list_owed(mut arguments: ListOwed) -> Outcome {
    let client = arguments.server.reader()?;
    let line = if arguments.server.client.json { lines::json } else { lines::owed };
    loop {
        let mut query = form_urlencoded::Serializer::new(String::from("limit=1000"));
        query.extend_pairs(arguments.state.iter().map(|state| ("state", state)));
        query.extend_pairs(arguments.after.iter().map(|after| ("after", after.to_string())));
        let path = format!("/relay/{}/owed?{}", arguments.name, query.finish());
        let OwedPage { owed, next } = client.request(Method::GET, &path, String::new())?;
        if owed.is_empty() {
            return Ok(());
        }
        output::write(&owed.iter().map(|event| line(event) + "\n").collect::<String>())?;
        let next = next.parse().ok().filter(|next| arguments.after.is_none_or(|after| *next > after));
        arguments.after = Some(next.ok_or_else(|| client.failure(&client::RequestError::NotTheRelay))?);
    }
}
