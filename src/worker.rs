//! Owns the background work that must never be missing in silence. A thread or a task that panics is logged and started again, and
//! until it has shown that it works, it counts as down. Does not know what any of them does.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{future, io};

use tracing::error;

/// Between a panic and the restart.
const PAUSE: Duration = Duration::from_secs(1);
/// A worker that runs for this long after a restart is up again. One that panics at every restart stays down.
const PROOF: Duration = Duration::from_secs(2);
/// Between two log lines about the same worker, however often it panics.
const QUIET: Duration = Duration::from_secs(60);

/// The message or the value that a panic was raised with.
pub(crate) type Panic = Box<dyn Any + Send>;

/// Work for a thread of its own.
pub(crate) trait Work: Send + 'static {
    /// Works until it is no longer needed. Called again after a panic.
    fn run(&mut self);

    /// Cleans up after a panic, and tells whether the work is still needed.
    fn recover(&mut self) -> bool;
}

/// The workers of one owner. Each clone is the same set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workers(Arc<Mutex<BTreeMap<&'static str, Failure>>>);

/// A worker that has panicked before.
#[derive(Debug, Default)]
struct Failure {
    panics: u64,
    logged_at: Option<Instant>,
    /// `None` until it runs again.
    restarted_at: Option<Instant>,
}

impl Failure {
    /// Notes one more panic. Gives whether to log it, and how many there were.
    fn count(&mut self) -> (bool, u64) {
        self.panics = self.panics.saturating_add(1);
        self.restarted_at = None;
        let is_news = self.logged_at.is_none_or(|at| at.elapsed() >= QUIET);
        if is_news {
            self.logged_at = Some(Instant::now());
        }
        (is_news, self.panics)
    }
}

impl Workers {
    /// Starts a thread that does `work`.
    ///
    /// # Errors
    /// If the system has no thread for it. A restart needs no new thread.
    pub(crate) fn spawn(&self, name: &'static str, mut work: impl Work) -> io::Result<JoinHandle<()>> {
        let workers = self.clone();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Err(panic) = catch_unwind(AssertUnwindSafe(|| work.run())) {
                workers.failed(name, &panic);
                if !work.recover() {
                    return;
                }
                thread::sleep(PAUSE);
                workers.restarts(name);
            }
        })
    }

    /// Waits for the end of `task`. `true` if it panicked: then the caller starts it again.
    pub(crate) async fn panicked(&self, name: &'static str, task: impl Future<Output = ()>) -> bool {
        let Err(panic) = caught(pin!(task)).await else { return false };
        self.failed(name, &panic);
        tokio::time::sleep(PAUSE).await;
        self.restarts(name);
        true
    }

    /// A worker that is missing, or has not yet shown that it works again.
    pub(crate) fn down(&self) -> Option<&'static str> {
        let is_down = |failure: &Failure| failure.restarted_at.is_none_or(|at| at.elapsed() < PROOF);
        self.lock().iter().find(|(_, failure)| is_down(failure)).map(|(name, _)| *name)
    }

    fn failed(&self, name: &'static str, panic: &Panic) {
        let (is_news, panics) = self.lock().entry(name).or_default().count();
        if is_news {
            error!(worker = name, reason = reason(panic), panics, "a worker panicked and is started again");
        }
    }

    fn restarts(&self, name: &'static str) {
        self.lock().entry(name).or_default().restarted_at = Some(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reason(panic: &Panic) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// The output of `future`, or the panic that ended it.
pub(crate) async fn caught<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, Panic> {
    future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Panics on purpose, for tests. Release builds contain none of it.
pub(crate) mod faults {
    #[cfg(debug_assertions)]
    static DIRECTORY: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();

    /// From now on a point panics whenever `directory` holds a file of its name.
    #[cfg(debug_assertions)]
    pub(crate) fn arm(directory: std::path::PathBuf) {
        let _ = DIRECTORY.set(directory); // the first one counts
    }

    /// A place where the worker `name` may be made to panic.
    #[inline]
    pub(crate) fn point(name: &str) {
        #[cfg(debug_assertions)]
        {
            let is_armed = DIRECTORY.get().is_some_and(|directory| directory.join(name).exists());
            assert!(!is_armed, "a test wants {name} to panic");
        }
        #[cfg(not(debug_assertions))]
        let _ = name;
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Panics in each of its first `panics` runs.
    struct Clumsy {
        panics: u32,
        runs: Sender<()>,
        is_needed: bool,
    }

    impl Work for Clumsy {
        fn run(&mut self) {
            let _ = self.runs.send(());
            if self.panics > 0 {
                self.panics = self.panics.saturating_sub(1);
                panic!("{} more", self.panics);
            }
        }

        fn recover(&mut self) -> bool {
            self.is_needed
        }
    }

    fn start(workers: &Workers, panics: u32, is_needed: bool) -> (JoinHandle<()>, Receiver<()>) {
        let (runs, ran) = channel();
        (workers.spawn("clumsy", Clumsy { panics, runs, is_needed }).unwrap(), ran)
    }

    #[test]
    fn a_worker_that_panics_runs_again_and_is_down_until_it_is_proven() {
        let workers = Workers::default();
        let (thread, ran) = start(&workers, 2, true);
        thread.join().unwrap();
        assert_eq!(ran.iter().count(), 3);
        assert_eq!(workers.down(), Some("clumsy"), "restarted a moment ago");
        thread::sleep(PROOF);
        assert_eq!(workers.down(), None);
        assert_eq!(workers.lock()["clumsy"].panics, 2);
    }

    #[test]
    fn one_that_is_no_longer_needed_ends_with_its_panic() {
        let workers = Workers::default();
        let (thread, ran) = start(&workers, 1, false);
        thread.join().unwrap();
        assert_eq!((ran.iter().count(), workers.down()), (1, Some("clumsy")));
    }

    #[tokio::test]
    async fn a_task_that_panics_is_reported_and_one_that_ends_is_not() {
        let workers = Workers::default();
        assert!(!workers.panicked("task", async {}).await);
        assert_eq!(workers.down(), None);
        assert!(workers.panicked("task", async { panic!("{}", "formatted") }).await);
        assert_eq!(workers.down(), Some("task"));
    }
}
