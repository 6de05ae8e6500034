//! Owns the tests of everything public, a module a topic; those of the server are behind its feature. `fixtures` holds what
//! they share: recordings, keys, and a signer of its own that signs what the crate would refuse to.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that breaks says so by panicking"
)]

mod fixtures;

mod architecture;
mod claims;
#[cfg(feature = "server")]
mod cli;
mod deliveries;
mod event_details;
mod events;
#[cfg(feature = "server")]
mod following;
#[cfg(feature = "server")]
mod guide;
#[cfg(feature = "server")]
mod inbox;
mod jws;
mod keys;
mod minting;
mod room_config;
mod shown;
mod tokens;
mod webhook;
mod wycheproof;

#[cfg(feature = "server")]
mod rotation;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod standard;
#[cfg(all(feature = "server", debug_assertions))]
mod workers;
