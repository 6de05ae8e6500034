//! What the metrics learn of the callers. Does not know metrics.

use std::fmt;
use std::time::Duration;

/// Counts and measures. `()` does not.
pub(crate) trait Observer: fmt::Debug + Send + Sync {
    /// The keys of `caller`'s issuer were fetched, or could not be.
    fn keys_fetched(&self, caller: &str, outcome: KeyFetchOutcome);

    /// The application was to say who `caller` is. `took` is `None` if it was not asked.
    fn application_asked(&self, caller: &str, outcome: ForwardOutcome, took: Option<Duration>);

    /// A kept answer of the application was used.
    fn answer_reused(&self, caller: &str);
}

impl Observer for () {
    fn keys_fetched(&self, _: &str, _: KeyFetchOutcome) {}
    fn application_asked(&self, _: &str, _: ForwardOutcome, _: Option<Duration>) {}
    fn answer_reused(&self, _: &str) {}
}

/// How a fetch of keys ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFetchOutcome {
    Fetched,
    Failed,
}

impl KeyFetchOutcome {
    /// The metric's label.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::Failed => "failed",
        }
    }
}

/// What the application said, or why it was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForwardOutcome {
    SignedIn,
    NotSignedIn,
    Forbidden,
    /// No answer, or one that says nothing.
    Failed,
    /// Not asked, because too many requests are in flight.
    Busy,
    /// Not asked, because it failed too often.
    Suspended,
}

impl ForwardOutcome {
    /// The metric's label.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::NotSignedIn => "not_signed_in",
            Self::Forbidden => "forbidden",
            Self::Failed => "failed",
            Self::Busy => "busy",
            Self::Suspended => "suspended",
        }
    }
}
