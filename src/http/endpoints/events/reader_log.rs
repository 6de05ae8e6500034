//! Logs readers of events: what each may read, where it begins, and why a stream ended. Does not know what was read.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{debug, info};

use crate::http::content::End;
use crate::http::endpoints::events::access::Reader;
use crate::http::endpoints::events::query::Beginning;
use crate::http::limits::READERS_A_MINUTE;
use crate::http::once_a_minute::OnceAMinute;
use crate::http::stop::Stop;
use crate::http::trace::Trace;

/// The fields of the log lines about one reader.
pub(super) struct ReaderLog {
    pub(super) trace: Trace,
    pub(super) reader: Reader,
    pub(super) grant: &'static str,
    /// The only room that it reads.
    pub(super) room: Option<String>,
    pub(super) start: Beginning,
}

/// A line about a reader at this level.
macro_rules! line {
    ($level:ident, $reader:ident, $form:literal, $message:literal $(, $name:ident = $value:expr)*) => {
        $level!(
            form = $form,
            grant = $reader.grant,
            room = $reader.room.as_deref().unwrap_or_default(),
            after = $reader.start.to_string(),
            key = $reader.reader.key(),
            caller = $reader.reader.caller(),
            subject = $reader.reader.subject(),
            client = %$reader.trace.client,
            request = %$reader.trace.request,
            $($name = $value,)*
            $message
        )
    };
}

impl ReaderLog {
    /// Logs a page: the first one within a minute at level info, the others at level debug.
    pub(super) fn page(&self, limit: &OnceAMinute<READERS_A_MINUTE>) {
        if limit.is_first((&self.reader, self.grant, &self.room, self.trace.client), Instant::now()) {
            line!(info, self, "page", "reader");
        } else {
            line!(debug, self, "page", "reader");
        }
    }

    /// Logs the beginning of a stream, and gives the function that logs its end.
    pub(super) fn stream(self, stop: Arc<Stop>) -> impl FnOnce(End) + Send + 'static {
        line!(info, self, "stream", "reader");
        let begin = Instant::now();
        move |end| {
            let why = match end {
                End::Left => "the client left",
                End::Slow => "the client read too slowly",
                End::Forbidden if self.reader.key().is_some() => "the token expired, or its key was removed",
                End::Forbidden => "its credential ended, or the policy no longer allows it",
                End::Done if stop.ends_connections() => "the server is stopping",
                End::Done => "the next events were deleted",
            };
            line!(info, self, "stream", "reader ended", why = why, seconds = begin.elapsed().as_secs());
        }
    }
}
