//! The log, and everything else that goes to stderr. Logging never blocks, fails or ends anything else: lines go through a queue to
//! a thread that writes them. Does not know what is logged.

mod line;
mod queue;

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::{LazyLock, OnceLock};
use std::thread;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_global_default;
use tracing::{Event, Level, Metadata, Subscriber, dispatcher, error};

use crate::clock::UnixTime;
use crate::config::LogFormat;
use line::Line;
use queue::{FILE_WRITE_BYTES, LineQueue, LineWriter, PIPE_WRITE_BYTES};

/// How long the end of the process waits for the last lines.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// How long a message of a command is waited for, so that on a terminal it comes before the result.
const TELL_PATIENCE: Duration = Duration::from_millis(100);

/// There is one stderr in a process, and so there is one queue.
static QUEUE: LazyLock<LineQueue> = LazyLock::new(LineQueue::default);
thread_local! {
    /// The line that this thread wrote last, to be used again.
    static LINE: Cell<Option<Line>> = const { Cell::new(None) };
}
/// The format of log lines, once it is known.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Starts the thread that writes, and logs panics from now on.
pub(super) fn start() -> io::Result<()> {
    // The standard library's handle silently drops what cannot be written.
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let max_bytes = if stderr.metadata().is_ok_and(|stderr| stderr.is_file()) { FILE_WRITE_BYTES } else { PIPE_WRITE_BYTES };
    let writer = LineWriter::new(stderr, max_bytes, lost_lines);
    thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&QUEUE))?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

pub(super) fn open(level: Level, format: LogFormat) {
    let format = *FORMAT.get_or_init(|| format);
    let _ = set_global_default(Log { level, format }); // fails only if it is set already
}

/// Writes the remaining lines at the end of the process.
pub(super) fn close() {
    QUEUE.flush(CLOSE_PATIENCE);
}

pub(super) fn tell(message: impl fmt::Display) {
    QUEUE.push(&line::message(message));
    QUEUE.flush(TELL_PATIENCE);
}

/// How many lines were lost, because there were too many or they could not be written.
pub(super) fn lines_dropped() -> u64 {
    QUEUE.dropped()
}

fn lost_lines(count: u64) -> String {
    const WHY: &str = "log lines were lost, because there were too many or they could not be written";
    let Some(format) = FORMAT.get() else { return line::message(format_args!("{count} {WHY}")) };
    let mut line = Line::new(*format);
    line.begin(Level::WARN, UnixTime::now());
    line.text("message", false, WHY);
    line.plain("lines", count);
    line.end().to_owned()
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let (name, what) = (thread.name().unwrap_or_default(), panic.to_string().replace(":\n", ": "));
    if dispatcher::has_been_set() {
        error!(thread = name, "{what}");
    } else {
        QUEUE.push(&line::message(what));
    }
}

/// Turns events into lines. There are no spans in this program.
struct Log {
    level: Level,
    format: LogFormat,
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.level))
    }

    fn event(&self, event: &Event<'_>) {
        // Taken out, because a value may log while it is written.
        let kept = LINE.try_with(Cell::take).ok().flatten();
        let mut line = kept.unwrap_or_else(|| Line::new(self.format));
        line.begin(*event.metadata().level(), UnixTime::now());
        event.record(&mut line);
        QUEUE.push(line.end());
        let _ = LINE.try_with(|kept| kept.set(Some(line)));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
