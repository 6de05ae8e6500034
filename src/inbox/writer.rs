//! Owns the way in: a bounded queue, and one thread that commits all that waits in it as one batch and only then answers
//! (group commit). It also deletes what is not to be kept, and tries a failing store until it works again.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::inbox::entry::Arrival;
use crate::inbox::statistics::Statistics;
use crate::inbox::store::{Appended, Retention, Store, StoreError};

/// Deliveries that may wait. At 10,000 a second a batch has some 50.
const QUEUE_ENTRIES: usize = 2048;
/// For an append to be committed; a sender is told to come again before it gives up (LiveKit: 10 s, issue: 5 s).
const APPEND_PATIENCE: Duration = Duration::from_secs(4);
/// A store that takes longer for one batch does not answer: who comes then does not wait for it.
const STALL: Duration = Duration::from_secs(2);
/// How long a batch is gathered: a part of what the last one took, and never longer than this.
const GATHER: (u32, Duration) = (4, Duration::from_millis(1));
/// Between two looks for what need not be kept, and between two tries of a failing store.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a delivery is not in the inbox, as far as is known. Its sender should come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendError {
    /// Too many wait.
    QueueFull,
    /// The store fails, or takes too long. The delivery may be committed nevertheless; then it is a duplicate when it comes again.
    Unavailable,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "too many deliveries wait for the inbox",
            Self::Unavailable => "the inbox cannot be written to now",
        })
    }
}

impl std::error::Error for AppendError {}

/// The way in. The thread behind it ends with [`close`](Self::close), or when this is dropped.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    statistics: Arc<Statistics>,
    failing: AtomicBool,
    outage: Mutex<Option<Arc<StoreError>>>,
    /// Since when the store has been at work on one thing.
    busy_since: Mutex<Option<Instant>>,
    ended: watch::Sender<bool>,
}

#[derive(Debug)]
struct Queue {
    waiting: Vec<Waiting>,
    /// How many have to wait before the thread is woken.
    wanted: usize,
    closed: bool,
}

#[derive(Debug)]
struct Waiting {
    arrival: Arrival,
    answer: oneshot::Sender<Result<Appended, AppendError>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    /// Starts the thread. `changed` hears of each commit.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        retention: Retention,
        clock: Clock,
        statistics: Arc<Statistics>,
        changed: watch::Sender<()>,
    ) -> io::Result<Self> {
        // A file was tried out when it was opened.
        let outage = store.is_remote().then(|| Arc::new(StoreError::Unreached));
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { waiting: Vec::new(), wanted: 1, closed: false }),
            filled: Condvar::new(),
            statistics,
            failing: AtomicBool::new(outage.is_some()),
            outage: Mutex::new(outage),
            busy_since: Mutex::default(),
            ended: watch::Sender::new(false),
        });
        let desk = Desk { shared: Arc::clone(&shared), store, retention, clock, changed, prune_due: true };
        let end = End(Arc::clone(&shared));
        thread::Builder::new().name("inbox".to_owned()).spawn(move || {
            let _end = end; // dropped after the store is
            desk.run();
        })?;
        Ok(Self { shared })
    }

    /// Commits `arrival`, and says so once it is.
    pub(crate) async fn append(&self, arrival: Arrival) -> Result<Appended, AppendError> {
        let appended = match self.shared.enqueue(arrival) {
            Ok(answer) => match tokio::time::timeout(APPEND_PATIENCE, answer).await {
                Ok(Ok(appended)) => appended,
                Ok(Err(_)) | Err(_) => Err(AppendError::Unavailable),
            },
            Err(error) => Err(error),
        };
        if appended.is_err() {
            self.shared.statistics.refused.fetch_add(1, Relaxed);
        }
        appended
    }

    /// Why appends fail now, if they do.
    pub(crate) fn outage(&self) -> Option<Arc<StoreError>> {
        if self.shared.is_stalled() {
            return Some(Arc::new(StoreError::Stalled));
        }
        lock(&self.shared.outage).clone()
    }

    /// Takes no more, commits what waits, and is done when the thread is.
    pub(crate) async fn close(&self) {
        self.shared.close();
        let _ = self.shared.ended.subscribe().wait_for(|ended| *ended).await; // the sender is ours
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    fn enqueue(&self, arrival: Arrival) -> Result<oneshot::Receiver<Result<Appended, AppendError>>, AppendError> {
        if self.is_stalled() {
            return Err(AppendError::Unavailable);
        }
        let (answer, appended) = oneshot::channel();
        let mut queue = lock(&self.queue);
        if queue.closed {
            return Err(AppendError::Unavailable);
        }
        if queue.waiting.len() >= QUEUE_ENTRIES {
            return Err(AppendError::QueueFull);
        }
        queue.waiting.push(Waiting { arrival, answer });
        if queue.waiting.len() == queue.wanted {
            drop(queue);
            self.filled.notify_one();
        }
        Ok(appended)
    }

    /// All that waits; where nothing does within `within`, nothing. `None` once the queue is closed and empty. Senders that were
    /// answered together come again together: where some are there, the others have a moment to come too, up to `crowd`.
    fn take(&self, within: Duration, crowd: usize, gather: Duration) -> Option<Vec<Waiting>> {
        let mut queue = self.wait(lock(&self.queue), 1, within);
        if !queue.waiting.is_empty() {
            queue = self.wait(queue, crowd, gather);
        }
        let waiting = std::mem::take(&mut queue.waiting);
        if waiting.is_empty() && queue.closed { None } else { Some(waiting) }
    }

    /// Waits until so many wait as are `wanted`, or for as long as `within`.
    fn wait<'a>(&'a self, mut queue: MutexGuard<'a, Queue>, wanted: usize, within: Duration) -> MutexGuard<'a, Queue> {
        queue.wanted = wanted;
        let is_short = |queue: &mut Queue| queue.waiting.len() < wanted && !queue.closed;
        self.filled.wait_timeout_while(queue, within, is_short).unwrap_or_else(PoisonError::into_inner).0
    }

    fn close(&self) {
        lock(&self.queue).closed = true;
        self.filled.notify_one();
    }

    fn is_stalled(&self) -> bool {
        lock(&self.busy_since).is_some_and(|since| since.elapsed() > STALL)
    }
}

