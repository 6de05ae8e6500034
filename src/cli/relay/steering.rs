//! The commands that ask a target to do something: what each sends, and what it says afterwards. Does not know how it is sent.

use std::sync::Arc;

use hyper::Method;
use serde_json::value::RawValue;

use crate::cli::relay::{ServerFlags, target_name};
use crate::cli::{Outcome, events, print, print_json};
use crate::http::rfc3339;
use crate::inbox::Cursor;
use crate::inbox::target::OwedState;
use crate::json::{ObjectWriter, name};
use crate::relay::steering::Verb;

/// The states whose events can be tried again.
const RETRIED: [OwedState; 3] = [OwedState::Held, OwedState::Aside, OwedState::Dead];

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Steered {
    /// The target
    #[arg(value_name = "NAME", value_parser = target_name)]
    name: Arc<str>,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RetryEvents {
    #[command(flatten)]
    target: Steered,
    /// The cursors of the events
    #[arg(value_name = "CURSOR", value_parser = events::cursor, required_unless_present = "state", conflicts_with = "state")]
    cursors: Vec<Cursor>,
    /// All events in this state
    #[arg(long, value_name = "STATE", value_parser = RETRIED.map(OwedState::name))]
    state: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ReplayEvents {
    #[command(flatten)]
    target: Steered,
    /// The events after this cursor
    #[arg(long, value_name = "CURSOR", value_parser = events::cursor, required_unless_present = "since", conflicts_with = "since")]
    after: Option<Cursor>,
    /// The events since this time, such as 2026-11-22T03:15:15Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<String>,
    /// The last event [default: the newest]
    #[arg(long, value_name = "CURSOR", value_parser = events::cursor)]
    until: Option<Cursor>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SkipEvents {
    #[command(flatten)]
    target: Steered,
    /// The cursors of the events
    #[arg(value_name = "CURSOR", value_parser = events::cursor, required = true)]
    cursors: Vec<Cursor>,
}

fn time(text: &str) -> Result<String, &'static str> {
    rfc3339::parse(text).map(|_| text.to_owned()).ok_or("must be a time such as 2026-11-22T03:15:15Z")
}

impl RetryEvents {
    pub(super) fn run(self) -> Outcome {
        let body = object(|object| {
            if !self.cursors.is_empty() {
                object.value(name!("cursors"), &texts(&self.cursors));
            }
            object.text(name!("state"), self.state.as_deref().unwrap_or_default());
        });
        self.target.ask(Verb::Retry, body, "tries these events again")
    }
}

impl ReplayEvents {
    pub(super) fn run(self) -> Outcome {
        let body = object(|object| {
            object.text(name!("after"), &text(self.after));
            object.text(name!("since"), self.since.as_deref().unwrap_or_default());
            object.text(name!("until"), &text(self.until));
        });
        self.target.ask(Verb::Replay, body, "gets these events again")
    }
}

impl SkipEvents {
    pub(super) fn run(self) -> Outcome {
        let body = object(|object| object.value(name!("cursors"), &texts(&self.cursors)));
        self.target.ask(Verb::Skip, body, "does not get these events any more")
    }
}

impl Steered {
    pub(super) fn pause(self) -> Outcome {
        self.ask(Verb::Pause, String::new(), "is paused")
    }

    pub(super) fn resume(self) -> Outcome {
        self.ask(Verb::Resume, String::new(), "is resumed")
    }

    fn ask(&self, verb: Verb, body: String, done: &str) -> Outcome {
        let path = format!("/relay/{}/{}", self.name, verb.name());
        let answer: Box<RawValue> = self.server.steerer()?.request(Method::POST, &path, body)?;
        if self.server.client.json { print_json(answer) } else { print(format_args!("{} {done}", self.name)) }
    }
}

fn object(members: impl FnOnce(&mut ObjectWriter<'_, Vec<u8>>)) -> String {
    let mut json = Vec::new();
    let mut object = ObjectWriter::begin(&mut json);
    members(&mut object);
    object.end();
    String::from_utf8_lossy(&json).into_owned()
}

/// Empty for none.
fn text(cursor: Option<Cursor>) -> String {
    cursor.map(|cursor| cursor.to_string()).unwrap_or_default()
}

fn texts(cursors: &[Cursor]) -> Vec<String> {
    cursors.iter().map(Cursor::to_string).collect()
}
