//! Defines what the writer thread writes for the relay, each small enough for a batch. Does not know the stores.

use crate::inbox::cursor::Cursor;
use crate::inbox::target::{OwedEvent, TargetCommit, TargetError, TargetState};

/// Owed events in one write, at most. It takes a few milliseconds, and deliveries need not wait for the next one.
const MOST_ROWS: usize = 512;
/// What a row counts in a batch, in bytes: a page of the table and a page of its index.
const ROW_BYTES: usize = 16 * 1024;

/// One write, all or nothing.
#[derive(Debug)]
pub(crate) struct TargetWrite {
    pub(crate) target: String,
    pub(crate) change: TargetChange,
}

#[derive(Debug)]
pub(crate) enum TargetChange {
    /// Of the holder of the lease with this epoch.
    Commit {
        epoch: u64,
        owed: Vec<OwedEvent>,
        settled: Vec<Cursor>,
        end: Option<CommitEnd>,
    },
    TakeLease,
    GiveLeaseBack,
    Steer(String),
}

/// The last part of a commit.
#[derive(Debug)]
pub(crate) struct CommitEnd {
    pub(crate) state: TargetState,
    pub(crate) steered: u64,
}

/// The outcome of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Done,
    /// The epoch of the lease, or the number of the request.
    Number(u64),
    /// Nothing is written: another holds the lease, or too many requests wait.
    Refused,
}

impl Written {
    pub(crate) fn number(self) -> Option<u64> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }

    pub(crate) fn done(self) -> Result<(), TargetError> {
        if self == Self::Refused { Err(TargetError::LeaseLost) } else { Ok(()) }
    }
}

impl TargetWrite {
    pub(crate) fn new(target: &str, change: TargetChange) -> Self {
        Self { target: target.to_owned(), change }
    }

    /// The writes that make up `commit`, in order.
    pub(crate) fn parts(commit: TargetCommit) -> Vec<Self> {
        let TargetCommit { target, epoch, state, mut owed, mut settled, steered } = commit;
        let part = |owed, settled, end| Self::new(&target, TargetChange::Commit { epoch, owed, settled, end });
        let mut parts = Vec::new();
        while owed.len().saturating_add(settled.len()) > MOST_ROWS {
            let first_owed: Vec<_> = owed.drain(..owed.len().min(MOST_ROWS)).collect();
            let room = MOST_ROWS.saturating_sub(first_owed.len()).min(settled.len());
            parts.push(part(first_owed, settled.drain(..room).collect(), None));
        }
        parts.push(part(owed, settled, Some(CommitEnd { state, steered })));
        parts
    }

    /// What it takes up of a batch, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let rows = match &self.change {
            TargetChange::Commit { owed, settled, .. } => owed.len().saturating_add(settled.len()),
            _ => 0,
        };
        rows.saturating_add(1).saturating_mul(ROW_BYTES)
    }

    /// Whether it adds something that stays. Settling works while the store is too large.
    pub(crate) fn needs_room(&self) -> bool {
        match &self.change {
            TargetChange::Commit { owed, .. } => !owed.is_empty(),
            TargetChange::Steer(_) => true,
            TargetChange::TakeLease | TargetChange::GiveLeaseBack => false,
        }
    }
}
