//! Owns the tests of the server, all through real sockets. What they share: `client` speaks HTTP/1.1 byte by byte, `edge` runs
//! the server in this process with a clock that the test moves, `sender` has what is sent.

mod client;
mod edge;
mod sender;

mod bodies;
mod cors;
mod heads;
mod limits;
mod refusals;
mod routes;
mod token;
mod webhook;
