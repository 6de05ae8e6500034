//! Owns the way of lines to stderr: a bounded queue, which takes a line or drops it but never waits, and the thread that writes
//! them in batches. What cannot be written is counted and told once writing works again. Does not know how a line looks.

use std::io::{ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Of the queue; a line that finds either used up is dropped.
const MAX_LINES: usize = 8192;
const MAX_BYTES: usize = 1024 * 1024;
/// Bytes that are kept for the next lines.
const KEPT_BYTES: usize = 64 * 1024;
/// Written at once, in whole lines: a pipe takes that much in one piece, between those of others (`PIPE_BUF`, pipe(7)).
const PIECE_BYTES: usize = super::line::MAX_LINE_BYTES;
/// Between two batches, so that many lines cost few writes. The first line after a while is written at once.
const PAUSE: Duration = Duration::from_millis(10);
/// After which it is tried again to tell how many lines were lost.
const RETRY: Duration = Duration::from_secs(1);

/// Lines on their way.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// For the writer: there are lines, or somebody waits for them to be written.
    wake: Condvar,
    /// For those who wait: the writer has nothing left to do.
    rest: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct State {
    lines: Vec<u8>,
    count: usize,
    /// Lines dropped since the writer last took some.
    dropped: u64,
    /// Whether the writer waits for lines.
    is_waiting: bool,
    /// Whether it has nothing left to do, or cannot do it.
    is_at_rest: bool,
    /// Whether somebody waits for all to be written.
    is_hurried: bool,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                lines: Vec::new(),
                count: 0,
                dropped: 0,
                is_waiting: false,
                is_at_rest: false,
                is_hurried: false,
            }),
            wake: Condvar::new(),
            rest: Condvar::new(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Adds `line`, which has its end, or drops it where there is no room.
    pub(super) fn push(&self, line: &str) {
        let mut state = self.state();
        if state.count >= MAX_LINES || state.lines.len().saturating_add(line.len()) > MAX_BYTES {
            state.dropped = state.dropped.saturating_add(1);
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        state.lines.extend_from_slice(line.as_bytes());
        state.count = state.count.saturating_add(1);
        if std::mem::take(&mut state.is_waiting) {
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Lines that were dropped, in all.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Waits until every line is written, or cannot be, for at most `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let mut state = self.state();
        state.is_hurried = true;
        self.wake.notify_one();
        let is_at_work = |state: &mut State| !state.is_at_rest || !state.lines.is_empty();
        let waited = self.rest.wait_timeout_while(state, patience, is_at_work);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_hurried = false;
    }

    /// Moves the lines to `batch`, which is empty, once there are some or `patience` is over; how many were dropped after them.
    fn take(&self, batch: &mut Vec<u8>, patience: Duration) -> u64 {
        let mut state = self.state();
        state.is_at_rest = state.lines.is_empty() && !patience.is_zero();
        if state.is_at_rest {
            self.rest.notify_all();
        }
        let is_early = |state: &mut State| {
            state.is_waiting = state.lines.is_empty();
            state.is_waiting
        };
        let mut state = self.wake.wait_timeout_while(state, patience, is_early).unwrap_or_else(PoisonError::into_inner).0;
        state.is_waiting = false;
        state.is_at_rest = false;
        state.count = 0;
        std::mem::swap(&mut state.lines, batch);
        std::mem::take(&mut state.dropped)
    }

    /// Lets lines come together, unless somebody waits for them.
    fn pause(&self) {
        drop(self.wake.wait_timeout_while(self.state(), PAUSE, |state| !state.is_hurried));
    }

    /// A panic leaves nothing half done here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The other end of a queue: it writes the lines and keeps account of those that are lost.
pub(super) struct Writer<W> {
    sink: Sink<W>,
    /// Makes the line that tells how many lines were lost.
    loss: fn(u64) -> String,
    batch: Vec<u8>,
    /// Lines that were lost and not told of.
    untold: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(sink: W, loss: fn(u64) -> String) -> Self {
        Self { sink: Sink { sink, works: true, is_torn: false }, loss, batch: Vec::new(), untold: 0 }
    }

    /// Writes the lines of `queue` for ever, also after a panic, which its hook has told of.
    pub(super) fn run(mut self, queue: &Queue) {
        loop {
            let turns = AssertUnwindSafe(|| {
                loop {
                    self.turn(queue);
                    queue.pause();
                }
            });
            let _ = catch_unwind(turns);
            self.lose(queue, 0);
            thread::sleep(PAUSE);
        }
    }

    /// Takes lines and writes them, after it has told of those that were lost before.
    fn turn(&mut self, queue: &Queue) {
        let patience = match (self.untold, self.sink.works) {
            (0, _) => Duration::MAX,
            (_, true) => Duration::ZERO,
            (_, false) => RETRY,
        };
        let dropped = queue.take(&mut self.batch, patience);
        if self.untold > 0 {
            self.sink.write((self.loss)(self.untold).as_bytes());
            self.untold = if self.sink.works { 0 } else { self.untold };
        }
        let written = if self.untold == 0 { self.sink.write(&self.batch) } else { 0 };
        self.lose(queue, written);
        self.untold = self.untold.saturating_add(dropped);
    }

    /// Counts the lines of the batch that do not end within its first `written` bytes as lost, and empties it.
    fn lose(&mut self, queue: &Queue, written: usize) {
        let lost = self.batch.iter().skip(written).filter(|byte| **byte == b'\n').count();
        let lost = u64::try_from(lost).unwrap_or(u64::MAX);
        queue.dropped.fetch_add(lost, Relaxed);
        self.untold = self.untold.saturating_add(lost);
        self.batch.clear();
        self.batch.shrink_to(KEPT_BYTES);
    }
}

/// What lines are written to.
struct Sink<W> {
    sink: W,
    /// Whether the last write did all that it should.
    works: bool,
    /// Whether only a part of the last line was written.
    is_torn: bool,
}

impl<W: Write> Sink<W> {
    /// Writes `lines`; how many bytes of them. A torn line is ended first.
    fn write(&mut self, lines: &[u8]) -> usize {
        let mut written: usize = 0;
        self.works = true;
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty() && self.works) {
            match self.sink.write(if self.is_torn { b"\n" } else { piece(rest) }) {
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

/// As many whole lines of `lines` as may be written at once, or what is left of one.
fn piece(lines: &[u8]) -> &[u8] {
    let most = lines.get(..PIECE_BYTES).unwrap_or(lines);
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

    /// After which a test fails instead of waiting for ever.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A sink that does what the test says for each write, and tells what was written.
    struct Scripted {
        steps: Receiver<Step>,
        written: Sender<String>,
    }

    enum Step {
        /// Take at most so many bytes.
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

    /// A queue, whose thread lives as long as the process, with what its sink is told and tells.
    fn start() -> (Arc<Queue>, Sender<Step>, Receiver<String>) {
        let (queue, (script, steps), (sender, written)) = (Arc::new(Queue::new()), channel(), channel());
        let writer = Writer::new(Scripted { steps, written: sender }, |count| format!("{count} lost\n"));
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
    fn lines_that_cannot_be_written_are_counted_and_told() {
        let (queue, script, written) = start();
        for (failure, line) in [(ErrorKind::BrokenPipe, "one\n"), (ErrorKind::StorageFull, "two\n")] {
            script.send(Step::Fail(failure)).unwrap();
            queue.push(line);
            queue.flush(PATIENCE);
        }
        assert_eq!(queue.dropped(), 2);
        script.send(Step::Take(usize::MAX)).unwrap();
        // It is told without another line.
        assert_eq!(read_until(&written, "lost\n"), "2 lost\n");
        drop(script);
        queue.push("three\n");
        assert_eq!(read_until(&written, "three\n"), "three\n");
        assert_eq!(queue.dropped(), 2);
    }

    #[test]
    fn a_writer_that_panicked_goes_on() {
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
    fn a_full_queue_drops_and_waits_for_nobody() {
        for line in ["x\n".to_owned(), "x".repeat(4095) + "\n"] {
            let (queue, script, written) = start();
            queue.push("first\n");
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
        assert_eq!(piece(lines.repeat(100).as_bytes()).len(), 4000);
        assert_eq!(piece(lines.as_bytes()).len(), 100);
        assert_eq!(piece(b"no end"), b"no end");
        assert_eq!(piece(&[b'x'; 5000]).len(), PIECE_BYTES);
    }
}
