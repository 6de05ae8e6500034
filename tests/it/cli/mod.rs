//! Tests of the command line: each runs the real binary, in a directory of its own, with nothing in its environment except what
//! the test puts there.

use std::time::{SystemTime, UNIX_EPOCH};

mod create;
mod create_claims;
mod events;
mod events_follow;
mod events_python;
mod inspect;
mod output;
mod relay;
mod send;
mod send_retry;
mod tls;
mod usage;
mod verify;
mod webhook_verify;

/// The current time, in seconds since 1970.
fn present() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
}
