//! What follows from a refusal: status, label in metrics, text, header, and what the log says. Does not know why.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

/// Everything that follows from a refusal.
pub(crate) struct Facts<'a> {
    pub(crate) status: StatusCode,
    /// Its name in metrics.
    pub(crate) label: &'static str,
    /// What the client is told.
    pub(crate) text: Cow<'static, str>,
    pub(crate) header: Option<(HeaderName, HeaderValue)>,
    /// What the log says instead of the text.
    logged: Option<&'a dyn fmt::Display>,
}

impl<'a> Facts<'a> {
    /// The reason, for the log. It may say more than the client is told.
    pub(crate) fn reason(&self) -> &dyn fmt::Display {
        self.logged.unwrap_or(&self.text)
    }

    pub(crate) fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// Ends the connection, because nobody can tell where the next request begins.
    pub(crate) fn closes(self) -> Self {
        self.with(CONNECTION, HeaderValue::from_static("close"))
    }

    pub(crate) fn asks_for_token(self) -> Self {
        self.with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// In whole seconds, rounded up.
    pub(crate) fn retried_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
        self.with(RETRY_AFTER, seconds.into())
    }

    pub(crate) fn logged_as(self, error: &'a dyn fmt::Display) -> Self {
        Self { logged: Some(error), ..self }
    }
}

pub(crate) fn facts<'a>(status: StatusCode, label: &'static str, text: impl Into<Cow<'static, str>>) -> Facts<'a> {
    Facts { status, label, text: text.into(), header: None, logged: None }
}
