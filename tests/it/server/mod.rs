//! Tests of the server through real sockets, of the real binary or of a server in this process with a clock that the test moves.

mod accepted_webhooks;
mod access_log;
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
mod proxies;
mod proxy_protocol;
mod readiness;
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
