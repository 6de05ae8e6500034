//! Owns the tests of everything public, a module a topic; those of the server are behind its feature.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that breaks says so by panicking"
)]

#[cfg(feature = "server")]
mod inbox;
