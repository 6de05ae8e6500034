//! Names the kinds of failed attempts, as far as the relay tells them apart. Does not know requests and answers.

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// There was no connection.
    Connect,
    /// There was no answer, or not a whole one.
    Exchange,
    /// The target asks for less: 429 or 503.
    Busy,
    /// Any other answer that is not 2xx.
    Answer,
}
