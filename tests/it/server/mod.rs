//! Owns the tests of the server, all through real sockets. What they share: `client` speaks HTTP/1.1 byte by byte, `edge` runs
//! the server in this process with a clock that the test moves, `program` runs the real binary, `sender` has what is sent.

pub(crate) mod client;
pub(crate) mod edge;
pub(crate) mod program;
pub(crate) mod sender;

mod bodies;
mod concurrency;
mod cors;
mod deadlines;
mod framing;
mod heads;
mod kept;
mod limits;
mod logs;
mod lost;
mod mistakes;
mod refusals;
mod routes;
mod settings;
mod shutdown;
mod soak;
mod start;
mod stderr;
mod token;
mod traces;
mod watching;
mod webhook;
