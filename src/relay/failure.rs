//! The kinds of failure of an attempt. Does not know what follows from them.

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FailureKind {
    /// There was no connection.
    Connect,
    /// There was no answer: a reset, a timeout, or an answer that is not HTTP.
    Exchange,
    /// The target has too much to do: 429 or 503.
    Busy,
    /// Any other answer that is not 2xx.
    Answer,
}
