//! Owns every bound of the edge: how much it takes and how long it waits. A test may shorten them.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What the edge takes and how long it waits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request's head, from its first letter to the empty line; more is a 431.
    pub head_bytes: usize,
    /// Bytes of a request for a token; more is a 413.
    pub token_body_bytes: usize,
    /// Bytes of a request to LiveKit's standard token endpoint; more is a 413.
    pub standard_body_bytes: usize,
    /// Bytes of a webhook's body; more is a 413.
    pub webhook_body_bytes: usize,
    /// Bytes that each class of requests, tokens and webhooks, holds as bodies and as answers that wait for their reader; more is a 503.
    pub held_body_bytes: usize,
    /// Connections at once; one more gets a 503.
    pub connections: usize,
    /// From a head's first byte to its last; later is a 408.
    pub head: Duration,
    /// From a head's last byte to its body's last; later is a 408.
    pub body: Duration,
    /// Without a byte on a new connection, or after an answer. Load balancers keep a connection for 60 s, and want to be the ones to close.
    pub idle: Duration,
    /// In which a reader takes at least `WRITE_PROGRESS_BYTES`, or is cut.
    pub write: Duration,
    /// After a connection's last answer, for its client to read it and to hang up.
    pub linger: Duration,
    /// After the signal to stop, before anything changes but `/readyz`: for load balancers to look elsewhere.
    pub farewell: Duration,
    /// For the requests under way when the server stops.
    pub drain: Duration,
    /// On a stream of events that is silent for its reader, until a comment tells it that all is well.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 16 * KIB,
            token_body_bytes: 64 * KIB,
            standard_body_bytes: MIB,
            webhook_body_bytes: 8 * MIB,
            held_body_bytes: 64 * MIB,
            connections: 100_000,
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(10),
            linger: Duration::from_secs(1),
            farewell: Duration::ZERO,
            drain: Duration::from_secs(10),
            silence: Duration::from_secs(15),
        }
    }
}

/// See [`LARGE_BODY_BYTES`].
pub(crate) struct LargeBodyBytes {
    pub(crate) token: usize,
    pub(crate) scope: usize,
    pub(crate) all: usize,
}

/// Bytes that a reader has to take in each [`Limits::write`].
pub(crate) const WRITE_PROGRESS_BYTES: usize = KIB;
/// In so many times of [`Limits::write`] a reader has to take a piece of an answer that comes over time, however large it is.
pub(crate) const WRITE_STEPS: usize = 16;
/// Bytes that a connection buffers of what it reads, and after which it stops to buffer what it writes.
pub(crate) const CONNECTION_BUFFER_BYTES: usize = 16 * KIB;
/// Bytes of an answer that are given to the connection at once. An answer that is no longer than that is not counted as held.
pub(crate) const ANSWER_PIECE_BYTES: usize = 16 * KIB;
/// Bytes of a body or an answer beyond which it lies in memory of its own.
pub(crate) const LARGE_BYTES: usize = 64 * KIB;
/// Bytes of a token and what is around it, beside what its request said, at most.
pub(crate) const TOKEN_OVERHEAD_BYTES: usize = 4 * KIB;
/// Bytes that are read and thrown away after a connection's last answer, so that its client gets to read it.
pub(crate) const LINGER_BYTES: usize = 64 * KIB;
/// Bytes of a body that are thrown away after an early answer, so that the connection can be used again.
pub(crate) const DISCARDED_BYTES: usize = 64 * KIB;
/// After an answer, before a quiet connection gives its buffers back.
pub(crate) const BUFFER_GRACE: Duration = Duration::from_millis(50);
/// Connections over [`Limits::connections`] that are told so at once; the others wait their turn.
pub(crate) const REFUSALS_AT_ONCE: usize = 8;
/// For a refused connection's client to read the refusal.
pub(crate) const REFUSAL_LINGER: Duration = Duration::from_millis(100);
/// Connections at once to the listener for those who watch.
pub(crate) const METRICS_CONNECTIONS: usize = 8;
/// Bytes of bodies that are read from the inbox at once for one who follows it. A single larger one is read nevertheless.
pub(crate) const READ_AHEAD_BYTES: usize = 32 * KIB;
/// Bytes of larger bodies that readers of the inbox hold: those with one token, those with the same scope (a room, or all), and
/// all together. The others wait their turn.
pub(crate) const LARGE_BODY_BYTES: LargeBodyBytes = LargeBodyBytes { token: 8 * MIB, scope: 16 * MIB, all: 32 * MIB };
/// For that turn. A page is refused then, and a stream goes on waiting.
pub(crate) const LARGE_BODY_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a query to the inbox. A token in it may take most of them.
pub(crate) const QUERY_BYTES: usize = 8 * KIB;
/// Characters of an unknown parameter's name that its refusal repeats.
pub(crate) const PARAMETER_CHARS: usize = 32;
/// Names of events in a query.
pub(crate) const QUERY_EVENTS: usize = 32;
/// How far a cursor may be later than the present and all that was given, for clocks differ.
pub(crate) const CURSOR_LEEWAY: Duration = Duration::from_secs(60 * 60);
/// For what is being sent when the right to it ends: a reader that is slower is cut.
pub(crate) const RIGHT_GRACE: Duration = Duration::from_secs(3);
/// Warnings about refused webhooks in a minute, each of another key or path and reason. The others share one more.
pub(crate) const WARNINGS_A_MINUTE: usize = 64;
/// Characters of a key or a path that a warning names.
pub(crate) const WARNING_NAME_CHARS: usize = 128;
/// Readers of pages in a minute that the log names at level info.
pub(crate) const READERS_A_MINUTE: usize = 1024;
/// Header names that a preflight may ask for, and their bytes. No request has more headers.
pub(crate) const PREFLIGHT_HEADERS: (usize, usize) = (100, 4 * KIB);
/// After the server begins to stop, for the next request on a kept connection: a proxy may have sent one before it could know.
pub(crate) const LAST_CALL: Duration = Duration::from_millis(500);
/// Entries that a page has where its reader does not say, and at most.
pub(crate) const PAGE_ENTRIES: (usize, usize) = (100, 1000);
/// For a page that has something in it.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(30);
