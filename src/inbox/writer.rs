//! Runs the one thread that writes to the store. It commits all queued deliveries as one batch and only then answers (group
//! commit), deletes old entries, moves the mark, and probes a failing store until it works again. Does not know the backends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{SetOnce, oneshot, watch};
use tokio::time::timeout;
use tracing::warn;

use crate::clock::Clock;
use crate::inbox::entry::Arrival;
use crate::inbox::health::Health;
use crate::inbox::indexer::Indexer;
use crate::inbox::mark::{Mark, Move};
use crate::inbox::pruner::Pruner;
use crate::inbox::queue::{AppendError, AppendResult, ArrivalQueue, Queued};
use crate::inbox::statistics::Statistics;
use crate::inbox::store::{Appended, Retention, Store, StoreError};
use crate::worker::Workers;

/// How long an append waits for its commit. LiveKit 1.54 listens for 10 s, so its request is still answered.
const APPEND_TIMEOUT: Duration = Duration::from_secs(4);
/// A batch waits for as many deliveries as the last one had, as long as that took to commit, and at most so long. One large batch
/// takes much less time than many small ones.
const GATHER: Duration = Duration::from_millis(1);
/// Between two searches for old entries, and between two probes of a failing store.
const INTERVAL: Duration = Duration::from_secs(1);
const THREAD: &str = "inbox";

/// What the handles of the inbox share with the thread.
pub(crate) struct Shared {
    pub(crate) statistics: Statistics,
    /// Notified of each commit, and of each move of the mark.
    pub(crate) changed: watch::Sender<()>,
    pub(crate) mark: Mark,
    pub(crate) health: Health,
    /// The thread ends when it is closed and empty.
    pub(crate) queue: ArrivalQueue,
    ended: SetOnce<()>,
}

impl Shared {
    /// `age` is the age at which entries are deleted, and `outage` why the store does not work yet.
    pub(crate) fn new(changed: watch::Sender<()>, age: Duration, outage: Option<StoreError>) -> Self {
        Self {
            statistics: Statistics::new(),
            changed,
            mark: Mark::new(age),
            health: Health::new(outage),
            queue: ArrivalQueue::default(),
            ended: SetOnce::new(),
        }
    }

    /// Has the thread commit `arrival` before this returns.
    pub(crate) async fn append(&self, arrival: Arrival) -> AppendResult {
        let appending = async {
            if self.health.is_stalled() {
                return Err(AppendError::Unavailable);
            }
            let outcome = self.queue.push(arrival)?;
            timeout(APPEND_TIMEOUT, outcome).await.ok().and_then(Result::ok).unwrap_or(Err(AppendError::Unavailable))
        };
        appending.await.inspect_err(|_| _ = self.statistics.refused.fetch_add(1, Relaxed))
    }

    /// Accepts no more deliveries, commits the queued ones, and waits for the end of the thread.
    pub(crate) async fn close(&self) {
        self.queue.close();
        self.ended.wait().await;
    }

    /// Cleans up after a panic of the thread, and returns whether it is still needed. A queued delivery may have caused the panic,
    /// so none is tried again here. Senders may retry.
    fn recover(&self) -> bool {
        self.queue.clear();
        self.health.recover();
        self.changed.send_replace(()); // the panic may have come after a commit
        !self.queue.is_closed()
    }
}

/// Starts the thread.
pub(crate) fn start(
    workers: &Workers,
    store: Arc<dyn Store>,
    retention: Retention,
    clock: Clock,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    let mut thread = WriterThread {
        shared: Arc::clone(shared),
        pruner: Pruner::new(Arc::clone(&store), retention, clock.clone()),
        indexer: Indexer::new(Arc::clone(&store)),
        store,
        clock,
        runtime: Handle::try_current().ok(),
        _end: EndGuard(Arc::clone(shared)),
    };
    let recovering = Arc::clone(shared);
    workers.spawn(THREAD, move || thread.run(), move || recovering.recover()).map(drop)
}

/// Dropped when the thread ends, even by a panic, so that nobody waits forever.
struct EndGuard(Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.queue.close();
        self.0.queue.clear();
        self.0.health.end();
        let _ = self.0.ended.set(()); // there is only one thread
    }
}

