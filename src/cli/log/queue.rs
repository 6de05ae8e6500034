//! Brings lines to stderr: a bounded queue, which takes or drops a line but never waits, and the thread that writes the lines in
//! batches. Lines that cannot be written are counted and reported once writing works again. Does not know how a line looks.

use std::io::{ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::worker::lock;

/// The bounds of the queue. A line that exceeds one of them is dropped.
const MAX_LINES: usize = 8192;
const MAX_BYTES: usize = 1024 * 1024;
/// How much memory is kept for the next lines.
const KEPT_BYTES: usize = 64 * 1024;
/// The most bytes in one write, in whole lines: a pipe does not mix these with the lines of others (`PIPE_BUF`, pipe(7)).
pub(super) const PIPE_WRITE_BYTES: usize = super::line::MAX_LINE_BYTES;
/// The same for a file. Few large writes take a third of the time of many small ones.
pub(super) const FILE_WRITE_BYTES: usize = 64 * 1024;
/// The time between two batches, so that many lines need few writes. The first line after a while is written at once.
const PAUSE: Duration = Duration::from_millis(10);
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct LineQueue {
    state: Mutex<PendingLines>,
    /// Wakes the writer: there are lines, or a flush.
    wake: Condvar,
    /// Wakes flushes: the writer has nothing left to do.
    idle: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct PendingLines {
    lines: Vec<u8>,
    count: usize,
    /// Lines dropped since the writer last took lines.
    dropped: u64,
    /// Whether the writer waits, because it has nothing left to do or cannot do it.
    is_idle: bool,
    /// Whether a flush waits for the writer.
    is_flushing: bool,
}

impl LineQueue {
    /// Adds `line`, which includes its line end, or drops it if there is no room.
    pub(super) fn push(&self, line: &str) {
        let mut state = self.state();
        if state.count >= MAX_LINES || state.lines.len().saturating_add(line.len()) > MAX_BYTES {
            state.dropped = state.dropped.saturating_add(1);
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        state.lines.extend_from_slice(line.as_bytes());
        state.count = state.count.saturating_add(1);
        if std::mem::take(&mut state.is_idle) {
            drop(state);
            self.wake.notify_one();
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Waits up to `patience` until every line is written, or cannot be written.
    pub(super) fn flush(&self, patience: Duration) {
        let mut state = self.state();
        state.is_flushing = true;
        self.wake.notify_one();
        let waited = self.idle.wait_timeout_while(state, patience, |state| !state.is_idle);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_flushing = false;
    }

    /// Moves the lines to `batch`, which is empty, once there are some or `patience` is over. Returns how many were dropped after them.
    fn take(&self, batch: &mut Vec<u8>, patience: Duration) -> u64 {
        let mut state = self.state();
        state.is_idle = state.lines.is_empty() && !patience.is_zero();
        if state.is_idle {
            self.idle.notify_all();
        }
        let waited = self.wake.wait_timeout_while(state, patience, |state| state.lines.is_empty());
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.is_idle = false;
        state.count = 0;
        std::mem::swap(&mut state.lines, batch);
        std::mem::take(&mut state.dropped)
    }

    /// Lets lines gather, unless there is a flush.
    fn pause(&self) {
        drop(self.wake.wait_timeout_while(self.state(), PAUSE, |state| !state.is_flushing));
    }

    /// A panic leaves no inconsistent state here.
    fn state(&self) -> MutexGuard<'_, PendingLines> {
        lock(&self.state)
    }
}

/// Writes the lines of a queue, and counts those that are lost.
pub(super) struct LineWriter<W> {
    sink: Sink<W>,
    /// Makes the line that reports lost lines.
    report: fn(u64) -> String,
    batch: Vec<u8>,
    /// Lost lines that were not reported yet.
    unreported: u64,
}

impl<W: Write> LineWriter<W> {
    /// A writer to `sink`, which takes `max_bytes` in one write.
    pub(super) fn new(sink: W, max_bytes: usize, report: fn(u64) -> String) -> Self {
        Self { sink: Sink { sink, max_bytes, works: true, is_torn: false }, report, batch: Vec::new(), unreported: 0 }
    }

    /// Writes the lines of `queue` forever, also after a panic, which the panic hook logs.
    pub(super) fn run(mut self, queue: &LineQueue) {
        loop {
            let batches = AssertUnwindSafe(|| {
                loop {
                    self.write_batch(queue);
                    queue.pause();
                }
            });
            let _ = catch_unwind(batches);
            self.count_lost(queue, 0);
            thread::sleep(PAUSE);
        }
    }

    /// Takes lines and writes them, after reporting earlier losses.
    fn write_batch(&mut self, queue: &LineQueue) {
        let patience = match (self.unreported, self.sink.works) {
            (0, _) => Duration::MAX,
            (_, true) => Duration::ZERO,
            (_, false) => RETRY,
        };
        let dropped = queue.take(&mut self.batch, patience);
        if self.unreported > 0 {
            self.sink.write((self.report)(self.unreported).as_bytes());
            self.unreported = if self.sink.works { 0 } else { self.unreported };
        }
        let written = if self.unreported == 0 { self.sink.write(&self.batch) } else { 0 };
        self.count_lost(queue, written);
        self.unreported = self.unreported.saturating_add(dropped);
    }

    /// Counts the lines of the batch that end after its first `written` bytes as lost, and empties the batch.
    fn count_lost(&mut self, queue: &LineQueue, written: usize) {
        let lost = self.batch.iter().skip(written).filter(|byte| **byte == b'\n').count();
        let lost = u64::try_from(lost).unwrap_or(u64::MAX);
        queue.dropped.fetch_add(lost, Relaxed);
        self.unreported = self.unreported.saturating_add(lost);
        self.batch.clear();
        self.batch.shrink_to(KEPT_BYTES);
    }
}

struct Sink<W> {
    sink: W,
    max_bytes: usize,
    works: bool,
    /// Whether the last line was written only in part.
    is_torn: bool,
}

impl<W: Write> Sink<W> {
    /// Writes `lines`, and returns how many bytes were written. Ends a torn line first.
    fn write(&mut self, lines: &[u8]) -> usize {
        let mut written: usize = 0;
        self.works = true;
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty() && self.works) {
            match self.sink.write(if self.is_torn { b"\n" } else { one_write(rest, self.max_bytes) }) {
                Ok(0) => self.works = false,
                Ok(_) if self.is_torn => self.is_torn = false,
                Ok(count) => written = written.saturating_add(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
                Err(_) => self.works = false,
            }
        }
        self.is_torn |= lines.get(..written).and_then(<[u8]>::last).is_some_and(|last| *last != b'\n');
        written
    }
}

/// The whole lines at the start of `lines` that one write of `max_bytes` may take, or a part of a line that is too long.
fn one_write(lines: &[u8], max_bytes: usize) -> &[u8] {
    let most = lines.get(..max_bytes).unwrap_or(lines);
    let end = most.iter().rposition(|byte| *byte == b'\n').map_or(most.len(), |at| at.saturating_add(1));
    most.get(..end).unwrap_or(most)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// How long a test waits before it fails.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A sink that does what the test says for each write, and reports what was written.
    struct Scripted {
        steps: Receiver<Step>,
        written: Sender<String>,
    }

    enum Step {
        /// Take at most this many bytes.
        Take(usize),
        Fail(ErrorKind),
        Panic,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.steps.recv().unwrap_or(Step::Take(usize::MAX)) {
                Step::Take(most) => {
                    let bytes = &bytes[..most.min(bytes.len())];
                    self.written.send(String::from_utf8_lossy(bytes).into_owned()).unwrap();
                    Ok(bytes.len())
                }
                Step::Fail(kind) => Err(kind.into()),
                Step::Panic => panic!("the sink panics"),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A queue, whose thread lives as long as the process, with the steps and the output of its sink.
    fn start() -> (Arc<LineQueue>, Sender<Step>, Receiver<String>) {
        let (queue, (script, steps), (sender, written)) = (Arc::new(LineQueue::default()), channel(), channel());
        let writer = LineWriter::new(Scripted { steps, written: sender }, PIPE_WRITE_BYTES, |count| format!("{count} lost\n"));
        let of_thread = Arc::clone(&queue);
        thread::spawn(move || writer.run(&of_thread));
        (queue, script, written)
    }

    /// All that is written until `end` is.
    fn read_until(written: &Receiver<String>, end: &str) -> String {
        let mut all = String::new();
        while !all.ends_with(end) {
            all += &written.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {end:?} after {all:?}"));
        }
        all
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_reported() {
        let (queue, script, written) = start();
        for (failure, line) in [(ErrorKind::BrokenPipe, "one\n"), (ErrorKind::StorageFull, "two\n")] {
            script.send(Step::Fail(failure)).unwrap();
            queue.push(line);
            queue.flush(PATIENCE);
        }
        assert_eq!(queue.dropped(), 2);
        script.send(Step::Take(usize::MAX)).unwrap();
        // The loss is reported without another line.
        assert_eq!(read_until(&written, "lost\n"), "2 lost\n");
        drop(script);
        queue.push("three\n");
        assert_eq!(read_until(&written, "three\n"), "three\n");
        assert_eq!(queue.dropped(), 2);
    }

    #[test]
    fn a_writer_that_panicked_continues() {
        let (queue, script, written) = start();
        script.send(Step::Panic).unwrap();
        script.send(Step::Panic).unwrap();
        drop(script);
        queue.push("one\n");
        queue.flush(PATIENCE);
        queue.push("two\n");
        assert_eq!(read_until(&written, "two\n"), "1 lost\ntwo\n");
        assert_eq!(queue.dropped(), 1);
    }

    #[test]
    fn a_line_that_was_torn_ends_before_the_next_one() {
        let (queue, script, written) = start();
        for step in [Step::Take(3), Step::Fail(ErrorKind::WouldBlock), Step::Take(2), Step::Fail(ErrorKind::StorageFull)] {
            script.send(step).unwrap();
        }
        queue.push("123456\n");
        queue.flush(PATIENCE);
        drop(script);
        assert_eq!(read_until(&written, "lost\n"), "12345\n1 lost\n");
    }

    #[test]
    fn a_full_queue_drops_lines_and_does_not_wait() {
        for line in ["x\n".to_owned(), "x".repeat(4095) + "\n"] {
            let (queue, script, written) = start();
            queue.push("first\n");
            while !queue.state().lines.is_empty() {
                thread::yield_now(); // until the writer has taken it, and waits for its sink
            }
            for _ in 0..20_000 {
                queue.push(&line);
            }
            queue.flush(Duration::from_millis(1));
            let dropped = queue.dropped();
            let state = queue.state();
            assert!(state.count <= MAX_LINES && state.lines.len() <= MAX_BYTES && dropped > 10_000);
            drop((state, script));
            let all = read_until(&written, "lost\n");
            assert_eq!(all.lines().count() as u64, 20_001 - dropped + 1);
            assert!(all.ends_with(&format!("{dropped} lost\n")));
        }
    }

    #[test]
    fn a_piece_is_whole_lines() {
        let lines = "x".repeat(99) + "\n";
        assert_eq!(one_write(lines.repeat(100).as_bytes(), PIPE_WRITE_BYTES).len(), 4000);
        assert_eq!(one_write(lines.as_bytes(), PIPE_WRITE_BYTES).len(), 100);
        assert_eq!(one_write(b"no end", PIPE_WRITE_BYTES), b"no end");
        assert_eq!(one_write(&[b'x'; 5000], PIPE_WRITE_BYTES).len(), PIPE_WRITE_BYTES);
    }
}
