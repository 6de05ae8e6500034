//! Owns the way in: one thread that commits all that waits as one batch and only then answers (group commit). It also deletes what
//! is not to be kept, and tries a failing store until it works again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tracing::warn;

use crate::clock::Clock;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::Arrival;
use crate::inbox::health::Health;
use crate::inbox::mark::{Mark, Wish};
use crate::inbox::pruner::Pruner;
use crate::inbox::queue::{AppendError, Outcome, Queue, Waiting};
use crate::inbox::statistics::Statistics;
use crate::inbox::store::{Appended, Retention, Store, StoreError};
use crate::worker::{Work, Workers};

/// For an append to be committed; whose sender is told to come again while it still listens (LiveKit 1.54: for 10 s).
const APPEND_PATIENCE: Duration = Duration::from_secs(4);
/// Where a batch takes this long, the next one is gathered: a few more deliveries a sync are worth the wait. Where syncs are fast,
/// it is better that some deliveries are committed while others come in.
const SLOW: Duration = Duration::from_millis(3);
/// How long a batch is gathered.
const GATHER: Duration = Duration::from_millis(1);
/// Between two looks for what need not be kept, and between two tries of a failing store.
const PAUSE: Duration = Duration::from_secs(1);

/// Bytes that are committed at once, or one delivery more: what is not to be kept goes between two batches.
const BATCH_BYTES: usize = 8 << 20;
/// The thread's name.
const NAME: &str = "inbox";

/// The way in. The thread behind it ends with [`close`](Self::close), or when this is dropped.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Queue,
    health: Health,
    statistics: Arc<Statistics>,
    ended: watch::Sender<bool>,
}

impl Writer {
    /// Starts the thread. `changed` hears of each commit, and of each move of `mark`.
    pub(crate) fn start(
        workers: &Workers,
        store: Arc<dyn Store>,
        retention: Retention,
        clock: Clock,
        statistics: Arc<Statistics>,
        changed: watch::Sender<()>,
        mark: Arc<Mark>,
    ) -> io::Result<Self> {
        // A file was tried out when it was opened.
        let health = Health::new(store.is_remote().then_some(StoreError::Unreached));
        let shared = Arc::new(Shared { queue: Queue::new(), health, statistics, ended: watch::Sender::new(false) });
        let runtime = Handle::try_current().ok();
        let pruner = Pruner::new(Arc::clone(&store), retention, clock.clone());
        let (own, end) = (Arc::clone(&shared), End(Arc::clone(&shared)));
        workers.spawn(NAME, Desk { shared: own, store, pruner, clock, changed, mark, runtime, _end: end })?;
        Ok(Self { shared })
    }

    /// Commits `arrival`, and says so once it is.
    pub(crate) async fn append(&self, arrival: Arrival) -> Outcome {
        let appended = self.try_append(arrival).await;
        if appended.is_err() {
            self.shared.statistics.refused.fetch_add(1, Relaxed);
        }
        appended
    }

    async fn try_append(&self, arrival: Arrival) -> Outcome {
        if self.shared.health.is_stalled() {
            return Err(AppendError::Unavailable);
        }
        let outcome = self.shared.queue.push(arrival)?;
        match tokio::time::timeout(APPEND_PATIENCE, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(AppendError::Unavailable),
        }
    }

    /// Has the thread look for what there is to do.
    pub(crate) fn nudge(&self) {
        self.shared.queue.nudge();
    }

    /// Why appends fail now, if they do.
    pub(crate) fn outage(&self) -> Option<Arc<StoreError>> {
        self.shared.health.outage()
    }

    /// Done once the store is lost for good: why.
    pub(crate) async fn lost(&self) -> Arc<StoreError> {
        self.shared.health.lost().await
    }

    /// Takes no more, commits what waits, and is done when the thread is.
    pub(crate) async fn close(&self) {
        self.shared.queue.close();
        let _ = self.shared.ended.subscribe().wait_for(|ended| *ended).await; // the sender is ours
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

/// The end of the thread, also by a panic: nobody waits in vain.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.queue.close();
        self.0.queue.forget();
        self.0.health.end();
        self.0.ended.send_replace(true);
    }
}

/// The thread's own.
struct Desk {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    pruner: Pruner,
    clock: Clock,
    changed: watch::Sender<()>,
    mark: Arc<Mark>,
    /// Where those who wait run.
    runtime: Option<Handle>,
    /// Dropped after the store is.
    _end: End,
}