struct WriterThread {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    pruner: Pruner,
    indexer: Indexer,
    clock: Clock,
    /// The runtime of the senders.
    runtime: Option<Handle>,
    /// The last field: dropped after the store.
    _end: EndGuard,
}

impl WriterThread {
    fn run(&mut self) {
        let mut searched_at = Instant::now();
        let (mut expected, mut gather) = (1, Duration::ZERO);
        self.pruner.has_more = true;
        loop {
            let wait = if self.pruner.has_more { Duration::ZERO } else { self.indexer.rest(INTERVAL) };
            let Some(deliveries) = self.shared.queue.take(wait, expected, gather) else { break };
            if !deliveries.is_empty() {
                let begin = Instant::now();
                expected = deliveries.len();
                self.commit_all(deliveries);
                gather = begin.elapsed().min(GATHER);
            } else if self.shared.health.is_failing() || self.store.is_remote() {
                self.shared.health.update(self.shared.health.watch(|| self.store.probe()));
            }
            if self.pruner.has_more || searched_at.elapsed() >= INTERVAL {
                searched_at = Instant::now();
                self.pruner.prune(&self.shared.health, &self.shared.statistics);
            }
            if self.shared.health.is_failing() {
                continue;
            }
            self.indexer.step(&self.shared.health);
            if let Some(requested) = self.shared.mark.take_request() {
                self.move_mark(requested);
            }
        }
        self.store.close();
    }

    /// Commits in batches, and deletes old entries between them if there is too much.
    fn commit_all(&mut self, mut deliveries: Vec<Queued>) {
        while !deliveries.is_empty() {
            let mut left = self.store.batch_limit();
            let count = deliveries.iter().take_while(|(arrival, _)| left.take(arrival.bytes())).count();
            let rest = deliveries.split_off(count);
            self.commit(std::mem::replace(&mut deliveries, rest));
            if self.pruner.is_due() {
                self.pruner.prune(&self.shared.health, &self.shared.statistics);
            }
        }
    }

    fn commit(&self, mut batch: Vec<Queued>) {
        // Senders that have given up were told to try again.
        batch.retain(|(_, answer)| !answer.is_closed());
        if batch.is_empty() {
            return;
        }
        let (batch, answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let refuse = |batch, answers: Vec<_>| {
            self.answer(batch, answers.into_iter().map(|answer| (answer, Err(AppendError::Unavailable))));
        };
        if self.pruner.is_out_of_room() {
            return refuse(batch, answers);
        }
        let begin = Instant::now();
        let appended = self.shared.health.watch(|| self.store.append(&batch));
        self.shared.statistics.batch(&batch, appended.as_deref().unwrap_or_default(), begin.elapsed());
        match appended {
            Ok(appended) => {
                // Readiness and followers are up to date before the senders are answered.
                self.shared.health.update(Ok(()));
                self.shared.changed.send_replace(());
                for (arrival, _) in batch.iter().zip(&appended).filter(|(_, appended)| **appended == Appended::Conflict) {
                    let (id, key) = (arrival.id(), arrival.key());
                    warn!(id, key, "the id of a stored event came with another body: the first one is kept");
                }
                self.answer(batch, answers.into_iter().zip(appended.into_iter().map(Ok)));
            }
            Err(error) => {
                self.shared.health.update(Err(error));
                self.shared.changed.send_replace(()); // they may be committed nevertheless
                refuse(batch, answers);
            }
        }
    }

    /// Sends the outcomes of `batch`, from a task of the senders' runtime: that wakes them all at once, this thread one by one.
    fn answer(
        &self,
        batch: Vec<Arrival>,
        outcomes: impl Iterator<Item = (oneshot::Sender<AppendResult>, AppendResult)> + Send + 'static,
    ) {
        let send = || {
            drop(batch); // a connection uses its buffer again for the next request, once no body is in it
            for (answer, outcome) in outcomes {
                let _ = answer.send(outcome); // the sender may have given up
            }
        };
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn(async { send() })),
            None => send(),
        }
    }

    /// A failed move is tried again; an append would fail too.
    fn move_mark(&self, requested: Move) {
        let Shared { mark, changed, health, .. } = &*self.shared;
        let advance = |to| health.watch(|| self.store.advance(to));
        if let Err(error) = mark.advance(requested, self.clock.now(), changed, advance) {
            health.update(Err(error));
        }
    }
}
