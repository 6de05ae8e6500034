//! Tests of what the relay sends, over real sockets.

#[path = "../../../tests/it/harness/receiver.rs"]
mod receiver;
mod sending;
mod signing;
mod tls;
