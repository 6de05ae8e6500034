//! Owns the tests of the command line: each runs the real binary, in a directory of its own, with nothing in its environment
//! but what the test puts there.

mod program;

mod create;
mod create_claims;
mod events;
mod events_follow;
mod events_python;
mod inspect;
mod output;
mod send;
mod send_retry;
mod tls;
mod usage;
mod verify;
mod webhook_verify;
