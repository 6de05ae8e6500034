//! Owns the log and everything else that goes to stderr: nothing that is told blocks, fails or ends anything else. Lines go
//! through a queue to a thread that writes them. Does not know what is told.

mod line;
mod queue;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_global_default;
use tracing::{Event, Level, Metadata, Subscriber, dispatcher, error};

use crate::clock::UnixTime;
use crate::config::LogFormat;
use line::Line;
use queue::{Queue, Writer};

/// For the last lines, when the process ends.
const LAST_LINES: Duration = Duration::from_secs(1);
/// For what a command tells, so that on a terminal it stands before the result that comes next.
const ORDER: Duration = Duration::from_millis(100);

/// Stderr is the process's, and so is its queue.
static QUEUE: Queue = Queue::new();
/// How log lines look, once that is known.
static FORM: OnceLock<LogFormat> = OnceLock::new();

/// Starts the thread that writes, and has panics told as all else is.
pub(super) fn begin() -> io::Result<()> {
    // The standard library's handle drops in silence what its descriptor does not take.
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let writer = Writer::new(stderr, loss);
    thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&QUEUE))?;
    std::panic::set_hook(Box::new(tell_panic));
    Ok(())
}

/// Lets the server log from now on.
pub(super) fn open(level: Level, form: LogFormat) {
    let form = *FORM.get_or_init(|| form);
    let _ = set_global_default(Log { level, form }); // it is there already
}

/// Writes what is left, at the end of the process.
pub(super) fn close() {
    QUEUE.flush(LAST_LINES);
}

/// Tells people a line.
pub(super) fn tell(words: impl fmt::Display) {
    QUEUE.push(&line::told(words));
    QUEUE.flush(ORDER);
}

/// Lines that nobody can read, because they came too fast or could not be written.
pub(super) fn lines_dropped() -> u64 {
    QUEUE.dropped()
}

/// The line that tells of `count` lines that are missing before it.
fn loss(count: u64) -> String {
    const WHY: &str = "log lines were lost, because they came too fast or could not be written";
    let Some(form) = FORM.get() else { return line::told(format_args!("{count} {WHY}")) };
    let mut line = Line::new(*form, Level::WARN, UnixTime::now());
    line.text("message", false, WHY);
    line.plain("lines", count);
    line.finish()
}

fn tell_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let (name, what) = (thread.name().unwrap_or_default(), panic.to_string().replace(":\n", ": "));
    if dispatcher::has_been_set() {
        error!(thread = name, "{what}");
    } else {
        QUEUE.push(&line::told(what));
    }
}

/// What makes lines of events. It knows no spans, because there are none.
struct Log {
    level: Level,
    form: LogFormat,
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.level))
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::new(self.form, *event.metadata().level(), UnixTime::now());
        event.record(&mut line);
        QUEUE.push(&line.finish());
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
