//! Owns what the log tells of a reader: what it may read, from where, and when and why that ended. Does not know what it was given.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{debug, info};

use crate::http::content::End;
use crate::http::endpoints::events::query::Start;
use crate::http::recent::Recent;
use crate::http::stop::Stop;
use crate::http::trace::Trace;

/// A reader, as log lines name it.
pub(super) struct Reader {
    pub(super) trace: Trace,
    /// The name of the key that signed its token.
    pub(super) key: Arc<str>,
    /// The grant by which it reads.
    pub(super) grant: &'static str,
    /// The one room of which it reads.
    pub(super) room: Option<String>,
    /// Where it begins.
    pub(super) start: Start,
}

/// A line about a reader at this level.
macro_rules! line {
    ($level:ident, $reader:ident, $form:literal, $message:literal $(, $name:ident = $value:expr)*) => {
        $level!(
            form = $form,
            grant = $reader.grant,
            room = $reader.room.as_deref().unwrap_or_default(),
            after = %$reader.start,
            key = &*$reader.key,
            client = %$reader.trace.client,
            request = %$reader.trace.request,
            $($name = $value,)*
            $message
        )
    };
}

impl Reader {
    /// Tells that it asks for a page. Who goes on from page to page is told of once a minute, and of each page at debug.
    pub(super) fn page(&self, recent: &Recent) {
        if recent.is_news((&self.key, self.grant, &self.room, self.trace.client), Instant::now()) {
            line!(info, self, "page", "reader");
        } else {
            line!(debug, self, "page", "reader");
        }
    }

    /// Tells that its stream begins, and gives what tells of the end.
    pub(super) fn stream(self, stop: Arc<Stop>) -> impl FnOnce(End) + Send + 'static {
        line!(info, self, "stream", "reader");
        let begin = Instant::now();
        move |end| {
            let why = match end {
                End::Left => "the client left",
                End::Slow => "the client took too little",
                End::Right => "the token ended, or its key was removed",
                End::Done if stop.ends_connections() => "the server stops",
                End::Done => "what comes next is not kept any more",
            };
            line!(info, self, "stream", "reader ended", why = why, seconds = begin.elapsed().as_secs());
        }
    }
}
