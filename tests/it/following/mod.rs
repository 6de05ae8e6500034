//! Tests of `GET /events`, through real sockets: `support` runs the server in this process, on disk or over every backend of the
//! inbox, with a clock that the test moves; `client` is hyper's, with a parser of Server-Sent Events from another project; and
//! `process` runs the real program.

mod client;
mod process;
mod support;

mod access;
mod ends;
mod gaps;
mod moving;
mod outages;
mod pages;
mod reconnecting;
mod redaction;
mod rights;
mod shared;
mod slow_followers;
mod starts;
mod streams;
