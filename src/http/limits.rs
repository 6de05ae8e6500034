//! Every bound of the server: how much it accepts and how long it waits. Tests may shorten them. Does not enforce them.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The bounds that an embedder may change.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request's head, including the empty line; more gets a 431.
    pub head_bytes: usize,
    /// Bytes of a request body at `/token`; more gets a 413.
    pub token_body_bytes: usize,
    /// Bytes of a request body at LiveKit's standard token endpoint; more gets a 413.
    pub standard_body_bytes: usize,
    /// Bytes of a webhook's body; more gets a 413.
    pub webhook_body_bytes: usize,
    /// Bytes of bodies and unwritten answers that each class of requests, tokens and webhooks, may hold; more gets a 503.
    pub held_body_bytes: usize,
    /// Of these, bytes at the token endpoints for one client address (IPv4), or one /64 (IPv6).
    pub client_held_body_bytes: usize,
    /// Connections at once; more get a 503.
    pub connections: usize,
    /// Time from a head's first byte to its last; later gets a 408.
    pub head: Duration,
    /// Time from a head's last byte to its body's last; later gets a 408.
    pub body: Duration,
    /// Time without a byte on a new connection, or after an answer. Longer than the 60 s of most load balancers, which should close first.
    pub idle: Duration,
    /// Time in which a client has to read 1 KiB of an answer, or a sixteenth of a larger piece of a stream. A slower one is cut.
    pub write: Duration,
    /// Time after a connection's last answer for the client to read it and to hang up.
    pub linger: Duration,
    /// Time after the signal to stop in which only `/readyz` changes, so that load balancers stop sending requests.
    pub farewell: Duration,
    /// Time for requests in flight to finish when the server stops.
    pub drain: Duration,
    /// Time without an event on a stream before a comment is sent to keep it alive.
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
            client_held_body_bytes: 16 * MIB,
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

/// Bytes that a client has to read in each [`Limits::write`] of `bytes` that are written at once: a sixteenth, and at least 1 KiB.
pub(crate) const fn write_step(bytes: usize) -> usize {
    if bytes > 16 * KIB { bytes / 16 } else { KIB }
}
/// Bytes that a connection buffers of what it reads, and after which it stops buffering what it writes.
pub(crate) const CONNECTION_BUFFER_BYTES: usize = 16 * KIB;
/// Bytes of an answer that hyper is given at once. A shorter answer is not counted as held.
pub(crate) const ANSWER_PIECE_BYTES: usize = 16 * KIB;
/// A larger body or answer gets memory of its own.
pub(crate) const LARGE_BYTES: usize = 64 * KIB;
/// Bytes of an answer with a token, in addition to what its request contained.
pub(crate) const TOKEN_OVERHEAD_BYTES: usize = 4 * KIB;
/// Bytes that are read and thrown away after a connection's last answer, so that the client can read it.
pub(crate) const LINGER_BYTES: usize = 64 * KIB;
/// Bytes of a body that are read and thrown away after an early answer, so that the connection can be used again.
pub(crate) const DISCARDED_BYTES: usize = 64 * KIB;
/// Time after an answer before a busy connection frees its buffers.
pub(crate) const BUFFER_GRACE: Duration = Duration::from_millis(50);
/// Connections beyond [`Limits::connections`] that are answered at once; the others wait.
pub(crate) const REFUSALS_AT_ONCE: usize = 8;
/// Time for such a connection's client to read the answer.
pub(crate) const REFUSAL_LINGER: Duration = Duration::from_millis(100);
/// Connections at once to the metrics listener.
pub(crate) const METRICS_CONNECTIONS: usize = 8;
/// Bytes of bodies that are read from the inbox at once for one reader. A single larger body is read nevertheless.
pub(crate) const READ_AHEAD_BYTES: usize = 32 * KIB;
/// Bytes of larger bodies that all readers of the inbox with one token may hold. Other readers wait.
pub(crate) const LARGE_BODY_BYTES_OF_TOKEN: usize = 8 * MIB;
/// The same for all readers of one room, or of all rooms.
pub(crate) const LARGE_BODY_BYTES_OF_SCOPE: usize = 16 * MIB;
/// The same for all readers together.
pub(crate) const LARGE_BODY_BYTES: usize = 32 * MIB;
/// How long a page waits for that before it is refused. A stream goes on waiting.
pub(crate) const LARGE_BODY_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a query at `/events`. A token in it may take most of them.
pub(crate) const QUERY_BYTES: usize = 8 * KIB;
/// Characters of an unknown parameter's name that the error message repeats.
pub(crate) const PARAMETER_CHARS: usize = 32;
/// Event names in a query.
pub(crate) const QUERY_EVENTS: usize = 32;
/// How far a cursor may be ahead of the clock and of all known cursors, because clocks differ.
pub(crate) const CURSOR_LEEWAY: Duration = Duration::from_secs(60 * 60);
/// Time to finish the piece that is being sent when the permission to read ends. A slower client is cut.
pub(crate) const PERMISSION_GRACE: Duration = Duration::from_secs(3);
/// Warnings about refused webhooks in a minute, each for a different key or path and reason. The rest share one more.
pub(crate) const WARNINGS_A_MINUTE: usize = 64;
/// Characters of a key or a path in a warning.
pub(crate) const WARNING_NAME_CHARS: usize = 128;
/// Characters of a path that are kept for the access log. The log's lines show fewer.
pub(crate) const LOGGED_PATH_CHARS: usize = 1024;
/// Readers of pages in a minute that are logged at level info.
pub(crate) const READERS_A_MINUTE: usize = 1024;
/// Header names that a preflight may ask for, and their bytes. No request may have more headers.
pub(crate) const PREFLIGHT_HEADERS: (usize, usize) = (100, 4 * KIB);
/// Time for one more request on a kept connection after the server begins to stop: a proxy may have sent it before it could know.
pub(crate) const LAST_CALL: Duration = Duration::from_millis(500);
/// Entries on a page: by default, and at most.
pub(crate) const PAGE_ENTRIES: (usize, usize) = (100, 1000);
/// The longest time that a page may wait for its first entry.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(30);