/// The thread's own.
struct Desk {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    retention: Retention,
    clock: Clock,
    changed: watch::Sender<()>,
    prune_due: bool,
}

impl Desk {
    fn run(mut self) {
        let mut looked = Instant::now();
        let (mut crowd, mut gather) = (1, Duration::ZERO);
        loop {
            let within = if self.prune_due { Duration::ZERO } else { PAUSE };
            let Some(waiting) = self.shared.take(within, crowd, gather) else { break };
            if !waiting.is_empty() {
                let begin = Instant::now();
                crowd = waiting.len();
                self.commit(waiting);
                gather = begin.elapsed().checked_div(GATHER.0).unwrap_or_default().min(GATHER.1);
            } else if self.shared.failing.load(Relaxed) || self.store.is_remote() {
                let probe = self.work(|store| store.probe());
                self.judge(probe);
            }
            self.prune_due |= looked.elapsed() >= PAUSE;
            if self.prune_due {
                looked = Instant::now();
                let (retention, now) = (self.retention, self.clock.now());
                self.prune_due = match self.work(|store| store.prune(&retention, now)) {
                    Ok(due) => due,
                    Err(error) => {
                        if self.store.is_remote() {
                            self.judge(Err(error)); // it is away, or else it would let us delete
                        }
                        false
                    }
                };
            }
        }
        self.store.close();
    }

    fn commit(&mut self, waiting: Vec<Waiting>) {
        // Who no longer waits was told to come again.
        let (batch, answers): (Vec<_>, Vec<_>) =
            waiting.into_iter().filter(|each| !each.answer.is_closed()).map(|each| (each.arrival, each.answer)).unzip();
        if batch.is_empty() {
            return;
        }
        let begin = Instant::now();
        let appended = self.work(|store| store.append(&batch));
        self.shared.statistics.batch(&batch, appended.as_deref().unwrap_or_default(), begin.elapsed());
        match appended {
            Ok(appended) => {
                // Who has its answer finds readiness and followers told.
                self.judge(Ok(()));
                self.changed.send_replace(());
                for ((arrival, answer), appended) in batch.iter().zip(answers).zip(appended) {
                    let _ = answer.send(Ok(appended)); // nobody may wait any more
                    if appended == Appended::Conflict {
                        warn!(
                            id = arrival.id(),
                            key = arrival.key(),
                            "another body under the id of an event that is kept: the first one stays"
                        );
                    }
                }
            }
            Err(error) => {
                self.judge(Err(error));
                for answer in answers {
                    let _ = answer.send(Err(AppendError::Unavailable)); // as above
                }
            }
        }
    }

    /// Has the store do something, and the time taken.
    fn work<T>(&self, something: impl FnOnce(&dyn Store) -> Result<T, StoreError>) -> Result<T, StoreError> {
        *lock(&self.shared.busy_since) = Some(Instant::now());
        let done = something(&*self.store);
        *lock(&self.shared.busy_since) = None;
        done
    }

    /// Notes whether the store works, and logs where that has changed.
    fn judge(&self, outcome: Result<(), StoreError>) {
        let failing = outcome.is_err();
        if !failing && !self.shared.failing.load(Relaxed) {
            return;
        }
        let mut outage = lock(&self.shared.outage);
        match outcome {
            Ok(()) if matches!(outage.as_deref(), Some(StoreError::Unreached)) => {}
            Ok(()) => info!("the inbox works again"),
            Err(ref error) if outage.as_ref().is_none_or(|last| last.to_string() != error.to_string()) => {
                let cause = std::error::Error::source(error).map(tracing::field::display);
                error!(%error, cause, "webhooks are answered with 503 until the inbox works again");
            }
            Err(_) => {}
        }
        *outage = outcome.err().map(Arc::new);
        self.shared.failing.store(failing, Relaxed);
    }
}

/// The end of the thread, also by a panic: nobody waits in vain.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        let Self(shared) = self;
        let mut queue = lock(&shared.queue);
        queue.closed = true;
        queue.waiting.clear();
        drop(queue);
        lock(&shared.outage).get_or_insert_with(|| Arc::new(StoreError::Stalled));
        shared.ended.send_replace(true);
    }
}