impl Work for Desk {
    fn run(&mut self) {
        let (mut looked, mut is_prune_due) = (Instant::now(), true);
        let (mut crowd, mut gather) = (1, Duration::ZERO);
        loop {
            let within = if is_prune_due { Duration::ZERO } else { PAUSE };
            let Some(mut waiting) = self.shared.queue.take(within, crowd, gather) else { break };
            if !waiting.is_empty() {
                let begin = Instant::now();
                crowd = waiting.len();
                while !waiting.is_empty() {
                    let rest = waiting.split_off(first_batch(&waiting));
                    self.commit(std::mem::replace(&mut waiting, rest));
                    if self.pruner.is_due() {
                        is_prune_due = self.prune();
                    }
                }
                let took = begin.elapsed();
                gather = if took < SLOW { Duration::ZERO } else { GATHER };
            } else if self.shared.health.is_failing() || self.store.is_remote() {
                self.shared.health.judge(self.work(|store| store.probe()));
            }
            if is_prune_due || looked.elapsed() >= PAUSE {
                looked = Instant::now();
                is_prune_due = self.prune();
            }
            if !self.shared.health.is_failing()
                && let Some(wish) = self.mark.take_wish()
            {
                self.advance(wish);
            }
        }
        self.store.close();
    }

    /// What waited may be what panics, and is not tried again: its senders bring it back if they want.
    fn recover(&mut self) -> bool {
        self.shared.queue.forget();
        self.shared.health.recover();
        self.changed.send_replace(()); // the panic may have come after a commit
        !self.shared.queue.is_closed()
    }
}

impl Desk {
    fn commit(&self, waiting: Vec<Waiting>) {
        // Who no longer waits was told to come again.
        let (batch, answers): (Vec<_>, Vec<_>) =
            waiting.into_iter().filter(|each| !each.answer.is_closed()).map(|each| (each.arrival, each.answer)).unzip();
        if batch.is_empty() {
            return;
        }
        if self.pruner.is_out_of_room() {
            return self.answer(answers.into_iter().map(|answer| (answer, Err(AppendError::Unavailable))));
        }
        let begin = Instant::now();
        let appended = self.work(|store| store.append(&batch));
        self.shared.statistics.batch(&batch, appended.as_deref().unwrap_or_default(), begin.elapsed());
        match appended {
            Ok(appended) => {
                // Who has its answer finds readiness and followers told.
                self.shared.health.judge(Ok(()));
                self.changed.send_replace(());
                for (arrival, _) in batch.iter().zip(&appended).filter(|(_, appended)| **appended == Appended::Conflict) {
                    warn!(
                        id = arrival.id(),
                        key = arrival.key(),
                        "another body under the id of an event that is kept: the first one stays"
                    );
                }
                self.answer(answers.into_iter().zip(appended.into_iter().map(Ok)));
            }
            Err(error) => {
                self.shared.health.judge(Err(error));
                self.changed.send_replace(()); // perhaps they are committed nevertheless
                self.answer(answers.into_iter().map(|answer| (answer, Err(AppendError::Unavailable))));
            }
        }
    }

    /// Tells each its outcome, where they run: from there they are woken together, from here one by one.
    fn answer(&self, outcomes: impl Iterator<Item = (oneshot::Sender<Outcome>, Outcome)> + Send + 'static) {
        let tell = || {
            for (answer, outcome) in outcomes {
                let _ = answer.send(outcome); // nobody may wait any more
            }
        };
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn(async { tell() })),
            None => tell(),
        }
    }

    fn prune(&mut self) -> bool {
        self.pruner.prune(&self.shared.health, &self.shared.statistics)
    }

    /// Moves the mark on to the present; for a reader that begins there, behind all entries that there are.
    fn advance(&self, wish: Wish) {
        let begin = Instant::now();
        // The next millisecond is behind all entries of this one, and does not tell whether there are any.
        let step = if wish == Wish::Now { Duration::from_millis(1) } else { Duration::ZERO };
        let now = self.clock.now().saturating_add(step);
        // Not back, and also where a Redis that took over has lost the last move.
        let to = self.mark.current().map_or(Cursor::at(now), |before| before.max(Cursor::at(now)));
        match self.work(|store| store.advance(to)) {
            Ok(newest) => {
                // Where the clock was set back, entries have cursors of the future, which the present would stay behind.
                let is_behind = newest > Cursor::at(now.saturating_add(self.mark.step()));
                self.changed.send_replace(()); // makes the tail outdated, before anybody knows the mark
                self.mark.publish(if is_behind || wish == Wish::Now { newest } else { to }, wish, begin);
                self.changed.send_replace(()); // tells them
            }
            Err(error) => {
                self.mark.want(Wish::Later);
                self.shared.health.judge(Err(error)); // an append would fail, too
            }
        }
    }

    fn work<T>(&self, something: impl FnOnce(&dyn Store) -> T) -> T {
        self.shared.health.watch(|| something(&*self.store))
    }
}

/// How many of `waiting` are committed at once.
fn first_batch(waiting: &[Waiting]) -> usize {
    let mut bytes = 0_usize;
    let fits = waiting.iter().take_while(|each| {
        let fits = bytes < BATCH_BYTES;
        bytes = bytes.saturating_add(each.arrival.bytes());
        fits
    });
    fits.count()
}
