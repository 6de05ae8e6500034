//! Tests of what the relay sends, over real sockets.

#[allow(dead_code, reason = "other tests need the rest of it")]
#[path = "../../../tests/it/harness/receiver.rs"]
mod receiver;
mod sending;
mod signing;
mod tls;
