//! Tests of what the relay sends, over real sockets, and of new settings.

#[allow(dead_code, reason = "other tests need the rest of it")]
#[path = "../../../tests/it/harness/receiver.rs"]
mod receiver;
mod reload;
mod sending;
mod signing;
mod tls;
