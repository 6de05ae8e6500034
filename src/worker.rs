//! Restarts background threads and tasks that panic, and logs it. A worker counts as down until it has run for a while after its
//! restart. Does not know what the workers do.

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
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// A worker that runs for this long after a restart is up again. A worker that panics at every restart stays down.
const PROBATION: Duration = Duration::from_secs(2);
/// Between two log lines about the same worker, however often it panics.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The value of a panic.
pub(crate) type Panic = Box<dyn Any + Send>;

/// A set of workers. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workers(Arc<Mutex<BTreeMap<&'static str, PastPanics>>>);

/// What is known of a worker that has panicked.
#[derive(Debug, Default)]
struct PastPanics {
    count: u64,
    logged_at: Option<Instant>,
    /// `None` until the restart.
    restarted_at: Option<Instant>,
}

impl Workers {
    /// Starts a thread that does `work`, which returns when it is no longer needed. After a panic, `recover` cleans up and returns
    /// whether the work is still needed; then it is done again.
    ///
    /// # Errors
    /// If the system cannot start a thread. A restart needs no new thread.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        mut work: impl FnMut() + Send + 'static,
        recover: impl Fn() -> bool + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let workers = self.clone();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Err(panic) = catch_unwind(AssertUnwindSafe(&mut work)) {
                workers.note_panic(name, &panic);
                if !recover() {
                    return;
                }
                thread::sleep(RESTART_DELAY);
                workers.note_restart(name);
            }
        })
    }

    /// Waits for the end of `task`. `true` if it panicked: the caller has to start it again.
    pub(crate) async fn panicked(&self, name: &'static str, task: impl Future<Output = ()>) -> bool {
        let Err(panic) = caught(pin!(task)).await else { return false };
        self.note_panic(name, &panic);
        tokio::time::sleep(RESTART_DELAY).await;
        self.note_restart(name);
        true
    }

    /// A worker that is down.
    pub(crate) fn down(&self) -> Option<&'static str> {
        let is_down = |past: &PastPanics| past.restarted_at.is_none_or(|at| at.elapsed() < PROBATION);
        lock(&self.0).iter().find(|(_, past)| is_down(past)).map(|(name, _)| *name)
    }

    fn note_panic(&self, name: &'static str, panic: &Panic) {
        let mut workers = lock(&self.0);
        let past = workers.entry(name).or_default();
        past.count = past.count.saturating_add(1);
        past.restarted_at = None;
        if past.logged_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            past.logged_at = Some(Instant::now());
            error!(worker = name, reason = reason(panic), panics = past.count, "a worker panicked and is restarted");
        }
    }

    fn note_restart(&self, name: &'static str) {
        lock(&self.0).entry(name).or_default().restarted_at = Some(Instant::now());
    }
}

/// Locks `mutex`, even if a thread panicked while it held the lock: locks are held for single steps only, so a panic leaves nothing
/// half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reason(panic: &Panic) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// The output of `future`, or the value of its panic.
pub(crate) async fn caught<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, Panic> {
    future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Panics on purpose, for tests. Release builds contain none of this.
pub(crate) mod faults {
    #[cfg(debug_assertions)]
    static DIRECTORY: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();

    /// From now on, a point panics while `directory` holds a file of its name.
    #[cfg(debug_assertions)]
    pub(crate) fn arm(directory: std::path::PathBuf) {
        let _ = DIRECTORY.set(directory); // the first one counts
    }

    /// Where a test can make the worker `name` panic.
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
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Starts a thread that panics in each of its first `panics` runs.
    fn start(workers: &Workers, mut panics: u32, is_needed: bool) -> (JoinHandle<()>, Receiver<()>) {
        let (runs, ran) = channel();
        let work = move || {
            let _ = runs.send(());
            if panics > 0 {
                panics = panics.saturating_sub(1);
                panic!("{panics} more");
            }
        };
        (workers.spawn("clumsy", work, move || is_needed).unwrap(), ran)
    }

    #[test]
    fn a_worker_that_panics_is_restarted_and_down_until_it_has_run_for_a_while() {
        let workers = Workers::default();
        let (thread, ran) = start(&workers, 2, true);
        thread.join().unwrap();
        assert_eq!(ran.iter().count(), 3);
        assert_eq!(workers.down(), Some("clumsy"), "restarted a moment ago");
        thread::sleep(PROBATION);
        assert_eq!(workers.down(), None);
        assert_eq!(lock(&workers.0)["clumsy"].count, 2);
    }

    #[test]
    fn a_worker_that_is_no_longer_needed_is_not_restarted() {
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
