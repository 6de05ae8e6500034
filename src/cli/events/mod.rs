//! `roomkey events`: how long the inbox of a running roomkey is read, also across its outages, and where the events go. Does not know
//! how a page is requested or how an event is shown.

mod lines;
mod pages;

use std::future::pending;
use std::io;
use std::time::Duration;

use hyper::StatusCode;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::cli::remote;
use crate::cli::shared_flags::{self, ClientFlags};
use crate::cli::stop_signals::StopSignals;
use crate::cli::{Failure, Outcome, output, tell};
use crate::client::Target;
use crate::config::{KeyFlags, Variables, nearest_name};
use crate::inbox::Cursor;
use crate::livekit::event::EVENTS;
use lines::LineFormat;
use pages::{PageError, PageReader, ReadFrom, WAIT};

/// The wait before the first try after a failure, and the longest one. Each further wait is twice as long.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// The longest wait that `Retry-After` can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);
/// How long the end waits for a write to stdout.
const LAST_WRITE: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey events
  roomkey events --follow --room daily
  roomkey events --tail
  roomkey events --event room_started --event room_finished --json
  roomkey events --follow --after 0001d2a0b3c40000 --url http://localhost:6080/x

With --json each line is {\"cursor\",\"receivedAt\",\"event\"}, with the event as it arrived, including any secrets in it.
Status 1 if roomkey cannot be reached, refuses, or has deleted the events after --after. With --follow, once roomkey has been
reached, the command waits out outages.")]
pub(super) struct ReadEvents {
    /// Continue with new events, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Follow only new events, as `tail -n 0 -f` does
    #[arg(long, conflicts_with = "after")]
    tail: bool,
    /// Where roomkey is, with its base path if it has one
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:6080", value_parser = remote::base_url)]
    url: Target,
    /// Only events of this room
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    room: Option<String>,
    /// Only events of this name, such as room_started; repeat it for more
    #[arg(long, value_name = "NAME")]
    event: Vec<String>,
    /// The cursor of the last event that was read, to continue after it [default: from the oldest event]
    #[arg(long, value_name = "CURSOR", value_parser = cursor)]
    after: Option<Cursor>,
    #[command(flatten)]
    flags: ClientFlags,
}

pub(super) fn cursor(text: &str) -> Result<Cursor, &'static str> {
    text.parse().or(Err("must be a cursor of this inbox, such as 0001d2a0b3c40000"))
}

pub(super) fn run(arguments: ReadEvents) -> Outcome {
    let target = arguments.flags.tls.applied_to(arguments.url)?;
    let keys = shared_flags::keys(&arguments.flags.keys)?;
    let format = if arguments.flags.json { LineFormat::Json } else { LineFormat::Words };
    for event in arguments.event.iter().filter(|event| !EVENTS.contains(&event.as_str())) {
        let (_, nearest) = nearest_name(&event.to_ascii_lowercase(), EVENTS).unwrap_or_default();
        tell(format_args!("warning: LiveKit has no event {event:?}; the nearest is {nearest}"));
    }
    let start = if arguments.tail { ReadFrom::Latest } else { arguments.after.map_or(ReadFrom::Oldest, ReadFrom::After) };
    let pages = PageReader::new(target, keys.minting().clone(), arguments.room.as_deref(), &arguments.event, start);
    let follow = arguments.follow || arguments.tail;
    let runtime = remote::runtime()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            biased;
            stopped = stopped(), if follow => stopped,
            () = reader_is_gone() => Ok(()),
            outcome = read(pages, format, follow, &arguments.flags.keys) => outcome,
        }
    });
    runtime.shutdown_timeout(LAST_WRITE);
    outcome
}

/// Reads to the end, or forever with `follow`. If the server refuses the key, the keys are read again in case they have changed.
async fn read(mut pages: PageReader, format: LineFormat, follow: bool, keys: &KeyFlags) -> Outcome {
    let wait = if follow { WAIT } else { Duration::ZERO };
    let (mut was_reached, mut back_off) = (false, None);
    loop {
        match pages.next(wait).await {
            Ok(page) => {
                was_reached = true;
                if back_off.take().is_some() {
                    tell(format_args!("{} is back", pages.target));
                }
                let lines = page.events.iter().map(|event| format.line(event.get()) + "\n").collect();
                write(lines).await?;
                if page.is_end && !follow {
                    return Ok(());
                }
            }
            Err(PageError::Refused { status: StatusCode::UNAUTHORIZED, .. }) if changes_key(&mut pages, keys) => {}
            Err(error) if follow && was_reached && error.is_temporary() => {
                if back_off.is_none() {
                    tell(format_args!("{}: {error}; trying again", pages.target));
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

/// Gives `pages` the key that mints now. Returns whether that is another one.
fn changes_key(pages: &mut PageReader, keys: &KeyFlags) -> bool {
    let read = Variables::read().and_then(|variables| keys.read(&variables));
    let new = read.ok().map(|keys| keys.api_keys.minting().clone()).filter(|key| *key != pages.key);
    new.map(|key| pages.key = key).is_some()
}

/// Why there are no events, and what helps if that is known.
fn reason(pages: &PageReader, error: &PageError) -> String {
    let advice = match error {
        PageError::Refused { status: StatusCode::UNAUTHORIZED, .. } => remote::advice_on(&pages.key),
        PageError::Refused { status: StatusCode::GONE, .. } => ": continue with --after and that cursor".to_owned(),
        _ => String::new(),
    };
    format!("{}: {error}{advice}", pages.target)
}

/// Writes `lines` to stdout on another thread, so that a reader that does not read cannot delay signals.
async fn write(lines: String) -> Outcome {
    spawn_blocking(move || output::write(&lines)).await.unwrap_or_else(|panic| Err(Failure::wrong(panic)))
}

/// Waits until stdout is a pipe without a reader.
#[allow(deprecated, reason = "its replacement needs unsafe code, and this descriptor stays open")]
async fn reader_is_gone() {
    if let Ok(stdout) = AsyncFd::with_interest(io::stdout(), Interest::ERROR) {
        let _ = stdout.ready(Interest::ERROR).await; // it fails only if the runtime ends
    } else {
        pending().await
    }
}

async fn stopped() -> Outcome {
    StopSignals::listen()?.next().await;
    Ok(())
}
