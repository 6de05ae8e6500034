//! How an attempt can fail. Does not know what follows from it.

use std::time::Duration;

/// The longest wait that a target can ask for.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    /// Of the answer, if there was one.
    pub(super) status: Option<u16>,
    /// What went wrong, in words without secrets.
    pub(super) error: String,
    /// How long the target asks to wait, at most [`MAX_RETRY_AFTER`].
    pub(super) retry_after: Option<Duration>,
}

/// The kinds of failure that have different consequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum FailureKind {
    /// There was no connection.
    Connect,
    /// There was no answer: a reset, a timeout, or an answer that is not HTTP.
    Exchange,
    /// The target has too much to do: 429 or 503.
    Busy,
    /// Any other answer that is not 2xx.
    Answer,
}
