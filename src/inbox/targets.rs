//! What the relay asks of the inbox: the state of its targets, their leases, and what people asked of them. Does not know the stores.

use crate::inbox::cursor::Cursor;
use crate::inbox::handle::Inbox;
use crate::inbox::store::ReadError;
use crate::inbox::target::{Lag, OwedEvent, OwedState, SteeringRequest, TargetCommit, TargetError, TargetState};

impl Inbox {
    /// The state of `target`; `None` if it is new.
    pub(crate) async fn target(&self, _target: &str) -> Result<Option<TargetState>, ReadError> {
        Err(ReadError::NotKept)
    }

    /// Up to `limit` owed events of `target` after a cursor, in order: those in `state`, or all.
    pub(crate) async fn owed(
        &self,
        _target: &str,
        _state: Option<OwedState>,
        _after: Option<Cursor>,
        _limit: usize,
    ) -> Result<Vec<OwedEvent>, ReadError> {
        Err(ReadError::NotKept)
    }

    /// Commits through the inbox's writer, in one transaction with the deliveries that arrive meanwhile.
    pub(crate) async fn commit_target(&self, _commit: TargetCommit) -> Result<(), TargetError> {
        Err(TargetError::Unavailable)
    }

    /// Takes the lease of `target` for 15 s, or renews it. Returns its epoch, which grows with each holder; `None` while another
    /// roomkey holds it.
    pub(crate) async fn take_lease(&self, _target: &str) -> Result<Option<u64>, TargetError> {
        Err(TargetError::Unavailable)
    }

    /// Gives the lease back, so that another roomkey can take it at once.
    pub(crate) async fn give_lease_back(&self, _target: &str) -> Result<(), TargetError> {
        Err(TargetError::Unavailable)
    }

    /// How far `cursor` is behind the end of the inbox.
    pub(crate) async fn lag(&self, _cursor: Cursor) -> Result<Lag, ReadError> {
        Err(ReadError::NotKept)
    }

    /// Keeps what a person asks `target` to do, until its holder has done it. Returns its number.
    pub(crate) async fn steer(&self, _target: &str, _request: String) -> Result<u64, TargetError> {
        Err(TargetError::Unavailable)
    }

    /// What people asked of `target` and is not done yet, in order.
    pub(crate) async fn steering(&self, _target: &str) -> Result<Vec<SteeringRequest>, ReadError> {
        Err(ReadError::NotKept)
    }
}
