//! What the relay asks of the inbox: the state of its targets, their leases, and what people asked of them. Does not know the stores.

use std::sync::Arc;

use crate::inbox::cursor::Cursor;
use crate::inbox::handle::Inbox;
use crate::inbox::store::ReadError;
use crate::inbox::target::{Lag, OwedEvent, OwedState, SteeringRequest, TargetCommit, TargetError, TargetState};
use crate::inbox::target_write::{TargetChange, TargetWrite, Written};

/// Owed events that one read of the store returns, because it blocks everything else in a Redis.
const OWED_PAGE: usize = 1000;

impl Inbox {
    /// The state of `target`; `None` if it is new.
    pub(crate) async fn target(&self, target: &str) -> Result<Option<TargetState>, ReadError> {
        let target = target.to_owned();
        self.read_with(move |store| store.target(&target)).await
    }

    /// Up to `limit` owed events of `target` after a cursor, in order: those in `state`, or all.
    pub(crate) async fn owed(
        &self,
        target: &str,
        state: Option<OwedState>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<OwedEvent>, ReadError> {
        let (target, mut after) = (Arc::<str>::from(target), after.unwrap_or(Cursor::from_number(0)));
        let mut events = Vec::new();
        loop {
            let (target, wanted) = (Arc::clone(&target), limit.saturating_sub(events.len()).min(OWED_PAGE));
            let page = self.read_with(move |store| store.owed(&target, state, after, wanted)).await?;
            let is_last = page.len() < OWED_PAGE;
            after = page.last().map_or(after, |event| event.cursor);
            events.extend(page);
            if is_last {
                return Ok(events);
            }
        }
    }

    /// What `target` owes of the events at `cursors`, of which there is at least one.
    pub(crate) async fn owed_at(&self, target: &str, cursors: &[Cursor]) -> Result<Vec<OwedEvent>, ReadError> {
        let (target, cursors) = (target.to_owned(), cursors.to_vec());
        self.read_with(move |store| store.owed_at(&target, &cursors)).await
    }

    /// Commits through the inbox's writer, in one transaction with the deliveries that arrive meanwhile.
    pub(crate) async fn commit_target(&self, commit: TargetCommit) -> Result<(), TargetError> {
        for part in TargetWrite::parts(commit) {
            self.write_target(part).await?.done()?;
        }
        Ok(())
    }

    /// Takes the lease of `target` for 15 s, or renews it. Returns its epoch, which grows with each holder; `None` while another
    /// roomkey holds it.
    pub(crate) async fn take_lease(&self, target: &str) -> Result<Option<u64>, TargetError> {
        Ok(self.write_target(TargetWrite::new(target, TargetChange::TakeLease)).await?.number())
    }

    /// Gives the lease back, so that another roomkey can take it at once.
    pub(crate) async fn give_lease_back(&self, target: &str) -> Result<(), TargetError> {
        self.write_target(TargetWrite::new(target, TargetChange::GiveLeaseBack)).await.map(drop)
    }

    /// How far `cursor` is behind the end of the inbox.
    pub(crate) async fn lag(&self, cursor: Cursor) -> Result<Lag, ReadError> {
        let (entries, first) = self.read_with(move |store| store.entries_after(cursor)).await?;
        let waiting = self.0.kept.as_ref().zip(first).map(|(kept, first)| kept.clock.now().since(first));
        Ok(Lag { entries, seconds: waiting.unwrap_or_default().as_secs() })
    }

    /// Keeps what a person asks `target` to do, until its holder has done it. Returns its number; `None` if too many wait already.
    pub(crate) async fn steer(&self, target: &str, request: String) -> Result<Option<u64>, TargetError> {
        Ok(self.write_target(TargetWrite::new(target, TargetChange::Steer(request))).await?.number())
    }

    /// What people asked of `target` and is not done yet, in order.
    pub(crate) async fn steering(&self, target: &str) -> Result<Vec<SteeringRequest>, ReadError> {
        let target = target.to_owned();
        self.read_with(move |store| store.steering(&target)).await
    }

    async fn write_target(&self, write: TargetWrite) -> Result<Written, TargetError> {
        if self.keeps() { self.0.shared.write(write).await } else { Err(TargetError::Unavailable) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests panic")]
mod tests;
