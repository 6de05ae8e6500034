//! Owns `roomkey events`: how long a running roomkey's inbox is read, over its outages too, and where the events go. How a page
//! is asked for, and how an event is shown, are other files'.

use std::future::pending;
use std::io;
use std::time::Duration;

use hyper::StatusCode;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::cli::client::{self, Target};
use crate::cli::event_lines::Form;
use crate::cli::event_pages::{PageError, Pages, Start, WAIT};
use crate::cli::tls::TlsFlags;
use crate::cli::{Failure, Outcome, output, settings, tell};
use crate::config::{DEFAULT_PORT, KeyFlags, nearest_name};
use crate::inbox::Cursor;
use crate::livekit::event::EVENTS;
use crate::livekit::key::ApiKey;

/// Before the first try after a failure; each further one takes twice as long, up to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// That an answer's `Retry-After` can ask for at most.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);
/// For what is being written when it ends.
const LAST_WRITE: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey events
  roomkey events --follow --room daily
  roomkey events --tail
  roomkey events --event room_started --event room_finished --json
  roomkey events --follow --after 0001d2a0b3c40000 --url http://localhost:6080/x

With --json each line is {\"cursor\",\"receivedAt\",\"event\"}, the event as it came, with whatever secrets are in it.
Status 1 where roomkey cannot be reached, refuses, or has deleted what follows --after; with --follow it is waited for
once it was reached.")]
pub(super) struct Arguments {
    /// Go on with what comes, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Begin now and follow, as `tail -n 0 -f` does: nothing of what is there already
    #[arg(long, conflicts_with = "after")]
    tail: bool,
    /// Where roomkey is, with its base path if it has one [default: http://127.0.0.1:6080]
    #[arg(long, value_name = "URL", value_parser = Target::parse_base)]
    url: Option<Target>,
    /// The room that they are about
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    room: Option<String>,
    /// What happened, such as room_started; repeat it for more
    #[arg(long, value_name = "NAME")]
    event: Vec<String>,
    /// The cursor to go on from, of the last event that was read [default: before the oldest]
    #[arg(long, value_name = "CURSOR", value_parser = cursor)]
    after: Option<Cursor>,
    /// Print one line of JSON an event
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    keys: KeyFlags,
}

fn cursor(text: &str) -> Result<Cursor, &'static str> {
    text.parse().or(Err("must be a cursor of this inbox, such as 0001d2a0b3c40000"))
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let local = || Target::parse_base(&format!("http://127.0.0.1:{DEFAULT_PORT}")).map_err(Failure::wrong);
    let target = arguments.url.map_or_else(local, Ok)?.trusting(&arguments.tls)?;
    let keys = settings::keys(arguments.keys.clone())?;
    let form = if arguments.json { Form::Json } else { Form::Words };
    for event in arguments.event.iter().filter(|event| !EVENTS.contains(&event.as_str())) {
        let (_, nearest) = nearest_name(&event.to_ascii_lowercase(), EVENTS).unwrap_or_default();
        tell(format_args!("warning: LiveKit has no event {event:?}; the nearest is {nearest}"));
    }
    let start = if arguments.tail { Start::Latest } else { arguments.after.map_or(Start::Oldest, Start::After) };
    let pages = Pages::new(target, keys.minting().clone(), arguments.room.as_deref(), &arguments.event, start);
    let follow = arguments.follow || arguments.tail;
    let runtime = client::runtime()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            biased;
            stopped = stop_signal(), if follow => stopped,
            () = nobody_reads() => Ok(()),
            outcome = read(pages, form, follow, &arguments.keys) => outcome,
        }
    });
    runtime.shutdown_timeout(LAST_WRITE);
    outcome
}

/// Reads to the end, or without one. Keys that were changed meanwhile are read again.
async fn read(mut pages: Pages, form: Form, follow: bool, keys: &KeyFlags) -> Outcome {
    let wait = if follow { WAIT } else { Duration::ZERO };
    let (mut was_reached, mut back_off) = (false, None);
    loop {
        match pages.next(wait).await {
            Ok(page) => {
                was_reached = true;
                if back_off.take().is_some() {
                    tell(format_args!("{} is back", pages.target()));
                }
                let lines = page.events.iter().map(|event| form.line(event.get()) + "\n").collect();
                write(lines).await?;
                if page.is_end && !follow {
                    return Ok(());
                }
            }
            Err(error)
                if error.status() == Some(StatusCode::UNAUTHORIZED)
                    && let Some(key) = new_key(keys, &pages) =>
            {
                pages.set_key(key);
            }
            Err(error) if follow && was_reached && error.may_pass() => {
                if back_off.is_none() {
                    tell(format_args!("{} gives {error}; trying on", pages.target()));
                }
                let (first, longest) = BACK_OFF;
                let wait = back_off.map_or(first, |last: Duration| last.saturating_mul(2)).min(longest);
                back_off = Some(wait);
                sleep(error.retry_after().map_or(wait, |asked| asked.clamp(first, MAX_RETRY_AFTER))).await;
            }
            Err(error) => return Err(Failure::refused(reason(&pages, &error))),
        }
    }
}

/// The key that mints by now, where it is another one.
fn new_key(keys: &KeyFlags, pages: &Pages) -> Option<ApiKey> {
    let keys = settings::keys_in_silence(keys.clone()).ok()?.api_keys;
    (keys.minting() != pages.key()).then(|| keys.minting().clone())
}

/// Why there are no events, and what helps where that is known.
fn reason(pages: &Pages, error: &PageError) -> String {
    let advice = match error.status().map(|status| status.as_u16()) {
        Some(401) => format!(": is {:?} one of its keys, with the same secret?", pages.key().name()),
        Some(410) => ": read on with --after and that cursor".to_owned(),
        _ => String::new(),
    };
    format!("{} gives {error}{advice}", pages.target())
}

/// Writes `lines` to stdout on another thread, so that a reader that does not read holds up no signal.
async fn write(lines: String) -> Outcome {
    spawn_blocking(move || output::write(&lines)).await.unwrap_or_else(|panic| Err(Failure::wrong(panic)))
}

/// Done when the pipe that stdout is has no reader any more; never where it is something else.
#[allow(deprecated, reason = "what replaces it is unsafe code, and this descriptor stays open")]
async fn nobody_reads() {
    if let Ok(stdout) = AsyncFd::with_interest(io::stdout(), Interest::ERROR) {
        let _ = stdout.ready(Interest::ERROR).await; // it fails with the runtime alone
    } else {
        pending().await
    }
}

async fn stop_signal() -> Outcome {
    let signals = signal(SignalKind::terminate()).and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    let (mut terminate, mut interrupt) =
        signals.map_err(|error| Failure::wrong(format_args!("cannot listen for signals: {error}")))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
