//! Runs the one thread that writes to the store. It commits all queued deliveries as one batch and only then answers (group
//! commit), deletes old entries, moves the mark, and probes a failing store until it works again. Does not know the backends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{SetOnce, oneshot};
use tokio::time::timeout;
use tracing::warn;

use crate::clock::Clock;
use crate::inbox::Shared;
use crate::inbox::entry::{Arrival, PageLimit};
use crate::inbox::health::Health;
use crate::inbox::mark::Move;
use crate::inbox::pruner::Pruner;
use crate::inbox::queue::{AppendError, AppendResult, Queue, Queued};
use crate::inbox::store::{Appended, Retention, Store, StoreError};
use crate::worker::{Work, Workers};

/// How long an append waits for its commit. LiveKit 1.54 listens for 10 s, so its request is still answered.
const APPEND_TIMEOUT: Duration = Duration::from_secs(4);
/// After a batch that took this long, the next one waits for more deliveries to save syncs. Fast syncs need not be saved.
const SLOW_COMMIT: Duration = Duration::from_millis(3);
/// How long a batch waits for more deliveries.
const GATHER: Duration = Duration::from_millis(1);
/// Between two searches for old entries, and between two probes of a failing store.
const INTERVAL: Duration = Duration::from_secs(1);
/// Bytes committed at once; the last delivery may exceed it. Old entries are deleted between two batches.
const BATCH: PageLimit = PageLimit { entries: usize::MAX, bytes: 8 << 20 };
const THREAD: &str = "inbox";

/// Hands deliveries to the thread, which ends with [`close`](Self::close) or when this is dropped.
#[derive(Debug)]
pub(crate) struct Writer(Arc<WriterState>);

#[derive(Debug)]
struct WriterState {
    queue: Queue,
    health: Health,
    shared: Arc<Shared>,
    ended: SetOnce<()>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        workers: &Workers,
        store: Arc<dyn Store>,
        retention: Retention,
        clock: Clock,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        // A file was probed when it was opened.
        let health = Health::new(store.is_remote().then_some(StoreError::Unreached));
        let state = Arc::new(WriterState { queue: Queue::new(), health, shared, ended: SetOnce::new() });
        let pruner = Pruner::new(Arc::clone(&store), retention, clock.clone());
        let (own, end, runtime) = (Arc::clone(&state), EndGuard(Arc::clone(&state)), Handle::try_current().ok());
        workers.spawn(THREAD, WriterThread { state: own, store, pruner, clock, is_prune_due: true, runtime, _end: end })?;
        Ok(Self(state))
    }

    /// Commits `arrival` before it returns.
    pub(crate) async fn append(&self, arrival: Arrival) -> AppendResult {
        let is_stalled = self.0.health.is_stalled();
        let queued = if is_stalled { Err(AppendError::Unavailable) } else { self.0.queue.push(arrival) };
        let result = match queued {
            Ok(outcome) => {
                timeout(APPEND_TIMEOUT, outcome).await.ok().and_then(Result::ok).unwrap_or(Err(AppendError::Unavailable))
            }
            Err(error) => Err(error),
        };
        if result.is_err() {
            self.0.shared.statistics.refused.fetch_add(1, Relaxed);
        }
        result
    }

    pub(crate) fn health(&self) -> &Health {
        &self.0.health
    }

    /// Makes the thread look for work other than deliveries.
    pub(crate) fn wake(&self) {
        self.0.queue.wake();
    }

    /// Accepts no more deliveries, commits the queued ones, and waits for the end of the thread.
    pub(crate) async fn close(&self) {
        self.0.queue.close();
        self.0.ended.wait().await;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

/// Dropped when the thread ends, even by a panic, so that nobody waits forever.
struct EndGuard(Arc<WriterState>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.queue.close();
        self.0.queue.clear();
        self.0.health.end();
        let _ = self.0.ended.set(()); // there is only one thread
    }
}

struct WriterThread {
    state: Arc<WriterState>,
    store: Arc<dyn Store>,
    pruner: Pruner,
    clock: Clock,
    /// Whether the last search for old entries has left some.
    is_prune_due: bool,
    /// The runtime of the senders.
    runtime: Option<Handle>,
    /// The last field: dropped after the store.
    _end: EndGuard,
}

