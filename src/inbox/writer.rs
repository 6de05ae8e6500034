//! Runs the one thread that writes to the store. It commits all queued deliveries as one batch and only then answers (group
//! commit), deletes old entries, moves the mark, and probes a failing store until it works again. Does not know the backends.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::warn;

use crate::clock::Clock;
use crate::inbox::entry::Arrival;
use crate::inbox::indexer::Indexer;
use crate::inbox::mark::Move;
use crate::inbox::pruner::Pruner;
use crate::inbox::queue::{AppendError, AppendResult, Taken};
use crate::inbox::shared::{EndGuard, Shared};
use crate::inbox::store::{Appended, Retention, Store, StoreError};
use crate::inbox::target_write::Written;
use crate::worker::Workers;

/// A batch waits for as many deliveries as the last one had, as long as that took to commit, and at most so long. One large batch
/// takes much less time than many small ones.
const GATHER: Duration = Duration::from_millis(1);
/// If a batch took less time for each delivery than this, the store is quick, and the next batch waits for only half as many deliveries.
/// Then one half is committed while the senders of the other half get their answers and send again.
const QUICK: Duration = Duration::from_micros(25);
/// Between two searches for old entries, and between two probes of a failing store.
const INTERVAL: Duration = Duration::from_secs(1);
const THREAD: &str = "inbox";

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
        has_warned: false,
        runtime: Handle::try_current().ok(),
        _end: EndGuard(Arc::clone(shared)),
    };
    let recovering = Arc::clone(shared);
    workers.spawn(THREAD, move || thread.run(), move || recovering.recover()).map(drop)
}

/// How many deliveries the next batch waits for, after one of `count` that took this long to commit.
fn next_expected(count: usize, took: Duration) -> usize {
    let is_quick = u32::try_from(count).is_ok_and(|count| took < QUICK.saturating_mul(count));
    if is_quick { count.div_ceil(2) } else { count }
}

struct WriterThread {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    pruner: Pruner,
    indexer: Indexer,
    clock: Clock,
    /// Whether the log says that the relay's last writes failed.
    has_warned: bool,
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
            let Some(taken) = self.shared.queue.take(wait, expected, gather) else { break };
            if !taken.is_empty() {
                let (begin, count) = (Instant::now(), taken.deliveries.len());
                self.commit_all(taken);
                if count > 0 {
                    let took = begin.elapsed();
                    (expected, gather) = (next_expected(count, took), took.min(GATHER));
                }
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
    fn commit_all(&mut self, mut taken: Taken) {
        while !taken.is_empty() {
            let mut left = self.store.batch_limit();
            let count = taken.deliveries.iter().take_while(|(arrival, _)| left.take(arrival.bytes())).count();
            let later = taken.deliveries.split_off(count);
            let count = taken.writes.iter().take_while(|(write, _)| left.take(write.bytes())).count();
            let later = Taken { deliveries: later, writes: taken.writes.split_off(count) };
            self.commit(std::mem::replace(&mut taken, later));
            if self.pruner.is_due() {
                self.pruner.prune(&self.shared.health, &self.shared.statistics);
            }
        }
    }

    fn commit(&mut self, taken: Taken) {
        let Taken { deliveries: mut batch, mut writes } = taken;
        // Senders that have given up were told to try again.
        batch.retain(|(_, answer)| !answer.is_closed());
        writes.retain(|(_, answer)| !answer.is_closed());
        let (mut batch, mut answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        if self.pruner.is_out_of_room() {
            writes.retain(|(write, _)| !write.needs_room());
            self.refuse(std::mem::take(&mut batch), std::mem::take(&mut answers));
        }
        if batch.is_empty() && writes.is_empty() {
            return;
        }
        let (writes, written_answers): (Vec<_>, Vec<_>) = writes.into_iter().unzip();
        let begin = Instant::now();
        let committed = self.shared.health.watch(|| self.store.commit(&batch, &writes, self.clock.now()));
        let (appended, written) = match committed {
            Ok(committed) => (Ok(committed.appended), committed.written),
            Err(error) if batch.is_empty() => (Ok(Vec::new()), Err(error)),
            Err(error) => (Err(error), Ok(Vec::new())),
        };
        self.answer_writes(written, written_answers);
        if !batch.is_empty() {
            self.shared.statistics.batch(&batch, appended.as_deref().unwrap_or_default(), begin.elapsed());
            self.finish(batch, answers, appended);
        }
    }

    /// Tells everybody what became of `batch`.
    fn finish(
        &self,
        batch: Vec<Arrival>,
        answers: Vec<oneshot::Sender<AppendResult>>,
        appended: Result<Vec<Appended>, StoreError>,
    ) {
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
                self.refuse(batch, answers);
            }
        }
    }

    fn refuse(&self, batch: Vec<Arrival>, answers: Vec<oneshot::Sender<AppendResult>>) {
        self.answer(batch, answers.into_iter().map(|answer| (answer, Err(AppendError::Unavailable))));
    }

    /// The relay's writes can fail alone, so they say nothing about whether deliveries can be committed.
    fn answer_writes(&mut self, written: Result<Vec<Written>, StoreError>, answers: Vec<oneshot::Sender<Written>>) {
        match written {
            Ok(written) => {
                self.has_warned &= written.is_empty();
                for (answer, written) in answers.into_iter().zip(written) {
                    let _ = answer.send(written); // it may have given up
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    let cause = error.source().map(tracing::field::display);
                    warn!(%error, cause, "the relay cannot write to the inbox, and may send events again");
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_waits_for_half_as_many_if_the_store_is_quick() {
        for (count, micros, expected) in
            [(64, 1000, 32), (33, 500, 17), (64, 1600, 64), (64, 5000, 64), (1, 10, 1), (1, 300, 1), (2, 300, 2)]
        {
            assert_eq!(next_expected(count, Duration::from_micros(micros)), expected, "{count} in {micros} µs");
        }
    }
}