impl Work for WriterThread {
    fn run(&mut self) {
        let mut searched_at = Instant::now();
        let (mut expected, mut gather) = (1, Duration::ZERO);
        self.is_prune_due = true;
        loop {
            let wait = if self.is_prune_due { Duration::ZERO } else { INTERVAL };
            let Some(deliveries) = self.state.queue.take(wait, expected, gather) else { break };
            if !deliveries.is_empty() {
                let begin = Instant::now();
                expected = deliveries.len();
                self.commit_all(deliveries);
                gather = if begin.elapsed() < SLOW_COMMIT { Duration::ZERO } else { GATHER };
            } else if self.state.health.is_failing() || self.store.is_remote() {
                self.state.health.update(self.use_store(|store| store.probe()));
            }
            if self.is_prune_due || searched_at.elapsed() >= INTERVAL {
                searched_at = Instant::now();
                self.prune();
            }
            if !self.state.health.is_failing()
                && let Some(requested) = self.state.shared.mark.take_request()
            {
                self.move_mark(requested);
            }
        }
        self.store.close();
    }

    /// A queued delivery may have caused the panic, so none is tried again here. Senders may retry.
    fn recover(&mut self) -> bool {
        self.state.queue.clear();
        self.state.health.recover();
        self.state.shared.changed.send_replace(()); // the panic may have come after a commit
        !self.state.queue.is_closed()
    }
}

impl WriterThread {
    /// Commits in batches, and deletes old entries between them if there is too much.
    fn commit_all(&mut self, mut deliveries: Vec<Queued>) {
        while !deliveries.is_empty() {
            let mut left = BATCH;
            let count = deliveries.iter().take_while(|queued| left.take(queued.arrival.bytes())).count();
            let rest = deliveries.split_off(count);
            self.commit(std::mem::replace(&mut deliveries, rest));
            if self.pruner.is_due() {
                self.prune();
            }
        }
    }

    fn commit(&self, batch: Vec<Queued>) {
        // Senders that have given up were told to try again.
        let waiting = batch.into_iter().filter(|queued| !queued.answer.is_closed());
        let (batch, answers): (Vec<_>, Vec<_>) = waiting.map(|queued| (queued.arrival, queued.answer)).unzip();
        if batch.is_empty() {
            return;
        }
        let refuse = |answers: Vec<_>| self.answer(answers.into_iter().map(|answer| (answer, Err(AppendError::Unavailable))));
        if self.pruner.is_out_of_room() {
            return refuse(answers);
        }
        let begin = Instant::now();
        let appended = self.use_store(|store| store.append(&batch));
        self.state.shared.statistics.batch(&batch, appended.as_deref().unwrap_or_default(), begin.elapsed());
        match appended {
            Ok(appended) => {
                // Readiness and followers are up to date before the senders are answered.
                self.state.health.update(Ok(()));
                self.state.shared.changed.send_replace(());
                for (arrival, _) in batch.iter().zip(&appended).filter(|(_, appended)| **appended == Appended::Conflict) {
                    warn!(
                        id = arrival.id(),
                        key = arrival.key(),
                        "the id of a stored event came with another body: the first one is kept"
                    );
                }
                self.answer(answers.into_iter().zip(appended.into_iter().map(Ok)));
            }
            Err(error) => {
                self.state.health.update(Err(error));
                self.state.shared.changed.send_replace(()); // they may be committed nevertheless
                refuse(answers);
            }
        }
    }

    /// Sends the outcomes, from a task of the senders' runtime: that wakes them all at once, this thread one by one.
    fn answer(&self, outcomes: impl Iterator<Item = (oneshot::Sender<AppendResult>, AppendResult)> + Send + 'static) {
        let send = || {
            for (answer, outcome) in outcomes {
                let _ = answer.send(outcome); // the sender may have given up
            }
        };
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn(async { send() })),
            None => send(),
        }
    }

    fn prune(&mut self) {
        self.is_prune_due = self.pruner.prune(&self.state.health, &self.state.shared.statistics);
    }

    /// A failed move is tried again; an append would fail too.
    fn move_mark(&self, requested: Move) {
        let Shared { mark, changed, .. } = &*self.state.shared;
        let advance = |to| self.use_store(|store| store.advance(to));
        if let Err(error) = mark.advance(requested, self.clock.now(), changed, advance) {
            self.state.health.update(Err(error));
        }
    }

    fn use_store<T>(&self, work: impl FnOnce(&dyn Store) -> T) -> T {
        self.state.health.watch(|| work(&*self.store))
    }
}
